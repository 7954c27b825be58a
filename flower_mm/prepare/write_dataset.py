"""Put a dataset on the disk: whole, or not at all.

It is built in a folder beside the place where it goes, and takes that place
by a rename. An old dataset steps aside first and is deleted last.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from flower_mm import console
from flower_mm.decoding import decode_rgb, read_bytes
from flower_mm.errors import UserError
from flower_mm.files import replacing, temporary_folder
from flower_mm.layout import DatasetDir
from flower_mm.lock import only_run_in
from flower_mm.prepare import dataset_json
from flower_mm.prepare.class_folders import Photo

OURS = frozenset(
    (
        *DatasetDir.SPLITS,
        *map(DatasetDir.list_of, DatasetDir.SPLITS),
        DatasetDir.CLASSES,
        DatasetDir.SUMMARY,
        DatasetDir.RECORD,
        DatasetDir.DECODED,
    )
)
SPARE = 64 * 1024**2  # bytes left free on the disk
PIECE = 1024**2


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """A folder beside `out`, gone when the block ends, come what may.

    A run that was killed leaves its own, which the next one deletes.
    """
    missing = [p for p in (out.parent, *out.parent.parents) if not p.exists()]
    work = None
    try:
        work = temporary_folder(out)
        with only_run_in(work):  # tells other processes that it is in use
            yield work
    except BrokenPipeError:
        raise  # nobody reads the screen; nothing is wrong with the disk
    except OSError as error:
        raise UserError(_explain(error, out)) from error
    finally:
        if work:
            shutil.rmtree(work, ignore_errors=True)
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is still empty


def _explain(error: OSError, out: Path) -> str:
    where = error.filename or out
    if error.errno == errno.ENOSPC:
        return (
            f'the disk of {out.parent} is full; nothing was changed.\nFree '
            'some space, or use --how link or --how none'
        )
    return f'{where}: {error.strerror or error}; nothing was changed'


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f'.{out.name}.{what}')


def recover(out: Path) -> None:
    """Finish the swap that a killed run left half done."""
    old = _beside(out, 'old')
    if not old.exists():
        return
    if out.exists():
        shutil.rmtree(old)
    else:
        old.rename(out)
        print(f'put {out} back, which an interrupted run had set aside')


def refuse_if_not_ours(out: Path, overwrite: bool) -> None:
    """Only a prepared dataset with nothing else in it may be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / DatasetDir.RECORD).is_file():
        raise UserError(
            f'{out} exists and is not a prepared dataset; it is left alone.\n'
            'Choose another folder with --out, or delete it yourself.'
        )
    others = sorted(p.name for p in out.iterdir() if p.name not in OURS)
    if overwrite and others:
        raise UserError(
            f'{out} also holds {", ".join(others[:5])}, which --overwrite '
            'would delete.\nMove that elsewhere, or choose another --out'
        )


def swap(work: Path, out: Path) -> None:
    """Let `work` take the place of `out`."""
    if hasattr(os, 'sync'):
        os.sync()  # one call for all photos, before the rename makes them it
    if out.exists() and not any(out.iterdir()):
        out.rmdir()
    if not out.exists():
        work.rename(out)
        return
    old = _beside(out, 'old')
    out.rename(old)
    try:
        work.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_space(photos: list[Photo], where: Path) -> None:
    needed = sum(photo.size for photo in photos) + SPARE
    free = shutil.disk_usage(where).free
    if free < needed:
        raise UserError(
            f'{where} has {free / 1e9:.1f} GB free, the copy takes '
            f'{needed / 1e9:.1f} GB.\nFree some space, or use --how link or '
            '--how none'
        )


def place_photos(
    photos: list[Photo],
    sides: list[str],
    classes: list[str],
    folder: Path,
    link: bool,
) -> bool:
    """Copy, link or rewrite each photo; say whether all links worked."""
    for side in sorted(set(sides)):
        for name in classes:
            (folder / side / name).mkdir(parents=True)
    linked = True
    for photo, side in console.track(
        zip(photos, sides, strict=True), len(photos), 'writing photos'
    ):
        target = folder / side / classes[photo.label] / photo.name
        if photo.fix:
            _rewrite(photo, target)
            continue
        if link:
            try:
                # The file itself, where PHOTOS holds a link to it.
                os.link(os.path.realpath(photo.file), target)
                continue
            except OSError:
                linked = link = False  # another disk, or one without links
        _copy(photo, target)
    return linked


def _copy(photo: Photo, target: Path) -> None:
    sha256 = hashlib.sha256()
    with Path(photo.file).open('rb') as source, target.open('xb') as copy:
        while piece := source.read(PIECE):
            sha256.update(piece)
            copy.write(piece)
    if sha256.digest() != photo.sha256:
        raise UserError(
            f'{photo.file} changed while it was read; nothing was changed.\n'
            'Run this again when nobody writes there.'
        )


def _rewrite(photo: Photo, target: Path) -> None:
    pixels = decode_rgb(read_bytes(photo.file))
    Image.fromarray(pixels).save(target, 'PNG')
    photo.made = hashlib.sha256(target.read_bytes()).digest()


def write_texts(record: dict, report: str, folder: Path) -> None:
    """Write all but the photos; dataset.json last, as the seal."""
    classes = record['classes']
    texts = {DatasetDir.CLASSES: classes}
    for side, photos in record['files'].items():
        lines = dataset_json.annotation(photos, classes)
        texts[DatasetDir.list_of(side)] = lines
    for name, lines in texts.items():
        with replacing(folder / name, 'w') as file:
            file.writelines(f'{line}\n' for line in lines)
    with replacing(folder / DatasetDir.SUMMARY, 'w') as file:
        file.write(report)
    with replacing(folder / DatasetDir.RECORD, 'w') as file:
        dataset_json.dump(record, file)
