"""Is a dataset still what its dataset.json says?"""

import hashlib
import os
from collections import defaultdict
from pathlib import Path

from flower_mm.commands import command
from flower_mm.decoding import BadPhotoError, read_bytes
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.links import is_inside, read_file
from flower_mm.prepare import dataset_json
from flower_mm.prepare.class_folders import Photo, list_folder, shown
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.scan_photos import scan
from flower_mm.prepare.summary import first
from flower_mm.prepare.write_dataset import recover
from flower_mm.trust import is_trusted, require_trust


def check(folder: Path) -> None:
    """Run every check on a dataset; raise if one finds something."""
    recover(folder.resolve())
    record = dataset_json.load(folder)
    wrong = _texts(folder, record) + _strangers(folder, record)
    photos, sides = _photos(folder, record)
    _refuse_foreign(folder, photos)
    shas = [photo.sha256 for photo in photos]
    scan(photos, 'checking photos')
    for photo, sha256 in zip(photos, shas, strict=True):
        if photo.sha256 and photo.sha256 != sha256:
            wrong.append(f'{photo.path}: changed')
        elif photo.bad:
            wrong.append(f'{photo.path}: {photo.bad}')
    sound = [i for i, photo in enumerate(photos) if not photo.bad]
    faults, notes = _duplicates(
        [photos[i] for i in sound],
        [sides[i] for i in sound],
        record['options']['on_conflict'] == 'keep',
    )
    wrong += faults
    if notes:
        # A version that searched otherwise may have prepared the dataset, or
        # the sides come from an earlier one.
        print(f'Near-duplicates on two sides of the split ({len(notes)}):')
        print('\n'.join(first(notes)))
        print(
            'They make held-out accuracy look better than it is. Prepare the '
            'photos again, into another --out, for a split that keeps them '
            'together.'
        )
    if wrong:
        print('\n'.join(first(wrong, 50)))
        raise UserError(
            f'{folder} is not what its {DatasetDir.RECORD} says: {len(wrong)} '
            'faults (listed above).\nMake it again: '
            + command('prepare', 'PHOTOS', '--out', folder, '--overwrite')
        )
    print(
        f'{folder} is what its {DatasetDir.RECORD} says: '
        f'{len(photos)} photos of '
        f'{len(record["classes"])} classes, unchanged, readable, no '
        'identical photos on two sides'
    )


def _refuse_foreign(folder: Path, photos: list[Photo]) -> None:
    """Stop if photos outside of a received dataset are not those it lists.

    Who made it has seen a photo whose sha256 he knows; another is private.
    """
    if is_trusted(folder):
        return
    for photo in photos:
        if is_inside(photo.file, folder):
            continue
        if _sha256(photo) != photo.sha256:
            require_trust(folder, os.path.realpath(photo.file))


def _sha256(photo: Photo) -> bytes | None:
    try:
        return hashlib.sha256(read_bytes(photo.file)).digest()
    except BadPhotoError:
        return None


def damages(folder: Path) -> list[str]:
    """Texts and bytes that are not what dataset.json says; no decoding."""
    record = dataset_json.load(folder)
    wrong = _texts(folder, record) + _strangers(folder, record)
    for photo in _photos(folder, record)[0]:
        sha256 = _sha256(photo)
        if sha256 != photo.sha256:
            what = 'changed' if sha256 else 'cannot be read'
            wrong.append(f'{photo.path}: {what}')
    return wrong


def _texts(folder: Path, record: dict) -> list[str]:
    wrong = []
    files, classes = record['files'], record['classes']
    if dataset_json.digest(files) != record['sha256']:
        wrong.append(
            f'{DatasetDir.RECORD}: its sha256 is not that of its files'
        )
    if dataset_json.counts(files, classes) != record['counts']:
        wrong.append(
            f'{DatasetDir.RECORD}: its counts are not those of its files'
        )
    expected = {DatasetDir.CLASSES: classes}
    for side, photos in files.items():
        lines = dataset_json.annotation(photos, classes)
        expected[DatasetDir.list_of(side)] = lines
    for name, lines in expected.items():
        try:
            text = read_file(folder / name).decode()
        except (OSError, ValueError) as error:
            wrong.append(f'{name}: cannot be read ({error})')
            continue
        # Git or an editor may have changed the ends of the lines.
        if text.replace('\r\n', '\n') != ''.join(f'{x}\n' for x in lines):
            wrong.append(f'{name}: changed')
    return wrong


def _strangers(folder: Path, record: dict) -> list[str]:
    """Files beside the photos that nobody put there."""
    if record['photos'] is not None:
        return []  # PHOTOS may hold what was left out
    wrong = []
    for side, photos in record['files'].items():
        if (folder / side).is_dir():
            found = list_folder(folder / side).files
            extra = sorted(found.keys() - photos.keys())
            wrong += [f'{side}/{shown(path)}: not ours' for path in extra]
    return wrong


def _photos(folder: Path, record: dict) -> tuple[list[Photo], list[str]]:
    photos, sides = [], []
    label = {name: i for i, name in enumerate(record['classes'])}
    for side, files in record['files'].items():
        root = Path(record['photos'] or folder / side)
        for path, sha in files.items():
            photo = Photo(
                f'{side}/{path}',
                str(root / path),
                label[path.partition('/')[0]],
                sha256=bytes.fromhex(sha),
            )
            photos.append(photo)
            sides.append(side)
    return photos, sides


def _duplicates(
    photos: list[Photo], sides: list[str], kept: bool
) -> tuple[list[str], list[str]]:
    """Faults of identical photos, and near-duplicates on two sides."""
    groups = defaultdict(list)
    for i, number in enumerate(group(photos)):
        groups[number].append(i)
    faults, notes = [], []
    for members in groups.values():
        is_split = len({sides[i] for i in members}) > 1
        if not is_split and len({photos[i].label for i in members}) < 2:
            continue
        before = len(faults)
        for places in identical([photos[i] for i in members]):
            equal = [members[k] for k in places]
            paths = ' = '.join(photos[i].path for i in equal)
            if len({sides[i] for i in equal}) > 1:
                faults.append(f'{paths}: identical photos on two sides')
            if len({photos[i].label for i in equal}) > 1 and not kept:
                faults.append(f'{paths}: identical photos under two classes')
        if is_split and len(faults) == before:
            notes.append(' = '.join(photos[i].path for i in members))
    return faults, notes
