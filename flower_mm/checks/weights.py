"""Do the weights exist, are they this model's, and will they be used?"""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import ConfigDict

from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, note, stop, warn
from flower_mm.commands import command
from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.hooks.pretrained import find_weights, initial_weights
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


def check(case: Case) -> Iterator[Finding]:
    if _goes_on(case):
        # What is no whole checkpoint ends the run.
        named = case.cfg.get('load_from')
        if named and Path(named).is_file():
            read_run(Path(named))
        return
    if not hasattr(case.model, 'backbone'):  # TimmClassifier, for example
        if not case.args.from_scratch and _is_random(case):
            yield warn(
                f'{type(case.model).__name__} starts from random weights.',
                'model',
                'name its weights: --cfg-options load_from=FILE or '
                'model.pretrained=True; or, if it is meant: '
                '--from-scratch',
            )
        return
    load_from, hook = case.cfg.get('load_from'), _hook(case)
    inits = list(_inits(case))
    if case.args.from_scratch and (load_from or inits):
        place, name = 'load_from', load_from
        if not load_from:
            place, name = inits[0][0], inits[0][1].get('checkpoint')
        yield warn(
            '--from-scratch leaves out default_hooks.pretrained; the weights '
            f'of {name} are loaded all the same.',
            place,
            f'--cfg-options {place}=None',
        )
    for place, init in inits:
        yield from _init(case, place, init, overwritten=bool(hook))
    if load_from:
        yield from _load_from(case, load_from)
    elif hook:
        yield from _pretrained(case, hook)
    elif not inits:
        yield from _nothing(case)


def uses_weights(case: Case) -> bool:
    """Whether a new run begins from weights that have learned something."""
    if _goes_on(case) or case.args.from_scratch:
        return False
    loaded = case.cfg.get('load_from') or _hook(case)
    return bool(loaded or list(_inits(case)))


def _goes_on(case: Case) -> bool:
    """Whether a checkpoint is resumed, which has all weights."""
    kept = checkpoints(Path(case.cfg.work_dir))
    return bool(case.cfg.get('resume') and (case.cfg.get('load_from') or kept))


def _hook(case: Case) -> ConfigDict | None:
    return (case.cfg.get('default_hooks') or {}).get('pretrained')


def _inits(case: Case) -> Iterator[tuple[str, ConfigDict]]:
    """MMPretrain's own way to weights: an init_cfg of type Pretrained."""
    model = case.cfg.model
    if model.get('pretrained'):
        yield 'model.pretrained', ConfigDict(checkpoint=model.pretrained)
    for place, part in (
        ('model', model),
        ('model.backbone', model.get('backbone') or {}),
    ):
        found = part.get('init_cfg') or []
        for init in [found] if isinstance(found, dict) else found:
            if init.get('type') == 'Pretrained':
                yield f'{place}.init_cfg', init


# --- what is loaded ----------------------------------------------------------


def _pretrained(case: Case, hook: ConfigDict) -> Iterator[Finding]:
    if not case.is_flower_run:
        yield stop(
            "PretrainedHook needs our Runner, and this is MMEngine's.",
            HOOK,
            '--cfg-options runner_type=FlowerRunner',
        )
        return
    if not hook.get('weights'):
        yield _unnamed(case, f'{HOOK}.weights')
        return
    if '://' in hook.weights:
        yield _address(case, f'{HOOK}.weights', hook.weights)
        return
    yield from _ours(case, find_weights(hook.weights), f'{HOOK}.weights')


def _load_from(case: Case, name: str) -> Iterator[Finding]:
    if '://' in name:
        yield _address(case, 'load_from', name)
    elif not Path(name).is_file():
        yield _missing(case, 'load_from', name)
    elif case.is_flower_run:
        yield from _ours(case, Path(name), 'load_from')
    else:
        yield from _theirs(case, 'load_from', name, 'backbone.')


def _init(
    case: Case, place: str, init: ConfigDict, overwritten: bool
) -> Iterator[Finding]:
    name = str(init.get('checkpoint') or '')
    if not name:
        yield _unnamed(case, place)
        return
    if '://' in name:
        yield _address(case, place, name)
        return
    if not Path(name).expanduser().is_file():
        yield _missing(case, place, name)
        return
    if overwritten:
        yield warn(
            f'the weights of {name} are loaded, and then overwritten by those '
            f'of {HOOK}, {_hook(case).weights}.',
            place,
            f'--cfg-options {place}=None {HOOK}.weights={name}',
        )
        return
    whole = not place.startswith('model.backbone')
    prefix = init.get('prefix') or ('backbone' if whole else '')
    yield from _theirs(case, place, name, prefix and prefix.rstrip('.') + '.')


def _ours(case: Case, path: Path, where: str) -> Iterator[Finding]:
    """As load_backbone will have it."""
    path = _plain(path)
    if not path.is_file():
        yield _missing(case, where, str(path))
        return
    forged = list(_forged(path, where))
    if forged:
        yield from forged
        return
    try:
        match = match_backbone(case.model, path)
    except UserError as error:
        yield stop(str(error), where, _own_weights(case, where))
        return
    yield note(f'{match} come from {path}; the classifier is new.', '', '')


