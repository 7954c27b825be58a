"""Download pretrained weights, verify them, and put them in their place."""

import argparse
from pathlib import Path

from flower_mm import cli
from flower_mm.errors import UserError
from flower_mm.weights import file_hash, pretrained_table
from flower_mm.weights.download import fetch
from flower_mm.weights.pretrained_table import Entry


def parser() -> argparse.ArgumentParser:
    tool = argparse.ArgumentParser(description=__doc__)
    tool.add_argument(
        'names', nargs='*', metavar='NAME', help='such as resnet50'
    )
    tool.add_argument(
        '--list', action='store_true', help='show all names and what is here'
    )
    tool.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='where to put the files (default: $FLOWER_MM_CHECKPOINTS, '
        'otherwise checkpoints)',
    )
    tool.add_argument(
        '--accept-unverified',
        action='store_true',
        help='take files whose hash nobody has published, and record it',
    )
    tool.add_argument(
        '--table',
        type=Path,
        metavar='FILE',
        help='another table of addresses, such as one of your own mirror',
    )
    return tool


def main(args: argparse.Namespace) -> None:
    folder = args.out or pretrained_table.folder()
    if args.list:
        show(folder, args.table)
    elif not args.names:
        raise UserError('Which weights? python tools/get_weights.py --list')
    for entry in [
        pretrained_table.find(name, args.table) for name in args.names
    ]:
        fetch(entry, folder, args.accept_unverified)
    if (
        args.names
        and folder.absolute() != pretrained_table.folder().absolute()
    ):
        print(f'Training finds them with FLOWER_MM_CHECKPOINTS={folder}')


def show(folder: Path, path: Path | None) -> None:
    for entry in pretrained_table.read_table(path).values():
        file = pretrained_table.present(entry, folder)
        print(f'{entry.name}: {entry.architecture}')
        print(f'  here: {state_of(entry, file) if file else "no"}')
        for home in entry.homes:
            size = f'{home.megabytes} MB' if home.megabytes else 'size unknown'
            lapsed = f', domain lapsed {home.lapsed}' if home.lapsed else ''
            how = file_hash.how(home.sha256)
            print(f'  {home.source}, {home.licence}, {size}, {how}{lapsed}')


def state_of(entry: Entry, file: Path) -> str:
    try:
        return f'{file}, verified by {pretrained_table.check(entry, file)}'
    except UserError:
        return f'{file}, NOT VERIFIED'


if __name__ == '__main__':
    cli.run(main, parser())
