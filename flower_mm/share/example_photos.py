"""Example photos of a shared folder, from the dataset of the run only.

predictions.csv and run.json may come from a stranger, who could name a private
photo of the user. A photo is copied only if dataset.json lists it with its
sha256, and if that dataset.json is the one that best.pth was trained on.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from flower_mm.annotations import photos_folder
from flower_mm.decoding import BadPhotoError, decode_rgb
from flower_mm.errors import UserError, printable
from flower_mm.photo_bytes import read_bytes
from flower_mm.prepare import dataset_json
from flower_mm.report.predictions import read_predictions
from flower_mm.share.model_card import Example

MAX_SIDE = 512  # pixels of an example


class DatasetPhoto(NamedTuple):
    """A photo of the dataset, with its recorded sha256."""

    file: Path
    sha256: str


def write_examples(
    folder: Path,
    predictions: Path,
    photos: dict[str, DatasetPhoto],
    count: int,
) -> list[Example]:
    """Copy photos that the model classifies correctly, without their EXIF.

    Args:
        folder: The folder to share.
        predictions: predictions.csv of the run.
        photos: The photos that may be copied, by `class/name`.
        count: Photos of each class.
    """
    predicted = read_predictions(predictions)
    # All are checked first: one foreign photo means another run's list.
    names = [
        _name_of(photo, photos, predictions) for photo in predicted.photos
    ]
    copied: Counter[int] = Counter()
    examples = {}
    for i in predicted.correct.nonzero()[0].tolist():
        label = int(predicted.labels[i])
        if copied[label] == count:
            continue
        picture = _picture(photos[names[i]])
        if picture is None:
            continue  # missing, or changed after the training
        copied[label] += 1
        name = predicted.classes[label]
        plain_name = re.sub(r'[^\w-]+', '_', name, flags=re.ASCII)
        file = f'examples/{label + 1}_{plain_name}_{copied[label]}.jpg'
        (folder / 'examples').mkdir(exist_ok=True)
        picture.save(folder / file, 'JPEG', quality=90)
        score = 100 * float(predicted.scores[i, label])
        examples[label, copied[label]] = Example(file, name, score)
    return [examples[key] for key in sorted(examples)]


def photos_to_share(
    root: Path | None, split: str, trained_on: object
) -> dict[str, DatasetPhoto]:
    """Return the photos of a split by `class/name`.

    Args:
        root: The dataset.
        split: The split of predictions.csv.
        trained_on: The sha256 of the dataset that best.pth names.
    """
    if not root:
        raise UserError(
            'the dataset of the run, from which --examples copies, is '
            'unknown.\nName it: --data FOLDER'
        )
    record = dataset_json.load(root)
    if dataset_json.digest(record['files']) != trained_on:
        raise UserError(
            f'{root} is not the dataset that best.pth was trained on.\n'
            'Name that dataset: --data FOLDER, or omit --examples'
        )
    folder = photos_folder(root, split)
    files = record['files'].get(split, {})
    return {
        name: DatasetPhoto(folder / name, sha256)
        for name, sha256 in files.items()
    }


def _name_of(
    photo: str, photos: dict[str, DatasetPhoto], predictions: Path
) -> str:
    """Return the end of a path that is the name of a photo in the dataset."""
    parts = photo.replace('\\', '/').split('/')
    for start in range(len(parts)):
        name = '/'.join(parts[start:])
        if name in photos:
            return name
    raise UserError(
        f'{predictions} names {printable(photo)}: expected photos of the '
        'dataset of the run.\n'
        'Omit --examples, or delete that file so that it is written again'
    )


def _picture(photo: DatasetPhoto) -> Image.Image | None:
    """Return a smaller photo, or None if its bytes have changed."""
    try:
        data = read_bytes(str(photo.file))
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            return None
        picture = Image.fromarray(decode_rgb(data))
    except BadPhotoError:
        return None
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return picture