def _theirs(
    case: Case, place: str, name: str, prefix: str
) -> Iterator[Finding]:
    """As MMEngine will have it: by name, and no word of what does not fit."""
    path = _plain(Path(name).expanduser())
    forged = list(_forged(path, place))
    if forged:
        yield from forged
        return
    match = match_by_name(case.model.backbone, path, prefix)
    said = f'{match.matched} of {match.total} backbone tensors come from'
    if match.is_enough:
        yield note(
            f'{said} {path}; a classifier of other classes not.', '', ''
        )
        return
    text = f'{said} {path}, and MMEngine goes on without a word'
    if match_by_name(case.model.backbone, path, 'backbone.').is_enough:
        yield stop(f'{text}.', place, f'--cfg-options {place}.prefix=backbone')
        return
    try:
        match_backbone(case.model, path)
    except UserError as error:
        yield stop(
            f'{error} MMEngine goes on without a word.',
            place,
            _own_weights(case, place),
        )
        return
    instead = f' {place}=None' if place != 'load_from' else ''
    yield stop(
        f'{text}: it has other names for them, which our Runner knows.',
        place,
        f'--cfg-options runner_type=FlowerRunner load_from={path}{instead}',
    )


def _plain(path: Path) -> Path:
    """Without the detour that {{fileDirname}}/.. makes."""
    return path.resolve() if '..' in path.parts else path


def _forged(path: Path, where: str) -> Iterator[Finding]:
    """A file that has the name of one in the table, and not its sha256.

    A download that broke off, or another one's. Those that nobody has
    published a hash of are the user's own choice when named by path.
    """
    for entry in pretrained_table.read_table().values():
        for home in entry.homes:
            if home.file != path.name or not home.sha256:
                continue
            digest = file_hash.sha256_of(path)
            if entry.home_of(digest) or file_hash.recorded(path) == digest:
                return
            yield stop(
                f'{path} is not the file of that name: its sha256 is '
                f'{digest}, expected {home.sha256}.',
                where,
                'give it another name if it is your own; else move it away, '
                f'then {command("weights", entry.name)}',
            )
            return


# --- what there is not -------------------------------------------------------


def _nothing(case: Case) -> Iterator[Finding]:
    parameters = parameters_of(case.model.backbone.state_dict())
    name = architecture_of(parameters)
    frozen = _frozen(case)
    if case.args.from_scratch:
        if frozen:
            yield warn(
                f'{frozen:,} random weights stay as they are drawn: their '
                'stages are frozen.',
                'model.backbone.frozen_stages',
                '--cfg-options model.backbone.frozen_stages=-1',
            )
        return
    if not (frozen or _is_random(case)):
        return
    kind = name or type(case.model.backbone).__name__
    yield warn(
        f'{kind} starts from random weights'
        + (f', and {frozen:,} of them stay so, frozen' if frozen else '')
        + f': {parameters / 1e6:.1f} million numbers to learn from '
        f'{len(case.splits["train_dataloader"].photos)} photos.',
        HOOK,
        _own_weights(case)
        + f' ({command("weights", "--list")} shows names)' * (not name)
        + '; or, if it is meant: --from-scratch' * case.is_flower_run,
    )


def _is_random(case: Case) -> bool:
    return initial_weights(case.cfg, case.model) == RANDOM


def _frozen(case: Case) -> int:
    """How many weights frozen_stages keeps as they are.

    What 0 is depends on the backbone: the layers before the first stage of a
    ResNet, nothing of a VGG. Some freeze when they are told to train.
    """
    backbone = case.model.backbone
    if getattr(backbone, 'frozen_stages', -1) < 0:
        return 0
    backbone.train()
    return sum(w.numel() for w in backbone.parameters() if not w.requires_grad)


def _unnamed(case: Case, place: str) -> Finding:
    return stop(
        'Weights are to be loaded here, and no file is named.',
        place,
        _own_weights(case, place),
    )


def _address(case: Case, place: str, url: str) -> Finding:
    lapsed = ' (its domain has lapsed)' if 'openmmlab' in url else ''
    return stop(
        f'No run loads {url}{lapsed}: what comes over the network is to be '
        'verified first.',
        place,
        _own_weights(case, place),
    )


def _missing(case: Case, place: str, name: str) -> Finding:
    return stop(
        f'There is no file {name} of weights.',
        place,
        _own_weights(case, place),
    )


def _own_weights(case: Case, instead: str = '') -> str:
    """The way to weights that are this model's."""
    parameters = parameters_of(case.model.backbone.state_dict())
    name = architecture_of(parameters)
    weights = name or 'FILE'
    flag, options = f'--weights {weights}', []
    if not case.is_flower_run:
        flag = ''
        options += [
            f'{HOOK}.weights={weights}',
            f'{HOOK}.type=flower_mm.PretrainedHook',
            'runner_type=FlowerRunner',
        ]
    if instead and not instead.startswith(HOOK):
        options.append(f'{instead}=None')
    fetch = f'{command("weights", name)}, then' if name else ''
    listed = f'--cfg-options {" ".join(options)}' if options else ''
    return ' '.join(filter(None, (fetch, flag, listed)))
