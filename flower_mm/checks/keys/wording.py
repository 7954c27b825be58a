"""Keys of a config that nobody reads, or that say another thing than meant."""

import argparse
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.device import get_device

from flower_mm.checks.finding import Finding, stop, warn
from flower_mm.checks.keys import old
from flower_mm.checks.keys.accepted import find, takes
from flower_mm.checks.keys.decay import check_decay
from flower_mm.checks.keys.ignored import check_ignored
from flower_mm.checks.keys.kinds import check_kinds
from flower_mm.checks.keys.parts import check_parts
from flower_mm.checks.keys.pipelines import check_pipelines
from flower_mm.checks.keys.places import check_places
from flower_mm.checks.keys.source import Source, read_sources
from flower_mm.commands import command
from flower_mm.config import datasets, require_epochs

NEEDED = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')
# MMEngine wants all of a row, or none.
ROWS = [
    [f'{split}_{part}' for part in ('dataloader', 'cfg', 'evaluator')]
    for split in ('val', 'test')
]


def check(cfg: Config, args: argparse.Namespace) -> Iterator[Finding]:
    """Look at a config as it was read, before the command line is in it."""
    wrong = list(check_kinds(cfg))
    if wrong:
        yield from wrong
        return
    sources = read_sources(cfg.filename) if cfg.filename else []
    missing = [key for key in NEEDED if not cfg.get(key)]
    if missing:
        yield _missing(cfg, missing)
    yield from check_ignored(cfg, args, sources)
    yield from check_places(cfg, args, sources)
    if (cfg.get('randomness') or {}).get('seed') is None and args.seed is None:
        yield warn(
            'No seed is set, so the run cannot be repeated.',
            'randomness.seed',
            '--seed 0',
        )
    if missing:
        return
    require_epochs(cfg)
    yield from _rows(cfg, args)
    own = sources[0] if sources else None
    yield from check_parts(cfg, own, args.cfg_options or {})
    yield from check_decay(cfg)
    yield from check_pipelines(cfg)
    yield from _loop(cfg)
    yield from _not_ours(cfg, args, sources)


def _missing(cfg: Config, missing: list[str]) -> Finding:
    what = f'The config has no {" and no ".join(missing)}'
    mend = "begin with _base_ = 'flower_mm::flower/resnet50_flower.py'"
    olds = [name for name in old.NAMES if name in cfg]
    if olds:
        what += ': it is one of MMClassification 0.x'
        names = '; '.join(f'{name} is now {old.NAMES[name]}' for name in olds)
        mend = f'{names}. Or {mend}'
    return stop(f'{what}.', missing[0], mend)


def _rows(cfg: Config, args: argparse.Namespace) -> Iterator[Finding]:
    for row in ROWS[1:] if args.no_validate else ROWS:
        lacking = [key for key in row if cfg.get(key) is None]
        if 0 < len(lacking) < len(row):
            yield stop(
                f'{row[0]}, {row[1]} and {row[2]} belong together; not set: '
                f'{", ".join(lacking)}.',
                lacking[0],
                f'{lacking[0]} = dict(…), or all of them None',
            )


def _loop(cfg: Config) -> Iterator[Finding]:
    loop = cfg.train_cfg
    if 'type' in loop and 'by_epoch' in loop:
        yield stop(
            f'train_cfg has by_epoch and the type {loop.type}; MMEngine '
            'takes one of them.',
            'train_cfg',
            'train_cfg = dict(by_epoch=True, max_epochs=10)',
        )


def _not_ours(
    cfg: Config, args: argparse.Namespace, sources: list[Source]
) -> Iterator[Finding]:
    """A config of MMPretrain's own: what it leaves, what flags it lacks."""
    if cfg.get('runner_type') != 'FlowerRunner':
        yield warn(
            "MMEngine's own Runner will train: it leaves no best.pth, no "
            'run.json and no curves, and its log covers the screen.',
            'runner_type',
            f"_base_ = ['{_model_base(sources)}', "
            "'flower_mm::_base_/flower.py'], without schedule and datasets "
            'of your own',
        )
        for flag, given, hook in (
            ('--from-scratch', args.from_scratch, 'pretrained'),
            ('--no-report', args.no_report, 'report'),
            ('--folds', args.folds, 'report'),
        ):
            if given:
                yield stop(
                    f'{flag} switches default_hooks.{hook} off, which '
                    "MMEngine's own Runner does not let it.",
                    flag,
                    'leave it out',
                )
    scope = cfg.get('default_scope') or 'mmengine'
    if scope != 'flower_mm':
        on_cpu = args.device == 'cpu' or get_device() == 'cpu'
        for flag, given, what in (
            ('--weights', args.weights, 'PretrainedHook'),
            ('--head-only', args.head_only, 'HeadFirstHook'),
            ('--retry-nan', args.retry_nan, 'FiniteLossHook'),
            ('--amp', args.amp and on_cpu, 'Bf16OptimWrapper'),
        ):
            if given:
                yield stop(
                    f'{flag} needs {what} of flower_mm, and the '
                    f'default_scope is {scope}.',
                    flag,
                    "leave it out, or default_scope = 'flower_mm'",
                )
    if args.skip_broken:
        for dataset in datasets(cfg, ('train_dataloader',)):
            found = find(
                dataset.get('type'), 'DATASETS', dataset.get('_scope_', scope)
            )
            if found and not takes(found, 'broken'):
                yield stop(
                    f'--skip-broken is for FlowerDataset, not {dataset.type}.',
                    '--skip-broken',
                    'leave it out, or look for broken photos first: '
                    + command('prepare', '--check', 'FOLDER'),
                )


def _model_base(sources: list[Source]) -> str:
    """The file that the model is from, as another config can name it."""
    for source in sources:
        parts = source.path.as_posix().split('/configs/_base_/models/')
        if len(parts) > 1:
            return f'mmpretrain::_base_/models/{parts[-1]}'
    return 'mmpretrain::_base_/models/resnet50.py'
