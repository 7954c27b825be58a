"""Predictions in Parquet: a file for each part of the photos, a manifest."""

import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flower_mm.errors import UserError
from flower_mm.files import replacing, sweep, write_whole
from flower_mm.inference.work_list import import_pyarrow
from flower_mm.plain_text import escaped

# The files of a folder of results.
SETTINGS, LIST, MANIFEST = 'settings.json', 'photos.sqlite', 'manifest.json'
PART_NAME = re.compile(r'part-(\d{8,})\.parquet')
KEY = b'flower_mm'  # of the counts in a Parquet file


def part_file(folder: Path, number: int) -> Path:
    return folder / f'part-{number:08}.parquet'


@dataclass
class Counts:
    """What a part of the results contains."""

    settings: str  # their digest
    computed: str  # device and precision
    photos: int = 0
    errors: int = 0
    unsure: int = 0
    unknown: int = 0
    classes: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, file: Path) -> 'Counts | None':
        """Return the counts of a part; None if it is damaged."""
        pyarrow = import_pyarrow()
        import pyarrow.parquet as pq

        try:
            metadata = pq.read_metadata(file)
            values = json.loads(metadata.metadata[KEY])
            values['classes'] = Counter(values['classes'])
            counts = cls(**values)
        except (
            pyarrow.ArrowException,
            OSError,
            KeyError,
            TypeError,
            ValueError,
        ):
            return None
        return counts if counts.photos == metadata.num_rows else None


class Rows:
    """The rows of a part in columns, which are filled batch by batch."""

    def __init__(
        self, classes: list[str], topk: int, unknown_above: float
    ) -> None:
        self.classes, self.topk = classes, topk
        self.unknown_above = unknown_above
        self.names: list[str] = []
        self.errors: list[str | None] = []
        self.sets: list[tuple[str, ...] | None] = []
        # Of the photos that were read: classes and their probabilities.
        self.order: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self.calibrated: list[np.ndarray] = []
        self.unlike: list[np.ndarray] = []  # NaN if the model cannot tell

    def add(
        self,
        scores: np.ndarray,
        calibrated: np.ndarray,
        unlike: np.ndarray | None,
    ) -> None:
        """Add the probabilities of a batch (photos, classes)."""
        if unlike is None:
            unlike = np.full(len(scores), np.nan, np.float32)
        self.unlike.append(unlike)
        order = np.argsort(-calibrated, axis=1, kind='stable')
        order = order[:, : self.topk]
        self.order.append(order.astype(np.int32))
        for values, column in (
            (scores, self.scores),
            (calibrated, self.calibrated),
        ):
            column.append(np.take_along_axis(values, order, axis=1))

    def add_row(
        self,
        name: str,
        classes: tuple[str, ...] = (),
        error: str | None = None,
    ) -> None:
        """Add what is not in the probabilities."""
        self.names.append(name)
        self.sets.append(classes or None)
        self.errors.append(error)

    def write(
        self, file: Path, counts: Counts, threshold: float, calibrates: bool
    ) -> None:
        """Write the file of the part, and its counts in it."""
        pa = import_pyarrow()
        import pyarrow.parquet as pq

        def column(values: np.ndarray, kind: Any) -> Any:
            """Spread values over all rows; those with errors have none."""
            return pa.array(values, kind).take(places)

        good = np.array([error is None for error in self.errors], bool)
        places = pa.array(np.cumsum(good) - 1, pa.int64(), mask=~good)
        order, scores, calibrated = (
            np.concatenate([np.empty((0, self.topk), kind), *parts])
            for kind, parts in (
                (np.int32, self.order),
                (np.float32, self.scores),
                (np.float32, self.calibrated),
            )
        )
        unlike = np.concatenate([np.empty(0, np.float32), *self.unlike])
        unknown = unlike > self.unknown_above
        unsure = (calibrated[:, 0] < threshold) & ~unknown
        names = [_encodable(name) for name in self.names]
        top = pa.StructArray.from_arrays(
            [
                self._labels(order.ravel()),
                pa.array(scores.ravel(), pa.float32()),
                self._if(calibrates, calibrated.ravel()),
            ],
            ['class', 'probability', 'calibrated'],
        )
        columns = {
            'path': pa.array(names, pa.string()),
            # Only of names that are not UTF-8.
            'path_bytes': pa.array(
                [
                    None if name == given else os.fsencode(given)
                    for name, given in zip(names, self.names, strict=True)
                ],
                pa.binary(),
            ),
            'class': self._labels(order[:, 0]).take(places),
            'probability': column(scores[:, 0], pa.float32()),
            'calibrated': self._if(calibrates, calibrated[:, 0]).take(places),
            'unsure': column(unsure, pa.bool_()),
            'unknown': column(unknown, pa.bool_()),
            'unlikeness': pa.array(
                unlike, pa.float32(), mask=np.isnan(unlike)
            ).take(places),
            'top': pa.FixedSizeListArray.from_arrays(top, self.topk)
            .cast(pa.list_(top.type))
            .take(places),
            'classes': pa.array(self.sets, pa.list_(pa.string())),
            'error': pa.array(self.errors, pa.string()),
        }
        counts.photos = len(names)
        counts.errors = int((~good).sum())
        counts.unsure = int(unsure.sum())
        counts.unknown = int(unknown.sum())
        counts.classes.update(
            self.classes[i] for i in order[~unsure & ~unknown, 0]
        )
        table = pa.table(columns).replace_schema_metadata(
            {KEY: json.dumps(vars(counts))}
        )
        content = io.BytesIO()
        pq.write_table(table, content)
        write_whole(file, content.getbuffer())

    def _labels(self, numbers: np.ndarray) -> Any:
        pa = import_pyarrow()
        return pa.DictionaryArray.from_arrays(
            pa.array(numbers, pa.int32()), pa.array(self.classes, pa.string())
        )

    def _if(self, condition: bool, values: np.ndarray) -> Any:
        pa = import_pyarrow()
        if condition:
            return pa.array(values, pa.float32())
        return pa.nulls(len(values), pa.float32())


