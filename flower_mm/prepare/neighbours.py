"""Find the photos with the most similar colours.

Of few photos, each is compared with all others. Of many, it is compared with
those of the nearest clusters, so that the time per photo stays the same.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

NEIGHBOURS = 8  # of a photo, and as many mirrored
MIN_SIMILARITY = 0.5  # cosine of whitened colours
# With fewer photos the whitening is too coarse to exclude a neighbour.
FEW = 500
# A cluster has about 2,048 photos. Of the pairs above MIN_SIMILARITY, more
# than 99 % are found in one of the eight clusters nearest to either photo.
CLUSTER, PROBED = 2048, 8
# Photos that are compared with all others. For more photos, the whitening and
# the clusters are those of as many random ones.
SAMPLE = CLUSTER * PROBED
ITERATIONS = 8  # of k-means
PAIRS = 2**22  # that are compared at a time


class Colours(Protocol):
    """Thumbnails (n, 8, 8, 3); an array of them is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray: ...


def neighbours(colours: Colours) -> Iterator[np.ndarray]:
    """Yield candidates (n, 3): two indices, and 1 where one is mirrored.

    The photos have to be in random order.
    """
    count = len(colours)
    sample = colours[np.arange(min(count, SAMPLE))]
    whiten = _whitening(sample)
    least = MIN_SIMILARITY if count > FEW else -1.0
    if count <= SAMPLE:
        everyone = np.arange(count)
        for is_mirrored in (False, True):
            nearest = _Nearest(count, least)
            nearest.search(colours, whiten, is_mirrored, everyone, everyone)
            yield nearest.pairs(0, count, is_mirrored)
        return
    centres = _centres(whiten(sample, False), -(-count // CLUSTER))
    own = _probes(colours, whiten, False, centres, 1)[:, 0]
    for is_mirrored in (False, True):
        probes = _probes(colours, whiten, is_mirrored, centres, PROBED)
        nearest = _Nearest(count, least)
        for k in range(len(centres)):
            nearest.search(
                colours,
                whiten,
                is_mirrored,
                np.flatnonzero((probes == k).any(1)),
                np.flatnonzero(own == k),
            )
        del probes
        for start in range(0, count, SAMPLE):
            yield nearest.pairs(start, start + SAMPLE, is_mirrored)
        del nearest  # before the next one, of the same size


_Whiten = Callable[[np.ndarray, bool], np.ndarray]


def _whitening(sample: np.ndarray) -> _Whiten:
    """Return a function that makes unit vectors of (mirrored) colours.

    Whitened by the covariance of both, so that mirroring changes nothing.
    """
    plain, mirrored = (_normalised(sample, side) for side in (False, True))
    mean = (plain.mean(0) + mirrored.mean(0)) / 2
    plain -= mean
    mirrored -= mean
    covariance = plain.T @ plain + mirrored.T @ mirrored
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    values = np.maximum(values, 0)
    scale = 1 / np.sqrt(values + 0.3 * values.mean() + 1e-9)
    matrix = (vectors * scale).astype(np.float32)

    def whiten(colours: np.ndarray, is_mirrored: bool) -> np.ndarray:
        rows = (_normalised(colours, is_mirrored) - mean) @ matrix
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.maximum(norms, 1e-9)

    return whiten


def _normalised(colours: np.ndarray, is_mirrored: bool) -> np.ndarray:
    rows = colours.astype(np.float32)
    rows /= np.maximum(rows.mean((1, 2, 3), keepdims=True), 10)
    if is_mirrored:
        rows = rows[:, :, ::-1]
    return rows.reshape(len(rows), -1)


def _centres(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the centres of clusters of unit vectors, by k-means."""
    centres = vectors[:count].copy()
    for _ in range(ITERATIONS):
        own = (vectors @ centres.T).argmax(1)
        for k in range(len(centres)):
            members = vectors[own == k]
            if len(members):
                centre = members.mean(0)
                centres[k] = centre / max(np.linalg.norm(centre), 1e-9)
    return centres


def _probes(
    colours: Colours,
    whiten: _Whiten,
    is_mirrored: bool,
    centres: np.ndarray,
    most: int,
) -> np.ndarray:
    """Return the clusters nearest to each photo (n, most)."""
    probes = np.empty((len(colours), most), np.uint16)
    for start in range(0, len(colours), CLUSTER):
        rows = np.arange(start, min(start + CLUSTER, len(colours)))
        similar = whiten(colours[rows], is_mirrored) @ centres.T
        best = np.argpartition(similar, -most, axis=1)
        probes[rows] = best[:, -most:]
    return probes


class _Nearest:
    """The most similar photos of each photo so far."""

    def __init__(self, count: int, least: float) -> None:
        self.indices = np.full((count, NEIGHBOURS), -1, np.int32)
        self.similarity = np.full((count, NEIGHBOURS), least, np.float32)

    def search(
        self,
        colours: Colours,
        whiten: _Whiten,
        is_mirrored: bool,
        photos: np.ndarray,
        others: np.ndarray,
    ) -> None:
        """Compare `photos`, which may be mirrored, with `others`."""
        for start in range(0, len(others), SAMPLE):
            some = others[start : start + SAMPLE]
            vectors = whiten(colours[some], False)
            block = PAIRS // len(some)
            for begin in range(0, len(photos), block):
                rows = photos[begin : begin + block]
                similar = whiten(colours[rows], is_mirrored) @ vectors.T
                own = np.searchsorted(some, rows) % len(some)
                is_own = some[own] == rows  # a photo and itself
                similar[is_own, own[is_own]] = -2
                self._add(rows, some, similar)

    def _add(
        self, rows: np.ndarray, others: np.ndarray, similar: np.ndarray
    ) -> None:
        least = self.similarity[rows].min(1)
        has_new = similar.max(1) > least
        rows, similar = rows[has_new], similar[has_new]
        most = min(NEIGHBOURS, len(others))
        best = np.argpartition(similar, -most, axis=1)[:, -most:]
        values = np.hstack(
            (self.similarity[rows], np.take_along_axis(similar, best, 1))
        )
        indices = np.hstack((self.indices[rows], others[best]))
        best = np.argpartition(values, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        self.similarity[rows] = np.take_along_axis(values, best, 1)
        self.indices[rows] = np.take_along_axis(indices, best, 1)

    def pairs(self, start: int, stop: int, is_mirrored: bool) -> np.ndarray:
        """Return the sorted pairs of the rows `start` to `stop`, each once."""
        i, k = np.nonzero(self.indices[start:stop] >= 0)
        i += start
        j = self.indices[i, k]
        # Where each is a neighbour of the other, the first one has the pair.
        once = (i < j) | (self.indices[j] != i[:, None]).all(1)
        i, j = i[once], j[once]
        mirrored = np.full(len(i), is_mirrored)
        pairs = np.stack((np.minimum(i, j), np.maximum(i, j), mirrored), 1)
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
