"""Do the initial weights exist, fit the model, and get used?"""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.checks.config_values import set_options, value_at
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.commands import command
from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.hooks.pretrained import (
    find_weights,
    initial_weights,
    loads_weights,
)
from flower_mm.engine.resume import read_run
from flower_mm.errors import UserError
from flower_mm.report.result_warnings import RANDOM
from flower_mm.weights import file_hash, pretrained_table
from flower_mm.weights.load_into_model import (
    architecture_of,
    match_backbone,
    match_by_name,
    parameters_of,
)

HOOK = 'default_hooks.pretrained'
WEIGHTS = f'{HOOK}.weights'


def check(ctx: CheckContext) -> Iterator[Finding]:
    load_from, hook = ctx.cfg.get('load_from'), _hook(ctx)
    if _resumes(ctx):
        if load_from and Path(load_from).is_file():
            read_run(Path(load_from))  # raises for an incomplete checkpoint
        return
    inits = dict(_inits(ctx))
    loaded = {'load_from': load_from} if load_from else inits
    if ctx.args.from_scratch and loaded:
        place, name = next(iter(loaded.items()))
        yield Finding(
            'WGT007',
            place,
            f'the weights of {name} are loaded despite --from-scratch, which '
            f'switches {HOOK} off',
            set_options({place: None}),
        )
    if not hasattr(ctx.model, 'backbone'):  # TimmClassifier, for example
        if not ctx.args.from_scratch and _is_random(ctx):
            yield _random(ctx, 'model', '--cfg-options load_from=FILE')
        return
    for place, name in inits.items():
        problem = _file_problem(ctx, place, name)
        if problem:
            yield problem
        elif hook:
            yield Finding(
                'WGT006',
                place,
                f'the weights of {name} are loaded and then overwritten by '
                f'{WEIGHTS}={hook.weights}',
                set_options({place: None, WEIGHTS: name}),
            )
        else:
            yield _match(ctx, place, name, ours=False)
    if load_from:
        yield _file_problem(ctx, 'load_from', load_from) or _match(
            ctx, 'load_from', load_from, ours=ctx.is_flower_run
        )
    elif hook and not ctx.is_flower_run:
        yield Finding(
            'CFG011',
            HOOK,
            "PretrainedHook requires runner_type = 'FlowerRunner'",
            set_options({'runner_type': 'FlowerRunner'}),
        )
    elif hook:
        name = hook.get('weights') or ''
        if name and '://' not in name:
            try:
                name = str(find_weights(name))
            except UserError as error:
                text = ' '.join(str(error).split())
                message, _, fix = text.partition('. ')
                yield Finding('WGT001', WEIGHTS, message, fix)
                return
        yield _file_problem(ctx, WEIGHTS, name) or _match(
            ctx, WEIGHTS, name, ours=True
        )
    elif not inits:
        yield from _without_weights(ctx)


def uses_weights(ctx: CheckContext) -> bool:
    """Whether a new run starts from pretrained weights."""
    return loads_weights(ctx.cfg) and not _resumes(ctx)


def _resumes(ctx: CheckContext) -> bool:
    kept = checkpoints(Path(ctx.cfg.work_dir))
    return bool(ctx.cfg.get('resume') and (ctx.cfg.get('load_from') or kept))


def _hook(ctx: CheckContext) -> ConfigDict | None:
    return (ctx.cfg.get('default_hooks') or {}).get('pretrained')


def _inits(ctx: CheckContext) -> Iterator[tuple[str, str]]:
    """Yield place and file of MMPretrain's init_cfg of type Pretrained."""
    model = ctx.cfg.model
    if model.get('pretrained'):
        yield 'model.pretrained', str(model.pretrained)
    for place, part in (
        ('model', model),
        ('model.backbone', model.get('backbone') or {}),
    ):
        inits = part.get('init_cfg') or []
        for init in [inits] if isinstance(inits, dict) else inits:
            if init.get('type') == 'Pretrained':
                yield f'{place}.init_cfg', str(init.get('checkpoint') or '')