def _encodable(name: str) -> str:
    """Return the name in UTF-8, with other bytes escaped."""
    return name.encode(errors='backslashreplace').decode()


def prepare_folder(folder: Path, settings: dict, overwrite: bool) -> None:
    """Note the settings in a new folder, or require the same ones."""
    sweep(folder)
    file = folder / SETTINGS
    names = [path.name for path in folder.iterdir()]
    own = [n for n in names if n in (LIST, MANIFEST)]
    own += filter(PART_NAME.fullmatch, names)
    try:
        earlier = json.loads(file.read_text('utf-8'))
    except (OSError, ValueError):
        earlier = None
    # Names such as settings.json are not enough to call the files ours.
    is_ours = isinstance(earlier, dict) and 'model_sha256' in earlier
    others = sorted(set(names) - {'.lock'})
    if others and not is_ours:
        raise UserError(
            f'{folder} has other files, such as {escaped(others[0])}.\n'
            'Name a new folder: --out FOLDER'
        )
    if LIST not in names:  # so that there are no results
        earlier = None
    if earlier is not None and not overwrite:
        changed = [
            key
            for key in settings.keys() | earlier.keys()
            if settings.get(key) != earlier.get(key)
        ]
        for key in sorted(changed)[:1]:
            raise UserError(
                f'{folder} has predictions with another {key}: expected '
                f'{earlier.get(key)}, got {settings.get(key)}.\n'
                'Name another folder, or replace them all with --overwrite'
            )
    if overwrite or earlier is None:
        for name in own:
            (folder / name).unlink()
        write_json(file, settings)


def finished_parts(folder: Path, digest: str) -> dict[int, Counts]:
    """Return the complete parts; damaged ones are computed again."""
    parts = {}
    for path in folder.iterdir():
        if match := PART_NAME.fullmatch(path.name):
            counts = Counts.read(path)
            if counts and counts.settings == digest:
                parts[int(match[1])] = counts
    return parts


def write_manifest(
    folder: Path, settings: dict, parts: Iterable[Counts]
) -> dict:
    """Write the sums over all parts."""
    total = Counts('', '')
    number, computed = 0, Counter[str]()
    for part in parts:
        number += 1
        total.photos += part.photos
        total.errors += part.errors
        total.unsure += part.unsure
        total.unknown += part.unknown
        total.classes.update(part.classes)
        computed[part.computed] += part.photos
    manifest = {
        'photos': total.photos,
        'errors': total.errors,
        'unsure': total.unsure,
        'unknown': total.unknown,
        'classes': dict(total.classes.most_common()),
        'parts': number,
        'computed': dict(computed),  # photos by device and precision
        'settings': settings,
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def write_json(file: Path, content: dict) -> None:
    with replacing(file, 'w') as target:
        json.dump(content, target, indent=2)
        target.write('\n')
