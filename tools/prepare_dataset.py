"""Make a dataset for training from a folder (or zip, tar) of photos."""

import argparse
from pathlib import Path

from flower_mm import cli

DEFAULT_OUT = Path('data/flower_dataset')


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Near-duplicates always come to the same side. Photos keep '
        'their side when others are added: run this again with the same '
        '--out and --overwrite.',
    )
    parser.add_argument(
        'photos',
        type=Path,
        nargs='?',
        metavar='PHOTOS',
        help='folder with one folder per class, or a zip or tar of one',
    )
    parser.add_argument(
        '--out', type=Path, help=f'where the dataset goes ({DEFAULT_OUT})'
    )
    parser.add_argument(
        '--val',
        type=float,
        default=0.2,
        help='share of each class for validation, at least one photo '
        '(%(default)s)',
    )
    parser.add_argument(
        '--test',
        type=float,
        default=0.0,
        help='share of each class for the test, at least one photo if not 0 '
        '(%(default)s)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the split (%(default)s)'
    )
    parser.add_argument(
        '--how',
        choices=('copy', 'link', 'none'),
        default='copy',
        help='copy the photos, hard-link them, or point into PHOTOS '
        '(%(default)s)',
    )
    parser.add_argument(
        '--on-bad',
        choices=('stop', 'skip'),
        default='stop',
        help='when a file cannot be used: write nothing, or go on without it '
        '(%(default)s)',
    )
    parser.add_argument(
        '--on-conflict',
        choices=('drop', 'keep'),
        default='drop',
        help='identical photos under two classes: leave them out, or keep '
        'them; near-duplicates are kept and listed (%(default)s)',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace an existing dataset at --out; its photos keep their '
        'sides when --val, --test and --seed are the same',
    )
    parser.add_argument(
        '--sides-from',
        type=Path,
        metavar='DATASET',
        help='let the photos of this dataset keep the sides they have there',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='only look whether the dataset at --out (or PHOTOS) is whole',
    )
    parser.add_argument(
        '--trust',
        action='store_true',
        help='only note that the dataset at --out (or PHOTOS), which somebody '
        'else made, may point to photos outside of it',
    )
    return parser


def main(args: argparse.Namespace) -> None:
    if args.check:
        from flower_mm.prepare.verify_dataset import check

        check(args.out or args.photos or DEFAULT_OUT)
        return
    if args.trust:
        from flower_mm.trust import trust

        root = args.out or args.photos or DEFAULT_OUT
        trust(root)
        print(f'{root} is trusted: its photos may lie outside of it')
        return
    if args.photos is None:
        parser.error('PHOTOS is missing')
    from flower_mm.prepare.prepare_dataset import Options, prepare

    prepare(
        args.photos,
        args.out or DEFAULT_OUT,
        Options(
            val=args.val,
            test=args.test,
            seed=args.seed,
            how=args.how,
            on_bad=args.on_bad,
            on_conflict=args.on_conflict,
        ),
        overwrite=args.overwrite,
        sides_from=args.sides_from,
    )


if __name__ == '__main__':
    parser = make_parser()
    cli.run(main, parser)
