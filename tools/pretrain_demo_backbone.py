"""Make checkpoints/demo_backbone.pth: draw other kinds, train on them."""

import argparse
from pathlib import Path

from flower_mm.cli.run_command import run


def parse() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('checkpoints/demo_backbone.pth'),
        help='default: %(default)s',
    )
    parser.add_argument(
        '--drawings',
        type=Path,
        default=Path('data/other_drawings'),
        help='folder of the drawings, made if missing (default: %(default)s)',
    )
    parser.add_argument(
        '--epochs', type=int, default=14, help='default: %(default)s'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='default: %(default)s'
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from flower_mm.demo.pretrain import pretrain

    facts = pretrain(args.out, args.drawings, args.epochs, args.seed)
    print(
        f'{args.out}: {facts["held_out_top1"]} % of the held-out drawings of '
        f'{len(facts["kinds"])} kinds, {facts["seconds"]} s'
    )


if __name__ == '__main__':
    run(main, parse())
