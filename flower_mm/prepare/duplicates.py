"""Which photos are the same photo.

Measured on the 2,848 flower photos: of the pairs that are at most 10 of 64
hash bits apart, those whose thumbnails correlate above 0.6 are one photo:
re-encoded, resized, brightened, put through a filter, framed, or shot twice
within seconds. There are 19, from 0.76 up. Strangers at that distance stay
below 0.6; those that correlate better are at least 11 bits apart.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from flower_mm.prepare.find import Photo

MAX_BITS = 10
MIN_CORRELATION = 0.70
# A wall, a sky: the hash of a flat photo is the hash of its noise.
MIN_CONTRAST = 4.0  # standard deviation in grey levels

# Two photos are compared when one of 32 quarters of their hash bits agrees:
# eight ways to cut 64 bits into four. At 8 bits apart 98 of 100 pairs meet,
# at 10 about 86.
CUTS, QUARTER = 8, 16
# In a bucket larger than this a photo meets only the neighbours in the order
# of hashes: 100,000 near-black photos must not mean 10^10 comparisons.
NEIGHBOURS = 32
BLOCK = 4096  # pairs whose thumbnails are compared at a time

_ONES = np.array([i.bit_count() for i in range(256)], np.uint8)


def group(photos: list[Photo]) -> list[int]:
    """Number the photos so that all that are the same share a number.

    The number is the smallest index in the group. What is the same as the
    same is the same: groups are closed under that.
    """
    parent = list(range(len(photos)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        i, j = sorted((root(i), root(j)))
        parent[j] = i

    # By content, so that names and order have no say below.
    order = sorted(range(len(photos)), key=lambda i: photos[i].sha256)
    for i, j in pairwise(order):
        if photos[i].sha256 == photos[j].sha256:
            join(i, j)
    textured, bits, thumbs = _textured([photos[i] for i in order])
    back = [order[i] for i in textured]
    for key in _keys(bits):
        # A pair that is known to be one is not looked at again.
        known = np.array([root(i) for i in back])
        for i, j in _neighbours(key, bits):
            new = known[i] != known[j]
            for a, b in _alike(i[new], j[new], bits, thumbs):
                join(back[a], back[b])
    return [root(i) for i in range(len(photos))]


def _textured(
    photos: list[Photo],
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Which photos are not flat, with their hashes and thumbnails."""
    textured = [
        i
        for i, photo in enumerate(photos)
        if np.frombuffer(photo.thumb, np.uint8).std() >= MIN_CONTRAST
    ]
    bits = np.array([photos[i].bits for i in textured], np.uint64)
    thumbs = b''.join(photos[i].thumb for i in textured)
    return textured, bits, np.frombuffer(thumbs, np.uint8).reshape(-1, 256)


def _keys(bits: np.ndarray) -> Iterator[np.ndarray]:
    ones = np.unpackbits(bits.view(np.uint8).reshape(-1, 8), axis=1)
    weights = 1 << np.arange(QUARTER, dtype=np.uint16)
    for cut in range(CUTS):
        mixed = np.random.default_rng(cut).permutation(64)
        for part in mixed.reshape(-1, QUARTER):
            yield ones[:, part] @ weights


def _neighbours(
    key: np.ndarray, bits: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of equal keys: all of a small bucket, the nearest of a large."""
    rank = np.lexsort((bits, key))
    for step in range(1, NEIGHBOURS + 1):
        i, j = rank[:-step], rank[step:]
        same = key[i] == key[j]
        if not same.any():
            return
        yield i[same], j[same]


def _alike(
    i: np.ndarray, j: np.ndarray, bits: np.ndarray, thumbs: np.ndarray
) -> list[tuple[int, int]]:
    apart = _ONES[(bits[i] ^ bits[j]).view(np.uint8).reshape(-1, 8)].sum(1)
    i, j = i[apart <= MAX_BITS], j[apart <= MAX_BITS]
    pairs = []
    for start in range(0, len(i), BLOCK):
        a, b = i[start : start + BLOCK], j[start : start + BLOCK]
        alike = _correlation(thumbs[a], thumbs[b]) >= MIN_CORRELATION
        pairs += zip(a[alike].tolist(), b[alike].tolist(), strict=True)
    return pairs


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row; brighter or paler overall makes no difference."""
    a = a - a.mean(1, keepdims=True)
    b = b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
