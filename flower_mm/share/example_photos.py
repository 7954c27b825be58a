"""Example photos of a shared folder, from the run's own dataset alone.

predictions.csv and run.json may be a stranger's. A photo goes out only if
dataset.json lists it with its sha256, and if that dataset.json is the one
that best.pth was trained on: nobody can name a photo that he has not seen.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from flower_mm.annotations import photos_folder
from flower_mm.decoding import BadPhotoError, decode_rgb, read_bytes
from flower_mm.errors import UserError, printable
from flower_mm.prepare import dataset_json
from flower_mm.report.predictions import read_predictions
from flower_mm.share.model_card import Example

SIDE = 512  # pixels of an example, at most


class Shareable(NamedTuple):
    """A photo of the dataset."""

    file: Path
    sha256: str


def write_examples(
    part: Path,
    predictions: Path,
    photos: dict[str, Shareable],
    count: int,
) -> list[Example]:
    """Copy photos that the model classifies correctly, without their EXIF.

    Args:
        part: The folder that is made.
        predictions: predictions.csv of the run.
        photos: What may be copied, by `class/name`.
        count: Photos of each class.
    """
    found = read_predictions(predictions)
    # All of them first: a list with one foreign photo is not of this run.
    names = [_listed(photo, photos, predictions) for photo in found.photos]
    taken: Counter[int] = Counter()
    examples = []
    for i in found.correct.nonzero()[0].tolist():
        label = int(found.labels[i])
        if taken[label] == count:
            continue
        picture = _picture(photos[names[i]])
        if picture is None:
            continue  # missing or changed since
        taken[label] += 1
        name = found.classes[label]
        plain_name = re.sub(r'[^\w-]+', '_', name, flags=re.ASCII)
        file = f'examples/{label + 1}_{plain_name}_{taken[label]}.jpg'
        (part / 'examples').mkdir(exist_ok=True)
        picture.save(part / file, 'JPEG', quality=90)
        examples.append(
            Example(file, name, 100 * float(found.scores[i, label]))
        )
    return sorted(examples, key=lambda example: _number(example.file))


def shareable(
    root: Path | None, split: str, trained_on: object
) -> dict[str, Shareable]:
    """The photos of a split by `class/name`.

    Args:
        root: The dataset.
        split: The one that predictions.csv is of.
        trained_on: best.pth's sha256 of its dataset.
    """
    if not root:
        raise UserError(
            '--examples needs the dataset of the run: --data-root FOLDER'
        )
    record = dataset_json.load(root)
    if dataset_json.digest(record['files']) != trained_on:
        raise UserError(
            f'{root} is not the dataset that best.pth was trained on, so '
            '--examples would share other photos.\nName that dataset: '
            '--data-root FOLDER, or leave --examples out'
        )
    folder = photos_folder(root, split)
    files = record['files'].get(split, {})
    return {
        name: Shareable(folder / name, sha256)
        for name, sha256 in files.items()
    }


def _listed(
    photo: str, photos: dict[str, Shareable], predictions: Path
) -> str:
    """The name of a photo in the dataset, wherever that lay then."""
    parts = photo.replace('\\', '/').split('/')
    for start in range(len(parts)):
        name = '/'.join(parts[start:])
        if name in photos:
            return name
    raise UserError(
        f'{predictions} names {printable(photo)}, which is no photo of the '
        'dataset of the run.\nLeave --examples out, or delete the file, so '
        'that the photos are predicted again'
    )


def _picture(photo: Shareable) -> Image.Image | None:
    """The photo made smaller, if its bytes are those of the dataset."""
    try:
        data = read_bytes(str(photo.file))
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            return None
        picture = Image.fromarray(decode_rgb(data))
    except BadPhotoError:
        return None
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def _number(file: str) -> tuple[int, int]:
    """Class and count, by which the examples are ordered."""
    stem = Path(file).stem
    return int(stem.partition('_')[0]), int(stem.rpartition('_')[2])
