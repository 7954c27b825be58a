"""What to do before the first training."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.cli.demo import DATASET as DEMO
from flower_mm.cli.demo import demo_commands
from flower_mm.commands import command, typed_arguments
from flower_mm.errors import UserError
from flower_mm.packaged_configs import typed_config

if TYPE_CHECKING:
    from mmengine.config import Config

OWN = Path('data/mine')


def require_dataset_of(cfg: 'Config', args: argparse.Namespace) -> None:
    """Stop with the commands of both ways if the base's dataset is missing.

    Any other dataset was chosen by the user, and has messages of its own.
    """
    from flower_mm.config import datasets
    from flower_mm.launcher import is_first

    roots = {part.data_root for part in datasets(cfg)}
    if args.data_root or roots != {cfg.get('data_root')}:
        return
    root = Path(cfg.data_root)
    folders = [Path(), *Path(args.config).resolve().parents]
    if any((folder / root).exists() for folder in folders):
        return
    if not is_first(args.launcher):
        return
    raise UserError(
        f'the dataset {root} does not exist yet.\n'
        + ('' if root == DEMO else _own_photos(args))
        + 'The demo, on drawn photos of flowers:\n  '
        + '\n  '.join(demo_commands())
    )


def _own_photos(args: argparse.Namespace) -> str:
    config, options = typed_config(args.config), _options(args)
    lines = [
        'Your own photos, in one folder per class or a zip of that:',
        command('prepare', 'YOUR_PHOTOS', '--out', OWN),
        command('train', config, '--data', OWN, *options),
    ]
    return '\n  '.join(lines) + '\n'


def _options(args: argparse.Namespace) -> list[str]:
    """Return the words of the command line besides the config."""
    return [word for word in typed_arguments() if word != args.typed_config]
