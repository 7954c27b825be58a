"""Draw the photos of the demo: flowers of five classes, in folders.

flower-mm demo
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import count, seed
from flower_mm.commands import command
from flower_mm.packaged_configs import config_path, typed_config

PHOTOS, DATASET = Path('data/demo_photos'), Path('data/demo')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--out',
        type=Path,
        default=PHOTOS,
        metavar='FOLDER',
        help='folder to make; by default %(default)s',
    )
    parser.add_argument(
        '--per-class',
        type=count,
        default=160,
        metavar='N',
        help='photos of each class; by default %(default)s',
    )
    parser.add_argument(
        '--seed',
        type=seed,
        default=0,
        metavar='N',
        help='random seed; by default %(default)s',
    )


def run(args: argparse.Namespace) -> None:
    from flower_mm.demo import write_demo

    number = write_demo(args.out, args.per_class, args.seed)
    if number:
        print(f'drawn: {number} photos in {args.out}')
    else:
        print(f'{args.out} holds these drawings already')
    print('next:', *demo_commands(args.out)[1:], sep='\n  ')


def demo_commands(photos: Path = PHOTOS) -> list[str]:
    """Return the commands from nothing to the trained demo."""
    config = typed_config(config_path('demo'))
    return [
        command('demo'),
        command('prepare', photos, '--out', DATASET),
        command('train', config),
    ]
