"""The training photos in an order whose beginnings are stratified samples."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from flower_mm.annotations import photos_folder, read_annotations, read_classes
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.photo_bytes import sha256_of
from flower_mm.prepare.folds import assign_folds
from flower_mm.prepare.split import draw
from flower_mm.report.dataset_findings import near_duplicates
from flower_mm.report.predictions import Predictions

FOLDS = 5
SEED = 0
FEWEST = 2 * FOLDS  # photos


class TrainPhotos:
    """The photos of train; val and test stay unread.

    Attributes:
        indices: The index of each photo in the list of the dataset.
        names: Its path in the folder of the split.
        labels: (photos,)
    """

    def __init__(self, root: Path) -> None:
        self.root, self.classes = root, read_classes(root)
        self.folder = photos_folder(root, 'train').absolute()
        photos = read_annotations(
            root / DatasetDir.list_of('train'),
            self.folder,
            self.classes,
            root=root,
        )
        if len(photos) < FEWEST:
            raise UserError(
                f'too few training photos in {root}: expected at least '
                f'{FEWEST}, got {len(photos)}'
            )
        self.indices = stratified_order(photos)
        self.names = [photos[i].name for i in self.indices]
        self.labels = np.array([photos[i].label for i in self.indices])
        self._hashes: list[bytes] = []

    def __len__(self) -> int:
        return len(self.names)

    def sha256(self, count: int) -> list[bytes]:
        """Return the hashes of the first photos, each computed once."""
        for name in self.names[len(self._hashes) : count]:
            self._hashes.append(
                bytes.fromhex(sha256_of(str(self.folder / name)))
            )
        return self._hashes[:count]

    def groups(self, count: int) -> list[int]:
        """Number near-duplicates among the first photos alike."""
        paths = [str(self.folder / name) for name in self.names[:count]]
        listed = Predictions(
            paths, self.labels[:count], np.zeros((count, 0)), self.classes
        )
        numbers = list(range(count))
        for group in near_duplicates(self.root, listed) or []:
            for i in group:
                numbers[i] = group[0]
        return numbers

    def folds(self, count: int) -> np.ndarray:
        """Return the fold of each of the first photos, 1 to FOLDS."""
        labels, names = self.labels[:count].tolist(), map(_key, self.names)
        groups = self.groups(count)
        return np.array(assign_folds(groups, labels, list(names), FOLDS, SEED))

    def effective(self, count: int) -> float:
        """Return the number of photos as evidence, as the report has it."""
        sizes = Counter(self.groups(count)).values()
        return count**2 / sum(size**2 for size in sizes)


def stratified_order(photos: list) -> list[int]:
    """Return indices in an order with all classes in each beginning.

    In a class, the order is drawn from the names of the photos.
    """
    of_class = defaultdict(list)
    for i, photo in enumerate(photos):
        drawn = draw(SEED, _key(photo.name))
        of_class[photo.label].append((drawn, photo.name, i))
    places = {
        i: ((place + 0.5) / len(members), label)
        for label, members in of_class.items()
        for place, (*_, i) in enumerate(sorted(members))
    }
    return sorted(places, key=places.__getitem__)


def _key(name: str) -> bytes:
    return name.encode(errors='surrogatepass')
