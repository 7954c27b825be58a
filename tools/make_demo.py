"""Draw the demo photos: five kinds of flowers, in folders."""

import argparse
from pathlib import Path

from flower_mm import cli


def parse() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/demo_photos'),
        help='folder to make (default: %(default)s)',
    )
    parser.add_argument(
        '--per-class',
        type=int,
        default=160,
        metavar='N',
        help='drawings of each kind (default: %(default)s)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='default: %(default)s'
    )
    parser.add_argument(
        '--sheet',
        type=Path,
        metavar='PNG',
        help='draw no folder, only a sheet of a few drawings of each kind',
    )
    return parser


def main(args: argparse.Namespace) -> None:
    if args.sheet:
        from flower_mm.demo.sheet import write_sheet

        write_sheet(args.sheet, args.seed)
        print(f'drawn: {args.sheet}')
        return
    from flower_mm.demo import write_demo
    from flower_mm.errors import UserError

    if args.per_class < 1 or args.seed < 0:
        raise UserError('--per-class starts at 1 and --seed at 0')
    number = write_demo(args.out, args.per_class, args.seed)
    if number:
        print(f'drawn: {number} photos in {args.out}')
    else:
        print(f'already drawn: {args.out}')


if __name__ == '__main__':
    cli.run(main, parse())
