"""predictions.csv: the scores of each photo, for all tools."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flower_mm.commands import command
from flower_mm.csv_files import read_rows, write_row
from flower_mm.errors import UserError, printable
from flower_mm.files import replacing

# The columns before those of the scores, for readers of the file.
COLUMNS = ['photo', 'class', 'predicted', 'correct', 'confidence']
# A file name may be any bytes, which are kept.
TEXT: dict[str, Any] = {
    'encoding': 'utf-8',
    'errors': 'surrogateescape',
    'newline': '',
}
TOLERANCE = 0.01  # of the sum of the scores of a photo


@dataclass(frozen=True)
class Predictions:
    """The scores of a model on labelled photos."""

    photos: list[str]  # paths
    labels: np.ndarray  # (photos,) indices of the true classes
    scores: np.ndarray  # (photos, classes) float32, each row sums to 1
    classes: list[str]

    @property
    def predicted(self) -> np.ndarray:
        return self.scores.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        return self.predicted == self.labels


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write one line per photo: label, predicted class and all scores."""
    classes = predictions.classes
    with replacing(path) as file:
        text = io.TextIOWrapper(file, **TEXT)
        write_row(text, [*COLUMNS, *classes])
        for photo, label, best, scores in zip(
            predictions.photos,
            predictions.labels,
            predictions.predicted,
            predictions.scores.astype(np.float32),
            strict=True,
        ):
            # str() of a float32 is the shortest text with the same value.
            write_row(
                text,
                [
                    photo,
                    classes[label],
                    classes[best],
                    int(best == label),
                    str(scores[best]),
                    *map(str, scores),
                ],
            )
        text.detach()  # writes what is buffered


def read_predictions(path: Path) -> Predictions:
    """Read the file of `write_predictions`, which may be a stranger's."""
    try:
        with path.open(**TEXT) as file:
            return _read(read_rows(file), path)
    except FileNotFoundError:
        raise UserError(
            f'{path} is missing.\nWrite it: '
            + command('test', 'CONFIG', 'CHECKPOINT', '--out', path)
        ) from None
    except (OSError, csv.Error) as error:
        raise UserError(f'{path} cannot be read: {error}') from error


def _read(rows: Iterator[tuple[int, list[str]]], path: Path) -> Predictions:
    _, header = next(rows, (0, []))
    classes = header[len(COLUMNS) :]
    alike = len(set(classes)) != len(classes)
    if header[: len(COLUMNS)] != COLUMNS or len(classes) < 2 or alike:
        raise UserError(
            f'{path} is not a file of predictions: expected '
            f'{",".join(COLUMNS)} and the classes in the first line'
        )
    label_of = {name: i for i, name in enumerate(classes)}
    photos, labels, scores = [], [], []
    for number, row in rows:
        try:
            photo, name, *_ = row
            line = np.array(row[len(COLUMNS) :], np.float32)
            if len(row) != len(header) or not _are_shares(line):
                raise ValueError
            labels.append(label_of[name])
        except (ValueError, KeyError):
            raise UserError(
                f'{path}, line {number}: '
                f'invalid prediction `{printable(",".join(row), 80)}`'
            ) from None
        photos.append(photo)
        scores.append(line)
    if not photos:
        raise UserError(f'{path} contains no predictions')
    return Predictions(photos, np.array(labels), np.stack(scores), classes)


def _are_shares(scores: np.ndarray) -> bool:
    """Whether these are probabilities of a photo; NaN fails every test."""
    return bool((scores >= 0).all() and abs(scores.sum() - 1) < TOLERANCE)
