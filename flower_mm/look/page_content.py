"""What the page shows: tables, findings and thumbnails.

The thumbnails of a page have a limit of their bytes in total, so that it stays
below 10 MB for any number of photos and classes.
"""

import base64
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from flower_mm.errors import printable
from flower_mm.look.feature_map import FeatureMap, Outlier
from flower_mm.look.measure_photos import Measures
from flower_mm.look.photo_set import PhotoSet
from flower_mm.look.thumbnails import Size, thumbnails
from flower_mm.photo_faults import reason_lines
from flower_mm.prepare.photo import Photo

# Thumbnails of a class, and their size: the first row that fits.
SHEETS = (
    (18, Size(112, 6000)),
    (12, Size(112, 6000)),
    (8, Size(96, 4500)),
    (5, Size(80, 3000)),
    (3, Size(64, 1500)),
)
SHEET_BYTES = 4_600_000  # 6.1 MB as base64
MAX_SHEETS = SHEET_BYTES // (SHEETS[-1][0] * SHEETS[-1][1].most_bytes)
CARD = Size(128, 6000)
EXTREMES = 12  # photos of each kind
MAX_GROUPS, MAX_MEMBERS = 20, 5
OUTLIERS = 12  # of each kind
MAX_ROWS = 2000  # of the table
MAX_NAME = 120  # characters
FEW = 10  # photos of a class
MAX_FAULTS = 200


@dataclass
class Measured:
    """The photos that were measured; `faults` are those that are broken."""

    indices: list[int]  # in the photo set
    measures: list[Measures]
    faults: list[tuple[str, str]]  # name and reason

    @property
    def total(self) -> int:
        return len(self.indices) + len(self.faults)


def name_of(photo: Photo) -> str:
    """Return the name of a photo as the page shows it, on one line."""
    name = f'{photo.split}/{photo.path}' if photo.split else photo.path
    return printable(name, MAX_NAME)


def count_rows(photos: PhotoSet) -> dict:
    """Return the table of counts, for many classes a part of it."""
    counts = photos.counts()
    totals = counts.sum(1)
    order = np.arange(len(totals))
    if len(order) > MAX_ROWS:
        by_size = np.argsort(-totals, kind='stable')
        half = MAX_ROWS // 2
        order = np.concatenate([by_size[:half], by_size[-half:]])
    largest = max(1, int(totals.max(initial=0)))
    return {
        'splits': photos.splits,
        'sums': counts.sum(0).tolist(),
        'rows': [
            {
                'class': photos.classes[i],
                'counts': counts[i].tolist(),
                'total': int(totals[i]),
                'bar': 100 * totals[i] / largest,
            }
            for i in order
        ],
        'hidden': len(totals) - len(order),
        'largest': _extreme(photos, totals, totals.argmax()),
        'smallest': _extreme(photos, totals, totals.argmin()),
        'few': [
            photos.classes[i] for i in np.flatnonzero(totals < FEW).tolist()
        ],
        'lacking': {
            split: [
                photos.classes[i]
                for i in np.flatnonzero(counts[:, column] == 0).tolist()
            ]
            for column, split in enumerate(photos.splits)
            if split
        },
    }


def _extreme(photos: PhotoSet, totals: np.ndarray, i: int) -> dict:
    return {'class': photos.classes[i], 'photos': int(totals[i])}


def contact_sheets(photos: PhotoSet) -> dict:
    """Return thumbnails of each class, of very many classes of a part."""
    members = photos.of_classes()
    shown = [label for label, own in enumerate(members) if own]
    if len(shown) > MAX_SHEETS:
        shown = sorted(shown, key=lambda label: -len(members[label]))
        shown = sorted(shown[:MAX_SHEETS])
    count, size = next(
        row
        for row in (*SHEETS, SHEETS[-1])
        if row is SHEETS[-1]
        or len(shown) * row[0] * row[1].most_bytes <= SHEET_BYTES
    )
    # A few more, in the place of photos that cannot be read.
    chosen = [members[label][: count + 3] for label in shown]
    files = [photos.photos[i].file for i in chain(*chosen)]
    pictures = thumbnails(files, size)
    sheets = []
    for label, indices in zip(shown, chosen, strict=True):
        cards = [
            {'image': uri(picture), 'name': name_of(photos.photos[i])}
            for i in indices
            if (picture := next(pictures))
        ]
        sheets.append(
            {
                'class': photos.classes[label],
                'total': len(members[label]),
                'cards': cards[:count],
            }
        )
    return {
        'side': size.side,
        'classes': sheets,
        'hidden': sum(map(bool, members)) - len(shown),
    }


def size_facts(measures: Sequence[Measures]) -> dict:
    """Return what is known about the sizes and formats of photos."""
    sizes = np.array([(m.width, m.height) for m in measures])
    area = sizes.prod(1)
    kinds = Counter(m.kind for m in measures)
    return {
        'median': np.median(sizes, axis=0).round().astype(int).tolist(),
        'smallest': sizes[area.argmin()].tolist(),
        'largest': sizes[area.argmax()].tolist(),
        'landscape': int((sizes[:, 0] > sizes[:, 1]).sum()),
        'portrait': int((sizes[:, 0] < sizes[:, 1]).sum()),
        'kinds': kinds.most_common(12),
    }


