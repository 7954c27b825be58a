"""Which trainings a comparison consists of."""

import argparse
from collections import Counter
from pathlib import Path

from mmengine.config import Config

from flower_mm.compare.trial import Trial, digest
from flower_mm.datasets.annotations import lists_sha256
from flower_mm.errors import UserError
from flower_mm.flags import add_training_flags
from flower_mm.settings import data_root, read_config, use_data_root

# On or off, for each training as they stand.
SWITCHES = ('from_scratch', 'head_only', 'amp')


def plan(args: argparse.Namespace) -> list[Trial]:
    """Every config with every seed; seeds in turn, so that early rows tell.

    All configs are read before the first training begins.
    """
    _refuse(args)
    settled = [(config, *_settle(config, args)) for config in args.configs]
    return [
        Trial(
            config=Path(config),
            seed=seed,
            epochs=0 if args.head_only else cfg.train_cfg.max_epochs,
            folder=Path(args.out) / Path(config).stem / f'seed_{seed}',
            flags=(*flags, '--seed', str(seed)),
            sha256=digest(
                cfg.to_dict(),
                {name: getattr(args, name) for name in SWITCHES},
                lists_sha256(data_root(cfg)),
                seed,
            ),
        )
        for seed in args.seeds
        for config, flags, cfg in settled
    ]


def _refuse(args: argparse.Namespace) -> None:
    names = Counter(Path(config).stem for config in args.configs)
    for what, counted in (('config', names), ('seed', Counter(args.seeds))):
        for name, number in counted.items():
            if number > 1:
                raise UserError(
                    f'{number} times the {what} {name}: a run is told by the '
                    "name of its config's file and its seed"
                )
    if args.weights and args.from_scratch:
        raise UserError('either --weights or --from-scratch')


def _settle(config: str, args: argparse.Namespace) -> tuple[list[str], Config]:
    """The flags that train.py gets, and the config that it makes of them."""
    options = list(args.cfg_options or [])
    if args.epochs:
        options.append(f'train_cfg.max_epochs={args.epochs}')
    if args.weights:
        options.append(f'default_hooks.pretrained.weights={args.weights}')
    flags = [config, '--no-report']
    flags += [f'--{s.replace("_", "-")}' for s in SWITCHES if getattr(args, s)]
    if args.data_root:
        flags += ['--data-root', args.data_root]
    if options:
        flags += ['--cfg-options', *options]
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_training_flags(parser)
    read = parser.parse_args(flags)
    cfg = read_config(config, read.cfg_options)
    if args.weights and not cfg.default_hooks.get('pretrained', {}).get(
        'type'
    ):
        raise UserError(
            f'{config} starts from no weights: leave --weights out'
        )
    if args.data_root:
        use_data_root(cfg, args.data_root)
    return flags, cfg
