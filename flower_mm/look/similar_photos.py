"""Run `flower-mm similar`."""

import argparse
import json
import sys
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flower_mm.commands import command
from flower_mm.console import progress
from flower_mm.decoding import read_bytes
from flower_mm.errors import UserError, printable
from flower_mm.exit_codes import OK, USER_ERROR
from flower_mm.inference import prediction_files
from flower_mm.inference.classifier import Unread
from flower_mm.inference.features import FeatureModel, features_of, nearest
from flower_mm.inference.photo_files import PhotoFile, list_photos
from flower_mm.inference.photo_reader import Source
from flower_mm.inference.prediction_files import STDOUT
from flower_mm.layout import DatasetDir
from flower_mm.look.stored_model import model_of
from flower_mm.photo_faults import reason_lines
from flower_mm.report.evaluated_photos import LabelledPhotos, photos_of_split

MAX_FAULTS = 5  # training photos that cannot be read, in the list


class Neighbour(NamedTuple):
    """A training photo, and its cosine similarity to another photo."""

    photo: str
    label: str
    similarity: float


def similar(args: argparse.Namespace) -> int:
    """List the nearest training photos; return the exit code."""
    root = Path(args.data_root)
    listed = _training_photos(root)
    bad: list[Unread] = []
    with ExitStack() as stack:
        photos: list[PhotoFile] = []
        for photo in list_photos(args.photos, stack):
            if isinstance(photo, Unread):
                bad.append(photo)
            else:
                photos.append(photo)
        if args.json:
            prediction_files.require_safe_output('--json', args.json, photos)
        model = model_of(args.run, args.weights, args.device, args.imports)
        vectors, known = _vectors(model, photos, bad)
        results = _search(model, listed, vectors, args.count)
    found = list(zip(known, results, strict=True))
    if args.json:
        _write_json(args, model, found, bad)
    if args.json != STDOUT:
        _print(found)
    if bad:
        total = len(bad) + len(known)
        lines = prediction_files.list_unread(bad, total, 'compared')
        print(lines, file=sys.stderr)
    return USER_ERROR if bad else OK


def _training_photos(root: Path) -> LabelledPhotos:
    if root.is_dir() and not (root / DatasetDir.list_of('train')).is_file():
        raise UserError(
            f'{root} is not a prepared dataset.\n'
            f'Prepare it: {command("prepare", root, "--out", "DATASET")}'
        )
    return photos_of_split(root, 'train')


def _vectors(
    model: FeatureModel, photos: list[PhotoFile], bad: list[Unread]
) -> tuple[np.ndarray, list[PhotoFile]]:
    """Return the features of those photos that can be read."""
    sources = (
        Source(photo.name, partial(read_bytes, photo.file)) for photo in photos
    )
    rows: list[np.ndarray] = []
    known: list[PhotoFile] = []
    with (
        closing(model.features(sources)) as computed,
        progress(len(photos), 'reading photos') as advance,
    ):
        for photo, row in zip(photos, computed, strict=True):
            if isinstance(row, Unread):
                bad.append(row)
            else:
                rows.append(row)
                known.append(photo)
            advance(1)
    return np.array(rows, np.float32), known


def _search(
    model: FeatureModel,
    listed: LabelledPhotos,
    queries: np.ndarray,
    count: int,
) -> list[list[Neighbour]]:
    if not len(queries):
        return []
    training = features_of(model, listed.photos, 'training photos')
    if training.unread:
        faults = [(each.photo, each.why) for each in training.unread]
        print(
            f'{len(faults)} of {len(listed.photos)} training photos are left '
            'out:',
            *reason_lines(faults[:MAX_FAULTS]),
            sep='\n  ',
            file=sys.stderr,
        )
    indices, similarities = nearest(training.vectors, queries, count)
    return [
        [
            Neighbour(
                listed.photos[training.indices[i]],
                listed.classes[listed.labels[training.indices[i]]],
                float(similarity),
            )
            for i, similarity in zip(row, values, strict=True)
        ]
        for row, values in zip(indices, similarities, strict=True)
    ]


def _print(found: list[tuple[PhotoFile, list[Neighbour]]]) -> None:
    for photo, neighbours in found:
        print(printable(photo.name, 300))
        names = [printable(each.label, 40) for each in neighbours]
        width = max(map(len, names), default=0)
        for name, each in zip(names, neighbours, strict=True):
            path = printable(each.photo, 300)
            print(f'  {each.similarity:.3f}  {name:{width}}  {path}')


def _write_json(
    args: argparse.Namespace,
    model: FeatureModel,
    found: list[tuple[PhotoFile, list[Neighbour]]],
    bad: list[Unread],
) -> None:
    content = {
        'model': str(model.network.file),
        'dataset': args.data_root,
        'photos': [
            {
                'photo': photo.name,
                'nearest': [
                    {
                        'photo': neighbour.photo,
                        'class': neighbour.label,
                        'similarity': round(neighbour.similarity, 4),
                    }
                    for neighbour in neighbours
                ],
            }
            for photo, neighbours in found
        ],
        'bad': [{'photo': each.photo, 'why': each.why} for each in bad],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + '\n'
    with prediction_files.opened(args.json) as file:
        # Bytes that are not UTF-8 are written as \udcff.
        file.write(text.encode(errors='backslashreplace'))