def extremes(photos: PhotoSet, measured: Measured) -> list[dict]:
    """Return the darkest, brightest, blurriest and smallest photos."""
    measures = measured.measures
    kinds = [
        (
            'Darkest',
            'Mean of the grey levels, from 0 (black) to 255 (white).',
            lambda m: m.brightness,
            lambda m: f'{m.brightness:.0f}',
        ),
        (
            'Brightest',
            'Mean of the grey levels, from 0 (black) to 255 (white).',
            lambda m: -m.brightness,
            lambda m: f'{m.brightness:.0f}',
        ),
        (
            'Blurriest',
            'Variance of the Laplacian at 256 pixels: low without edges.',
            lambda m: m.sharpness,
            lambda m: f'{m.sharpness:.0f}',
        ),
        (
            'Smallest',
            'Width and height in pixels.',
            lambda m: m.width * m.height,
            lambda m: f'{m.width} x {m.height}',
        ),
    ]
    lists = []
    for title, note, value, text in kinds:
        order = sorted(range(len(measures)), key=lambda k: value(measures[k]))
        lists.append(
            {
                'title': title,
                'note': note,
                'cards': cards(
                    photos,
                    [
                        (measured.indices[k], text(measures[k]))
                        for k in order[:EXTREMES]
                    ],
                ),
            }
        )
    return lists


def near_duplicates(photos: PhotoSet, groups: list[list[int]]) -> dict:
    """Return groups side by side: those of several classes first."""

    def number_of(group: list[int], key: str) -> int:
        return len({getattr(photos.photos[i], key) for i in group})

    ranked = sorted(
        groups,
        key=lambda group: (
            number_of(group, 'label') < 2,
            number_of(group, 'split') < 2,
            -len(group),
        ),
    )
    return {
        'groups': len(groups),
        'photos': sum(map(len, groups)),
        'in_classes': sum(number_of(g, 'label') > 1 for g in groups),
        'in_splits': sum(number_of(g, 'split') > 1 for g in groups),
        'shown': [
            {
                'photos': len(group),
                'is_conflict': number_of(group, 'label') > 1,
                'in_splits': number_of(group, 'split') > 1,
                'cards': cards(photos, [(i, '') for i in group[:MAX_MEMBERS]]),
            }
            for group in ranked[:MAX_GROUPS]
        ],
    }


def outlier_cards(
    photos: PhotoSet,
    indices: Sequence[int],
    outliers: list[Outlier],
    first: int,
) -> list[dict]:
    """Return cards with the numbers that the map has, from `first` on."""
    shown = outliers[:OUTLIERS]
    found = cards(
        photos,
        [(indices[o.index], photos.classes[o.nearest]) for o in shown],
    )
    return [card | {'number': first + k} for k, card in enumerate(found)]


def map_points(
    drawn: FeatureMap, labels: np.ndarray, classes: list[str]
) -> list[dict]:
    """Return a path of dots for each class, on a map of 1000 x 640."""
    places = _on_page(drawn.positions)
    points = []
    for number, label in enumerate(np.unique(labels).tolist()):
        path = ''.join(
            f'M{x} {y}h0' for x, y in places[labels == label].tolist()
        )
        points.append(
            {
                'class': classes[label],
                'path': Verbatim(path),
                'colour': colour_of(number, len(np.unique(labels))),
                'photos': int((labels == label).sum()),
            }
        )
    return points


def map_marks(drawn: FeatureMap, outliers: list[Outlier]) -> list[dict]:
    """Return the numbered places of outliers on the map."""
    places = _on_page(drawn.positions)
    return [
        {'x': int(x), 'y': int(y), 'number': number}
        for number, (x, y) in enumerate(
            [places[outlier.index] for outlier in outliers], 1
        )
    ]


def _on_page(positions: np.ndarray) -> np.ndarray:
    return (positions * (960, -600) + (20, 620)).round().astype(int)


# Distinct with the usual kinds of colour blindness, on white and on black.
COLOURS = (
    '#2f7fc1', '#e08a00', '#1f9e6e', '#c9559b', '#d4582a', '#7d66cf',
    '#4fb6d8', '#a39400', '#8c5a3c', '#808790',
)  # fmt: skip


def colour_of(number: int, count: int) -> str:
    if count <= len(COLOURS):
        return COLOURS[number]
    # Steps of the golden angle, so that neighbours in the list differ.
    return f'hsl({round(number * 137.508) % 360} 62% 50%)'


def cards(
    photos: PhotoSet, rows: Iterable[tuple[int, str]], size: Size = CARD
) -> list[dict]:
    """Return thumbnails of photos, each with a text."""
    rows = list(rows)
    files = [photos.photos[i].file for i, _ in rows]
    return [
        {
            'image': uri(picture) if picture else None,
            'class': photos.classes[photos.photos[i].label],
            'name': name_of(photos.photos[i]),
            'text': text,
        }
        for (i, text), picture in zip(
            rows, thumbnails(files, size), strict=True
        )
    ]


def fault_lines(faults: Iterable[tuple[str, str]]) -> list[str]:
    return [printable(line, 300) for line in reason_lines(faults)]


@dataclass(frozen=True)
class Verbatim:
    """Text without names in it, which the page has whole and unescaped."""

    text: str

    def __html__(self) -> str:
        return self.text


def uri(jpeg: bytes) -> Verbatim:
    return Verbatim(
        f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
    )


def imbalance(counts: dict) -> int:
    """Return how many times larger the largest class is, rounded down."""
    return math.floor(
        counts['largest']['photos'] / max(1, counts['smallest']['photos'])
    )
