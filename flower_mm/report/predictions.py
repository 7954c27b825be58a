"""What a model said of each photo: the one CSV that tools write and read."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flower_mm.commands import command
from flower_mm.csv_files import read_rows, write_row
from flower_mm.errors import UserError, printable
from flower_mm.files import replacing

# In the run of a fold, beside its other files: of the photos it did not see.
HELD_OUT = 'held_out.csv'
# For people; the scores behind them say it all.
COLUMNS = ['photo', 'class', 'predicted', 'correct', 'confidence']
# A photo's name may be any bytes; they stand in the file as they are.
TEXT = {'encoding': 'utf-8', 'errors': 'surrogateescape', 'newline': ''}
NEAR = 0.01  # to which scores of a photo sum up to 1


@dataclass(frozen=True)
class Predictions:
    photos: list[str]  # paths as the dataset found them
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
    """One line a photo: its class, what it was taken for, all scores."""
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
            # numpy's text of a float32 is the shortest that is read as it.
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
        text.detach()  # which writes what it holds back


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote, or a stranger's like it."""
    try:
        with path.open(**TEXT) as file:
            return _read(read_rows(file), path)
    except FileNotFoundError:
        raise UserError(
            f'there is no {path}.\nMake it: '
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
            f'{path} holds no predictions: its first line is not '
            f'{",".join(COLUMNS)} and the classes'
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
                f'`{printable(",".join(row), 80)}` is no prediction'
            ) from None
        photos.append(photo)
        scores.append(line)
    if not photos:
        raise UserError(f'{path} holds no predictions')
    return Predictions(photos, np.array(labels), np.stack(scores), classes)


def _are_shares(scores: np.ndarray) -> bool:
    """Probabilities of one photo; no number fails every comparison."""
    return bool((scores >= 0).all() and abs(scores.sum() - 1) < NEAR)
