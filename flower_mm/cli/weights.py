"""Download pretrained weights, verify them, and store them for training.

flower-mm weights --list
flower-mm weights resnet50
flower-mm weights timm/vit_small_patch16_dinov3.lvd1689m
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.cli.arguments import add_offline
from flower_mm.commands import command
from flower_mm.errors import UserError

if TYPE_CHECKING:
    from flower_mm.weights.pretrained_table import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='a name in the list, such as resnet50, or timm/ and a name of '
        "timm's pretrained weights",
    )
    parser.add_argument(
        '--list',
        action='store_true',
        help='list all names, and the files that are stored already',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='folder for the files; by default $FLOWER_MM_CHECKPOINTS, '
        'otherwise checkpoints',
    )
    parser.add_argument(
        '--accept-unverified',
        action='store_true',
        help='accept files whose full SHA-256 is not published, and record '
        'theirs',
    )
    add_offline(parser)
    parser.add_argument(
        '--table',
        type=Path,
        metavar='FILE',
        help='another table of addresses, such as the one of your own mirror',
    )


def run(args: argparse.Namespace) -> None:
    from flower_mm.weights import pretrained_table
    from flower_mm.weights.download import fetch
    from flower_mm.weights.hub_download import switch_off_downloads

    if args.offline:
        switch_off_downloads()
    folder = args.out or pretrained_table.folder()
    if args.list:
        _print_list(folder, args.table)
    elif not args.names:
        raise UserError(
            'NAME is missing: expected the name of pretrained weights, such '
            f'as resnet50.\nAll names: {command("weights", "--list")}'
        )
    entries = [pretrained_table.find(name, args.table) for name in args.names]
    unreachable: set[str] = set()
    failed = []
    for entry in entries:
        try:
            fetch(
                entry,
                folder,
                args.accept_unverified,
                unreachable=unreachable,
            )
        except UserError as error:
            if len(entries) == 1:
                raise
            print(f'error: {error}', file=sys.stderr, flush=True)
            failed.append(entry.name)
    if failed:
        raise UserError(
            f'{len(failed)} of {len(entries)} weights are missing: '
            f'{", ".join(failed)}'
        )
    if (
        args.names
        and folder.absolute() != pretrained_table.folder().absolute()
    ):
        print(f'Training uses them with FLOWER_MM_CHECKPOINTS={folder}')


def _print_list(folder: Path, path: Path | None) -> None:
    from flower_mm.weights import pretrained_table

    for entry in pretrained_table.read_table(path).values():
        file = pretrained_table.present(entry, folder)
        print(f'{entry.name}: {entry.architecture}')
        print(f'  stored: {_state(entry, file) if file else "no"}')
        if entry.preprocessing:
            print(f'  preprocessing: {entry.preprocessing}')
        for home in entry.homes:
            size = f'{home.megabytes} MB' if home.megabytes else 'size unknown'
            how = home.verified_by
            print(f'  {home.source}, {home.licence}, {size}, {how}')


def _state(entry: 'Entry', file: Path) -> str:
    from flower_mm.weights import pretrained_table

    try:
        return f'{file}, verified by {pretrained_table.verify(entry, file)}'
    except UserError:
        return f'{file}, NOT VERIFIED'
