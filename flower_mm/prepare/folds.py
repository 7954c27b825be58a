"""The photos of a dataset in equal parts, each of which is held out once."""

import csv
import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from flower_mm.csv_files import read_dicts, write_row
from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.prepare import prepare_dataset, write_dataset
from flower_mm.prepare.class_folders import Photo, name_photos
from flower_mm.prepare.near_duplicates import group
from flower_mm.prepare.scan_photos import scan
from flower_mm.prepare.split import draw
from flower_mm.trust import trust

LIST = 'photos.csv'


class Held(NamedTuple):
    """A photo and the fold that it is held out in, counted from 1."""

    photo: str  # where it lies
    label: int
    fold: int


def make_folds(
    photos: list[Photo],
    classes: list[str],
    count: int,
    seed: int,
    root: str | None,
    out: Path,
    note: dict,
) -> None:
    """Write the datasets `out`/1 to `out`/`count`, and the list of all.

    Each is a dataset that points to its photos, none is copied: below
    `root`, or, where they have no one folder of class folders, by links in
    `out`/photos. `note` goes into each dataset.json.
    """
    scan(photos)
    groups = group_readable(photos)
    _refuse_too_many(groups, photos, classes, count)
    folds = deal(
        groups,
        [photo.label for photo in photos],
        [photo.sha256 for photo in photos],
        count,
        seed,
    )
    in_place = bool(root) and all(
        Path(photo.file) == Path(root, photo.path) for photo in photos
    )
    name_photos(photos, in_place)
    work = out.with_name(f'.{out.name}.work')
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if not in_place:
        root = (out / 'photos').resolve().as_posix()
        _link(photos, classes, work / 'photos')
    options = prepare_dataset.Options(
        val=1 / count, seed=seed, how='none', on_conflict='keep'
    )
    for fold in range(1, count + 1):
        sides = ['val' if held == fold else 'train' for held in folds]
        record = prepare_dataset.record_of(photos, sides, classes, options)
        record |= {'photos': root, 'folds': note}
        held = sides.count('val')
        write_dataset.write_texts(
            record,
            f'Fold {fold} of {count}: {held} photos are held out, '
            f'{len(photos) - held} to learn from\n',
            work / str(fold),
        )
    with replacing(work / LIST, 'w') as file:
        write_row(file, ['photo', 'class', 'fold'])
        for photo, fold in zip(photos, folds, strict=True):
            write_row(file, [photo.file, classes[photo.label], fold])
    work.rename(out)
    for fold in range(1, count + 1):
        trust(out / str(fold))  # photos of a dataset that could be read


def read_list(out: Path, classes: list[str]) -> list[Held]:
    """Which photo is held out in which fold, in the dataset's order."""
    path = out / LIST
    label_of = {name: i for i, name in enumerate(classes)}
    try:
        with path.open(encoding='utf-8', newline='') as file:
            return [
                Held(row['photo'], label_of[row['class']], int(row['fold']))
                for row in read_dicts(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f'{path} cannot be read: {type(error).__name__}: {error}.\n'
            'Make the folds anew: leave --resume out'
        ) from error


def group_readable(photos: list[Photo]) -> list[int]:
    """Number equal photos alike; one that cannot be read equals none."""
    groups = list(range(len(photos)))
    sound = [i for i, photo in enumerate(photos) if photo.thumb]
    for i, number in zip(
        sound, group([photos[i] for i in sound]), strict=True
    ):
        groups[i] = sound[number]
    return groups


def deal(
    groups: list[int],
    labels: list[int],
    shas: list[bytes],
    count: int,
    seed: int,
) -> list[int]:
    """Give each photo its fold, 1 to `count`; a group stays together.

    Groups of several classes come first, then class by class: the large
    groups first, then in the order that the seed draws. Each goes to the fold
    that has the fewest photos of its classes, and of all.
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
    of_class, of_all = Counter(), Counter()
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
    """Each fold needs a photo of each class, to hold out."""
    different = {
        name: len(
            {g for g, p in zip(groups, photos, strict=True) if p.label == i}
        )
        for i, name in enumerate(classes)
    }
    name = min(different, key=different.get)
    if different[name] < count:
        advice = (
            f'At most: --folds {different[name]}'
            if different[name] > 1
            else 'Add photos of it'
        )
        raise UserError(
            f'{count} folds take {count} different photos of each class; of '
            f'{name} there are {different[name]}.\n{advice}'
        )


def _link(photos: list[Photo], classes: list[str], folder: Path) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
    for photo in photos:
        source = os.path.realpath(photo.file)
        target = folder / classes[photo.label] / photo.name
        try:
            target.hardlink_to(source)
        except OSError:  # another disk
            try:
                target.symlink_to(source)
            except OSError as error:
                raise UserError(
                    f'{target} cannot be a link to the photo '
                    f'({error.strerror}).\nName a work dir on the disk of '
                    'the photos: --work-dir FOLDER; or prepare them with '
                    '--how none'
                ) from error
