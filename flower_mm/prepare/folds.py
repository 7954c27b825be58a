"""Split the photos of a dataset into folds for cross-validation."""

import csv
import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from flower_mm import shards
from flower_mm.csv_files import read_dicts, write_row
from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.prepare import dataset_json, write_dataset
from flower_mm.prepare.near_duplicates import group
from flower_mm.prepare.photo import Photo, name_photos
from flower_mm.prepare.prepare_dataset import Options
from flower_mm.prepare.scan_photos import scan
from flower_mm.prepare.split import draw
from flower_mm.trust import trust

LIST = 'photos.csv'


class HeldOut(NamedTuple):
    """A photo and the fold in which it is held out."""

    photo: str  # path of the file
    label: int
    fold: int  # counted from 1


def make_folds(
    photos: list[Photo],
    classes: list[str],
    count: int,
    seed: int,
    root: str | None,
    out: Path,
    note: dict,
) -> None:
    """Write the datasets `out`/1 to `out`/`count`, and a list of all photos.

    The datasets refer to the photos below `root`. If these are not in one
    folder of class folders, `out`/photos gets links to them. `note` goes into
    each dataset.json.
    """
    scan(photos)
    groups = _group_readable(photos)
    _refuse_too_many(groups, photos, classes, count)
    folds = assign_folds(
        groups,
        [photo.label for photo in photos],
        [photo.sha256 for photo in photos],
        count,
        seed,
    )
    in_place = root is not None and all(
        Path(photo.file) == Path(root, photo.path) for photo in photos
    )
    name_photos(photos, in_place)
    work = out.with_name(f'.{out.name}.work')
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if not in_place:
        root = (out / 'photos').resolve().as_posix()
        _link(photos, classes, work / 'photos')
    options = Options(val=1 / count, seed=seed, how='none', on_conflict='keep')
    for fold in range(1, count + 1):
        splits = ['val' if own == fold else 'train' for own in folds]
        files = dataset_json.files_of(photos, splits, classes, options)
        record = dataset_json.make(files, classes, options)
        record |= {'photos': root, 'folds': note}
        held_out = splits.count('val')
        write_dataset.write_texts(
            record,
            f'Fold {fold} of {count}: {held_out} photos held out, '
            f'{len(photos) - held_out} for training\n',
            work / str(fold),
        )
    with replacing(work / LIST, 'w') as file:
        write_row(file, ['photo', 'class', 'fold'])
        for photo, fold in zip(photos, folds, strict=True):
            write_row(file, [photo.file, classes[photo.label], fold])
    work.rename(out)
    for fold in range(1, count + 1):
        trust(out / str(fold))  # the photos are those of a trusted dataset


def read_list(out: Path, classes: list[str]) -> list[HeldOut]:
    """Read the fold of each photo, in the dataset's order."""
    path = out / LIST
    label_of = {name: i for i, name in enumerate(classes)}
    try:
        with path.open(encoding='utf-8', newline='') as file:
            return [
                HeldOut(row['photo'], label_of[row['class']], int(row['fold']))
                for row in read_dicts(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f'{path} cannot be read: {type(error).__name__}: {error}.\n'
            'Create new folds: omit --resume'
        ) from error


def _group_readable(photos: list[Photo]) -> list[int]:
    """Number near-duplicates alike; an unreadable photo is its own group."""
    groups = list(range(len(photos)))
    readable = [i for i, photo in enumerate(photos) if photo.thumb]
    numbers = group([photos[i] for i in readable])
    for i, number in zip(readable, numbers, strict=True):
        groups[i] = readable[number]
    return groups


def assign_folds(
    groups: list[int],
    labels: list[int],
    shas: list[bytes],
    count: int,
    seed: int,
) -> list[int]:
    """Return the fold of each photo, 1 to `count`; groups stay together.

    Groups of several classes come first, then class by class: large groups
    first, then in the order that the seed draws. Each goes to the fold with
    the fewest photos of its classes, then the fewest of all.
    """
    members_of = defaultdict(list)
    for i, number in enumerate(groups):
        members_of[number].append(i)
    drawn = []
    for members in members_of.values():
        of_labels = Counter(labels[i] for i in members)
        first = min(shas[i] for i in members)
        order = (-len(of_labels), min(of_labels), -len(members))
        drawn.append((order, draw(seed, first), of_labels, members))
    folds = [0] * len(groups)
    of_class: Counter[tuple[int, int]] = Counter()
    of_all: Counter[int] = Counter()
    for _, _, of_labels, members in sorted(drawn, key=lambda group: group[:2]):
        fold = min(
            range(1, count + 1),
            key=lambda f: (
                sum(of_class[label, f] for label in of_labels),
                of_all[f],
                f,
            ),
        )
        for label, photos in of_labels.items():
            of_class[label, fold] += photos
        of_all[fold] += len(members)
        for i in members:
            folds[i] = fold
    return folds


def _refuse_too_many(
    groups: list[int], photos: list[Photo], classes: list[str], count: int
) -> None:
    """Raise UserError unless each fold gets a photo of each class."""
    different = {
        name: len(
            {g for g, p in zip(groups, photos, strict=True) if p.label == i}
        )
        for i, name in enumerate(classes)
    }
    name = min(different, key=different.__getitem__)
    if different[name] < count:
        advice = (
            f'Try: --folds {different[name]}'
            if different[name] > 1
            else 'Add photos of this class'
        )
        raise UserError(
            f'too few photos for {count} folds: expected {count} different '
            f'photos of each class, got {different[name]} of {name}.\n'
            f'{advice}'
        )


def _link(photos: list[Photo], classes: list[str], folder: Path) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
    for photo in photos:
        source = os.path.realpath(photo.file)
        target = folder / classes[photo.label] / photo.name
        content = shards.read(photo.file)
        if content is not None:
            target.write_bytes(content)
            continue
        try:
            target.hardlink_to(source)
        except OSError:  # another disk
            try:
                target.symlink_to(source)
            except OSError as error:
                raise UserError(
                    f'cannot create a link to a photo: {target} '
                    f'({error.strerror}).\nPlace the work folder on the disk '
                    'of the photos (--work-dir FOLDER), or prepare the photos '
                    'with --how none'
                ) from error