def _file_problem(ctx: CheckContext, place: str, name: str) -> Finding | None:
    path = Path(name).expanduser()
    if '://' in name:
        expired = ' (the domain has expired)' if 'openmmlab' in name else ''
        message = f'{name}{expired} is not loaded: expected a local file'
        return Finding('WGT002', place, message, _fix(ctx, place))
    if not name or not path.is_file():
        message = f'{name} does not exist' if name else 'expected a file'
        return Finding('WGT001', place, message, _fix(ctx, place))
    for entry in pretrained_table.read_table().values():
        for home in entry.homes:
            # A file without a published hash is accepted by path.
            if home.file != path.name or not home.sha256:
                continue
            digest = file_hash.sha256_of(path)
            if entry.home_of(digest) or file_hash.recorded(path) == digest:
                return None
            return Finding(
                'WGT004',
                place,
                f'{path} has the sha256 {digest}, expected {home.sha256}',
                'rename it if it is your own; else remove it, then '
                f'{command("weights", entry.name)}',
            )
    return None


def _match(ctx: CheckContext, place: str, name: str, ours: bool) -> Finding:
    """Compare a file with the model, as our Runner or MMEngine loads it."""
    path = Path(name).expanduser()
    path = path.resolve() if '..' in path.parts else path
    prefix = value_at(ctx.cfg, f'{place}.prefix') or ''
    if not place.startswith('model.backbone'):
        prefix = prefix or 'backbone'
    prefix = prefix and prefix.rstrip('.') + '.'
    match = match_by_name(ctx.model.backbone, path, prefix)
    message = (
        f'{match.matched} of {match.total} backbone tensors come from {path}'
    )
    if not ours and match.is_enough:
        return Finding('WGT008', place, message)
    try:
        known = match_backbone(ctx.model, path)
    except UserError as error:
        return Finding('WGT003', place, str(error), _fix(ctx, place))
    if ours:
        return Finding('WGT008', place, f'{known} come from {path}')
    # MMEngine ignores tensors of other names.
    fix = {'runner_type': 'FlowerRunner', 'load_from': path}
    if place != 'load_from':
        fix[place] = None
    if match_by_name(ctx.model.backbone, path, 'backbone.').is_enough:
        fix = {f'{place}.prefix': 'backbone'}
    return Finding('WGT003', place, message, set_options(fix))


def _without_weights(ctx: CheckContext) -> Iterator[Finding]:
    backbone, frozen = ctx.model.backbone, 0
    # What 0 means depends on the backbone: the layers before the first stage
    # of a ResNet, nothing of a VGG. Some freeze in train().
    if getattr(backbone, 'frozen_stages', -1) >= 0:
        backbone.train()
        weights = backbone.parameters()
        frozen = sum(w.numel() for w in weights if not w.requires_grad)
    if frozen and ctx.args.from_scratch:
        yield Finding(
            'WGT005',
            'model.backbone.frozen_stages',
            f'{frozen:,} random parameters are frozen',
            set_options({'model.backbone.frozen_stages': -1}),
        )
    elif not ctx.args.from_scratch and (frozen or _is_random(ctx)):
        yield _random(ctx, HOOK, _fix(ctx), frozen)


def _random(
    ctx: CheckContext, place: str, fix: str, frozen: int = 0
) -> Finding:
    if ctx.is_flower_run:
        fix += '; or --from-scratch, if that is intended'
    return Finding(
        'WGT005',
        place,
        'the model starts from random weights, with '
        f'{len(ctx.train.photos)} training photos'
        + (f'; {frozen:,} parameters are frozen' if frozen else ''),
        fix,
    )


def _is_random(ctx: CheckContext) -> bool:
    return initial_weights(ctx.cfg, ctx.model) == RANDOM


def _fix(ctx: CheckContext, instead: str = '') -> str:
    """Return the commands that start from weights of this model."""
    parameters = parameters_of(ctx.model.backbone.state_dict())
    name = architecture_of(parameters)
    fix = f'{command("weights", name or "--list")}, then'
    values: dict[str, str | None] = {}
    if instead and not instead.startswith(HOOK):
        values[instead] = None
    if ctx.is_flower_run:
        fix += f' --weights {name or "FILE"}'
        return f'{fix} {set_options(values)}'.rstrip()
    # --weights needs our scope.
    values['runner_type'] = 'FlowerRunner'
    values[f'{HOOK}.type'] = 'flower_mm.PretrainedHook'
    return f'{fix} {set_options(values)} {WEIGHTS}={name or "FILE"}'
