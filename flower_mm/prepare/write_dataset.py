"""Write a dataset so that an interrupted run leaves the old one.

It is built in a temporary folder beside its path and renamed to it. An old
dataset is renamed first and deleted last.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from flower_mm import console
from flower_mm.decoding import decode_rgb
from flower_mm.errors import UserError
from flower_mm.files import replacing, temporary_folder
from flower_mm.layout import DatasetDir
from flower_mm.lock import LOCK, only_run_in
from flower_mm.photo_bytes import opened, read_bytes
from flower_mm.prepare import dataset_json
from flower_mm.prepare.photo import Photo, Photos
from flower_mm.shards import forget_shards

DATASET_NAMES = frozenset(
    (
        *DatasetDir.SPLITS,
        *map(DatasetDir.list_of, DatasetDir.SPLITS),
        DatasetDir.CLASSES,
        DatasetDir.SUMMARY,
        DatasetDir.RECORD,
        DatasetDir.DECODED,
        DatasetDir.SHARDS,
        LOCK,  # by review
    )
)
SPARE = 64 * 1024**2  # bytes left free on the disk
PIECE = 1024**2


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out`, deleted when the block ends.

    The folder of a killed run is deleted by the next run.
    """
    missing = [p for p in (out.parent, *out.parent.parents) if not p.exists()]
    work = None
    try:
        work = temporary_folder(out)
        with only_run_in(work):  # so that other processes leave it alone
            yield work
    except BrokenPipeError:
        raise  # the reader of stdout has ended; the disk is fine
    except OSError as error:
        raise UserError(_explain(error, out)) from error
    finally:
        if work:
            shutil.rmtree(work, ignore_errors=True)
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()  # fails unless it is empty


def _explain(error: OSError, out: Path) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f'the disk of {out.parent} is full; {out} is unchanged.\n'
            'Free some space, or use --how link or --how none'
        )
    return (
        f'{error.filename or out}: {error.strerror or error}; {out} is '
        'unchanged'
    )


def _set_aside(out: Path) -> Path:
    """Return where an old dataset is while the new one takes its place."""
    return out.with_name(f'.{out.name}.old')


def recover(out: Path) -> None:
    """Finish the swap of a killed run."""
    old = _set_aside(out)
    if not old.exists():
        return
    if out.exists():
        shutil.rmtree(old)
    else:
        old.rename(out)
        print(f'restored {out}, which an interrupted run had renamed')


def refuse_foreign_folder(out: Path, overwrite: bool) -> None:
    """Refuse to replace anything but a prepared dataset."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / DatasetDir.RECORD).is_file():
        raise UserError(
            f'{out} exists and is not a prepared dataset.\n'
            'Choose another folder with --out, or delete it yourself'
        )
    others = sorted({p.name for p in out.iterdir()} - DATASET_NAMES)
    if overwrite and others:
        raise UserError(
            f'{out} also contains {", ".join(others[:5])}, which --overwrite '
            'would delete.\nMove it elsewhere, or choose another --out'
        )


def swap(work: Path, out: Path) -> None:
    """Replace `out` by `work`."""
    forget_shards()
    if hasattr(os, 'sync'):
        os.sync()  # one call for all photos, before the rename
    if out.exists() and not any(out.iterdir()):
        out.rmdir()
    if not out.exists():
        work.rename(out)
        return
    old = _set_aside(out)
    out.rename(old)
    try:
        work.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_space(
    photos: Iterable[Photo], where: Path, overhead: int = 0
) -> None:
    """Raise UserError if the disk has too little space for a copy.

    Each photo takes `overhead` bytes more.
    """
    needed = sum(photo.size + overhead for photo in photos) + SPARE
    free = shutil.disk_usage(where).free
    if free < needed:
        raise UserError(
            f'too little space in {where}: expected {needed / 1e9:.1f} GB '
            f'for the copy, got {free / 1e9:.1f} GB.\n'
            'Free some space, or use --how link or --how none'
        )


def place_photos(
    photos: Photos,
    splits: list[str],
    record: dict,
    folder: Path,
    is_linked: Callable[[Photo], bool],
) -> bool:
    """Copy, link or rewrite each photo; return whether all links worked.

    `record` gets the sha256 of rewritten photos.
    """
    classes = record['classes']
    for split in sorted(set(splits)):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
    linked = True
    for photo, split in console.track(
        zip(photos, splits, strict=True), len(photos), 'writing photos'
    ):
        target = folder / split / classes[photo.label] / photo.name
        if photo.rewrite_reason:
            data = rewritten(photo)
            target.write_bytes(data)
            sha256 = hashlib.sha256(data).digest()
            dataset_json.note_rewritten(record, photo, split, sha256)
            continue
        if linked and is_linked(photo):
            try:
                # Resolved, so that PHOTOS may contain symbolic links.
                os.link(os.path.realpath(photo.file), target)
                continue
            except OSError:
                linked = False  # another disk, or no support
        _copy(photo, target)
    if record['rewritten']:
        record['sha256'] = dataset_json.digest(record['files'])
    return linked


def _copy(photo: Photo, target: Path) -> None:
    sha256 = hashlib.sha256()
    with opened(photo.file) as source, target.open('xb') as copy:
        while piece := source.read(PIECE):
            sha256.update(piece)
            copy.write(piece)
    if sha256.digest() != photo.sha256:
        raise changed(photo)


def changed(photo: Photo) -> UserError:
    return UserError(
        f'{photo.file} changed during this run.\n'
        'Run this command again when no other program writes there'
    )


def rewritten(photo: Photo) -> bytes:
    """Return a photo as a file that all versions of OpenCV read alike."""
    image = Image.fromarray(decode_rgb(read_bytes(photo.file)))
    file = BytesIO()
    if photo.rewrite_suffix == '.jpg':
        image.save(file, 'JPEG', quality=95, subsampling=0)
    else:
        image.save(file, 'PNG')
    return file.getvalue()


def write_texts(record: dict, report: str, folder: Path) -> None:
    """Write all files except the photos.

    dataset.json marks a complete dataset, so it is the last one.
    """
    for name, lines in dataset_json.lines_of(record).items():
        with replacing(folder / name, 'w') as file:
            file.writelines(f'{line}\n' for line in lines)
    with replacing(folder / DatasetDir.SUMMARY, 'w') as file:
        file.write(report)
    with replacing(folder / DatasetDir.RECORD, 'w') as file:
        dataset_json.dump(record, file)
