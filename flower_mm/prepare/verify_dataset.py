"""Check that a dataset still is what its dataset.json describes."""

import hashlib
import os
from collections import defaultdict
from pathlib import Path

from flower_mm.commands import command
from flower_mm.decoding import BadPhotoError
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.links import is_inside, read_file
from flower_mm.photo_bytes import read_bytes
from flower_mm.plain_text import escape_controls
from flower_mm.prepare import dataset_json
from flower_mm.prepare.file_tree import list_folder
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.scan_photos import scan
from flower_mm.prepare.summary import first_lines
from flower_mm.prepare.write_dataset import recover
from flower_mm.trust import is_trusted, require_trust


def check(folder: Path) -> None:
    """Check files, photos and split of a dataset; raise if one is wrong."""
    recover(folder.resolve())
    record = dataset_json.load(folder)
    faults = _changed_texts(folder, record) + _extra_files(folder, record)
    photos, splits = listed_photos(folder, record)
    refuse_private_photos(folder, photos)
    shas = [photo.sha256 for photo in photos]
    scan(photos, 'checking photos')
    for photo, sha256 in zip(photos, shas, strict=True):
        if photo.sha256 and photo.sha256 != sha256:
            faults.append(f'{photo.path}: changed')
        elif photo.error:
            faults.append(f'{photo.path}: {photo.error}')
    readable = [i for i, photo in enumerate(photos) if not photo.error]
    identical_photos, near_duplicates = _duplicates(
        [photos[i] for i in readable],
        [splits[i] for i in readable],
        record['options']['on_conflict'] == 'keep',
        bool(record.get('published_splits')),
    )
    faults += identical_photos
    if near_duplicates:
        # Another version, which finds other near-duplicates, may have prepared
        # the dataset; or the splits are those of an earlier one.
        print(f'Near-duplicates in two splits ({len(near_duplicates)}):')
        print('\n'.join(first_lines(near_duplicates)))
        print(
            'They make held-out accuracy look better than it is. Prepare the '
            'photos again, '
            + (
                'with --fix-leaks, to move them to train.'
                if record.get('published_splits')
                else 'into another --out, to keep them together.'
            )
        )
    if faults:
        print('\n'.join(first_lines(faults, 50)))
        raise UserError(
            f'{folder} differs from its {DatasetDir.RECORD}: {len(faults)} '
            'faults (listed above).\nPrepare it again: '
            + command('prepare', 'PHOTOS', '--out', folder, '--overwrite')
        )
    print(
        f'{folder} matches its {DatasetDir.RECORD}: {len(photos)} photos of '
        f'{len(record["classes"])} classes, unchanged and readable, without '
        'identical photos in two splits'
    )


def find_damage(folder: Path) -> list[str]:
    """List files that differ from dataset.json, without decoding photos."""
    record = dataset_json.load(folder)
    faults = _changed_texts(folder, record) + _extra_files(folder, record)
    for photo in listed_photos(folder, record)[0]:
        sha256 = sha256_of_photo(photo)
        if sha256 != photo.sha256:
            fault = 'changed' if sha256 else 'cannot be read'
            faults.append(f'{photo.path}: {fault}')
    return faults


def refuse_private_photos(folder: Path, photos: list[Photo]) -> None:
    """Refuse that a received dataset refers to photos its author never saw.

    The author of a dataset knows the sha256 of the photos in it. Another
    photo outside its folder may be private.
    """
    if is_trusted(folder):
        return
    for photo in photos:
        outside = not is_inside(photo.file, folder)
        if outside and sha256_of_photo(photo) != photo.sha256:
            require_trust(folder, os.path.realpath(photo.file))


def sha256_of_photo(photo: Photo) -> bytes | None:
    """Return the hash of the file as it is now, None if it is unreadable."""
    try:
        return hashlib.sha256(read_bytes(photo.file)).digest()
    except BadPhotoError:
        # A user may exclude an empty file, too.
        file = Path(photo.file)
        is_empty = file.is_file() and not file.stat().st_size
        return hashlib.sha256(b'').digest() if is_empty else None


def _changed_texts(folder: Path, record: dict) -> list[str]:
    faults = []
    files, classes = record['files'], record['classes']
    if dataset_json.digest(files) != record['sha256']:
        faults.append(f'{DatasetDir.RECORD}: sha256 does not match its files')
    if dataset_json.counts(files, classes) != record['counts']:
        faults.append(f'{DatasetDir.RECORD}: counts do not match its files')
    for name, lines in dataset_json.texts(record).items():
        try:
            text = read_file(folder / name).decode()
        except (OSError, ValueError) as error:
            faults.append(f'{name}: cannot be read ({error})')
            continue
        # Git or an editor may have changed the line endings.
        if text.replace('\r\n', '\n') != lines:
            faults.append(f'{name}: changed')
    return faults


def _extra_files(folder: Path, record: dict) -> list[str]:
    """List the files beside the photos that are not part of the dataset."""
    if record['photos'] is not None:
        return []  # that folder may hold photos that were left out
    faults = []
    for split, photos in record['files'].items():
        if (folder / split).is_dir():
            files = list_folder(folder / split).files
            faults += [
                f'{split}/{escape_controls(path)}: not part of the dataset'
                for path in sorted(files.keys() - photos.keys())
            ]
    return faults


def listed_photos(folder: Path, record: dict) -> tuple[list[Photo], list[str]]:
    """Return the photos in dataset.json, and the split of each."""
    photos, splits = [], []
    label = {name: i for i, name in enumerate(record['classes'])}
    for split, files in record['files'].items():
        root = Path(record['photos'] or folder / split)
        for path, sha in files.items():
            photo = Photo(
                f'{split}/{path}',
                str(root / path),
                label[path.partition('/')[0]],
                sha256=bytes.fromhex(sha),
            )
            photos.append(photo)
            splits.append(split)
    return photos, splits


def _duplicates(
    photos: list[Photo],
    splits: list[str],
    keeps_conflicts: bool,
    keeps_leaks: bool,
) -> tuple[list[str], list[str]]:
    """Return faults of identical photos, and near-duplicates in two splits."""
    groups = defaultdict(list)
    for i, number in enumerate(group(photos)):
        groups[number].append(i)
    faults: list[str] = []
    notes: list[str] = []
    for members in groups.values():
        is_split = len({splits[i] for i in members}) > 1
        if not is_split and len({photos[i].label for i in members}) < 2:
            continue
        before = len(faults)
        for places in identical([photos[i] for i in members]):
            equal = [members[k] for k in places]
            paths = ' = '.join(photos[i].path for i in equal)
            if len({splits[i] for i in equal}) > 1 and not keeps_leaks:
                faults.append(f'{paths}: identical photos in two splits')
            if (
                len({photos[i].label for i in equal}) > 1
                and not keeps_conflicts
            ):
                faults.append(f'{paths}: identical photos under two classes')
        if is_split and len(faults) == before:
            notes.append(' = '.join(photos[i].path for i in members))
    return faults, notes
