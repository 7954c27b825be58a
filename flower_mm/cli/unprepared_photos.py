"""Prepare the photos that `train --data` names, if they are no dataset."""

import argparse
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir

if TYPE_CHECKING:
    from mmengine.config import Config

DATASETS = Path('data')


def prepare_first(cfg: 'Config', args: argparse.Namespace) -> None:
    """Put a dataset of the photos into the place of `args.data_root`.

    It is in data/, under the name of the photos and a hash of their state, so
    that the next training of the same photos finds it.
    """
    from flower_mm.launcher import processes
    from flower_mm.prepare.prepare_dataset import Options, prepare
    from flower_mm.prepare.sources.read_source import refuse_url

    if not args.data_root or not _expects_dataset(cfg):
        return
    refuse_url(args.data_root)
    photos = Path(args.data_root)
    if not _needs_preparation(photos):
        return
    out = DATASETS / _name(photos)
    by_hand = command('prepare', photos, '--out', out)
    if processes(args.launcher) > 1:
        raise UserError(
            f'{photos} is not a prepared dataset, which several processes '
            f'need.\nPrepare it first: {by_hand}'
        )
    args.data_root = str(out)
    if _is_complete(photos, out):
        print(f'{photos} was prepared before: using {out}')
        return
    print(f'{photos} is not prepared: making the dataset {out}')
    try:
        is_ready = prepare(photos, out, Options(), overwrite=True)
    except UserError as error:
        raise UserError(f'{error}\nWith other options: {by_hand}') from error
    if not is_ready:
        raise UserError(f'{out} has no validation photos (see above)')


def _expects_dataset(cfg: 'Config') -> bool:
    """Return whether the config reads datasets of `prepare` only."""
    from flower_mm.config import bare_name, datasets

    kinds = {bare_name(dataset.get('type')) for dataset in datasets(cfg)}
    return kinds == {'FlowerDataset'}


def _needs_preparation(root: Path) -> bool:
    if not root.is_dir():
        return root.is_file()
    made_by_hand = (DatasetDir.CLASSES, DatasetDir.list_of('train'))
    return not (
        (root / DatasetDir.RECORD).is_file()
        or all((root / name).is_file() for name in made_by_hand)
    )


def _name(photos: Path) -> str:
    """Return a name with a hash of the files: paths, sizes and times."""
    from flower_mm.prepare.file_tree import list_folder

    state = hashlib.sha256(str(photos.resolve()).encode(errors='replace'))
    files: Mapping[str, str] = {'': str(photos)}
    if photos.is_dir():
        files = list_folder(photos).files
    for path, file in sorted(files.items()):
        try:
            info = Path(file).stat()
        except OSError:  # a broken link, or an address
            continue
        state.update(f'{path}\n{info.st_size} {info.st_mtime_ns}\n'.encode(
            errors='replace'
        ))  # fmt: skip
    stem = re.sub(r'[^\w-]+', '_', photos.name.partition('.')[0]) or 'photos'
    return f'{stem}-{state.hexdigest()[:8]}'


def _is_complete(photos: Path, out: Path) -> bool:
    """Return whether the hash stands for all photos of this dataset.

    That of a table leaves out the photos beside it.
    """
    from flower_mm.prepare.sources.read_source import stands_alone

    has_all = photos.is_dir() or stands_alone(photos)
    return has_all and (out / DatasetDir.RECORD).is_file()
