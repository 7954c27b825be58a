"""Find near-duplicates: copies of a photo that were changed little.

A copy that was resized, recompressed, brightened, mirrored or cropped by up
to 10 % is a near-duplicate, and so are two shots of one object from one
place. Different objects on one background are not.

The search narrows down in steps:
1. Neighbours: the photos with the most similar colours at 8 x 8 pixels, once
   as they are and once mirrored. Colours are whitened, so that a background
   that all photos share counts little. Of more than 16,384 photos, each is
   compared with those of the eight nearest clusters only.
2. Thumbnails: grey at 16 and 32 pixels, aligned.
3. Pixels: the remaining pairs are decoded and compared at 64 pixels, aligned,
   by structure and colour.

benchmarks/near_duplicates.py measures precision and recall.
"""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import IO

import numpy as np
from PIL import Image

from flower_mm.decoding import open_photo, to_plain
from flower_mm.photo_bytes import read_bytes
from flower_mm.prepare.alignment import (
    IDENTITY,
    Agreement,
    agreement,
    align,
    blur,
    correlation,
    halve,
    warp,
)
from flower_mm.prepare.groups import runs
from flower_mm.prepare.neighbours import neighbours
from flower_mm.prepare.photo import Photo, Photos
from flower_mm.prepare.scan_photos import COLOURS, THUMB

# A thumbnail of a wall or the sky is noise.
MIN_CONTRAST = 4.0  # standard deviation in grey levels

MIN_CORRELATION = 0.9
BLOCK = 256  # pairs of thumbnails at a time
PAIRS = 128  # pairs of 64 x 64 pixels at a time
DECODED = 1024  # photos kept in memory, 12 kB each
SIDE = 64  # pixels of the comparison

MIN_STRUCTURE, MAX_DIFFERENT = 0.95, 0.005
MAX_COLOUR, MAX_WORST_COLOUR = 8.0, 18.0
# Where most of both photos is textured, structure alone decides: a filter
# changes all colours, and a second shot some details. Objects on a plain
# background share their outlines, so that their structure must be equal but
# for noise.
# (minimum of textured, minimum of structure, maximum of different)
ANY_COLOUR = ((0.85, 0.84, 0.07), (0.7, 0.97, 0.01))

# two indices, 1 where the second photo is mirrored, and the alignment
_Candidate = tuple[int, int, int, np.ndarray]


def group(photos: Photos) -> np.ndarray:
    """Number the photos so that near-duplicates share a number.

    The number is the smallest index in the group. Near-duplicates of
    near-duplicates belong to one group.
    """
    parent = np.arange(len(photos), dtype=np.int32)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(i: int, j: int) -> None:
        i, j = sorted((root(i), root(j)))
        parent[j] = i

    shas = np.zeros(len(photos), 'S32')
    looks = np.zeros(len(photos), 'S8')
    has_contrast = np.zeros(len(photos), bool)
    for i, photo in enumerate(photos):
        shas[i] = photo.sha256
        looks[i] = hashlib.sha256(photo.thumb).digest()[:8]
        has_contrast[i] = _contrast(photo) >= MIN_CONTRAST
    # Sorted by content, so that the result is independent of names and order.
    order = np.argsort(shas, kind='stable').astype(np.int32)
    del shas
    is_copy = np.zeros(len(photos), bool)
    for same in runs(order, looks):
        # Flat photos are included: equal pixels are equal.
        for members in identical([photos[i] for i in same]):
            for k in members[1:]:
                join(same[members[0]], same[k])
                is_copy[same[k]] = True
    # Without the copies, which would hide all other neighbours.
    textured = order[has_contrast[order] & ~is_copy[order]]
    del looks, has_contrast, is_copy, order
    for i, j in near_pairs(photos, textured):
        join(i, j)
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return parent


def identical(photos: list[Photo]) -> list[list[int]]:
    """Return groups of two or more photos with the same decoded pixels."""
    if len(photos) < 2:
        return []
    digest_of = {photo.sha256: b'' for photo in photos}
    with_pixels = defaultdict(list)
    for i, photo in enumerate(photos):
        if not digest_of[photo.sha256]:
            digest_of[photo.sha256] = _pixel_digest(photo)
        with_pixels[digest_of[photo.sha256]].append(i)
    return [same for same in with_pixels.values() if len(same) > 1]


def _pixel_digest(photo: Photo) -> bytes:
    pixels = _decode(photo.file)
    if pixels is None:
        return photo.sha256
    size = repr(pixels.size).encode()
    return hashlib.sha256(size + pixels.tobytes()).digest()


def _contrast(photo: Photo) -> float:
    return np.frombuffer(photo.thumb, np.uint8)[COLOURS:].std()


def near_pairs(
    photos: Photos, chosen: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of chosen photos that passed all steps of the search."""
    if len(chosen) < 2:
        return
    with tempfile.TemporaryFile(buffering=COLOURS) as file:
        for i in chosen.tolist():
            file.write(photos[i].thumb[:COLOURS])
        for pairs in neighbours(_ColoursOnDisk(file, len(chosen))):
            pairs[:, :2] = chosen[pairs[:, :2]]
            similar: list[_Candidate] = []
            for start in range(0, len(pairs), BLOCK):
                similar += _with_similar_thumbs(
                    pairs[start : start + BLOCK], photos
                )
            for start in range(0, len(similar), PAIRS):
                yield from verify(similar[start : start + PAIRS], photos)


class _ColoursOnDisk:
    """Thumbnails of many photos, of which few are in memory."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self.file, self.count = file, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        rows = []
        for i in indices.tolist():
            self.file.seek(i * COLOURS)
            rows.append(self.file.read(COLOURS))
        return np.frombuffer(b''.join(rows), np.uint8).reshape(-1, 8, 8, 3)


def _with_similar_thumbs(
    pairs: np.ndarray, photos: Photos
) -> Iterator[_Candidate]:
    """Yield the pairs with similar thumbnails, and their alignments."""
    alignment = np.tile(IDENTITY, (len(pairs), 1))
    for side, steps in ((16, 5), (32, 4)):
        if not len(pairs):
            return
        first, second = (_thumbs(photos, pairs[:, k]) for k in (0, 1))
        second = _mirror(second, pairs[:, 2])
        if side == 16:
            first, second = halve(first), halve(second)
        first, second = blur(first), blur(second)
        alignment = align(first, second, alignment, steps)
        similar = correlation(first, *warp(second, alignment))
        similar = similar >= MIN_CORRELATION
        pairs, alignment = pairs[similar], alignment[similar]
    for (i, j, is_mirrored), start in zip(pairs, alignment, strict=True):
        yield int(i), int(j), int(is_mirrored), start


def _thumbs(photos: Photos, indices: np.ndarray) -> np.ndarray:
    data = b''.join(photos[i].thumb[COLOURS:] for i in indices.tolist())
    thumbs = np.frombuffer(data, np.uint8).reshape(-1, THUMB, THUMB)
    return thumbs.astype(np.float32)


def _mirror(photos: np.ndarray, is_mirrored: np.ndarray) -> np.ndarray:
    shape = (-1,) + (1,) * (photos.ndim - 1)
    mirrored = is_mirrored.astype(bool).reshape(shape)
    return np.where(mirrored, photos[:, :, ::-1], photos)


def verify(
    pairs: list[_Candidate], photos: Photos
) -> Iterator[tuple[int, int]]:
    """Yield the pairs that agree in structure and colour at 64 pixels."""
    # Without photos that could not be decoded a second time.
    known = [
        (pair, one, other)
        for pair in pairs
        if (one := _pixels(photos[pair[0]].file)) is not None
        and (other := _pixels(photos[pair[1]].file)) is not None
    ]
    if not known:
        return
    first, second = (
        np.stack([np.frombuffer(pixels, np.uint8) for pixels in side])
        .reshape(-1, SIDE, SIDE, 3)
        .astype(np.float32)
        for side in (
            [one for _, one, _ in known],
            [two for _, _, two in known],
        )
    )
    second = _mirror(second, np.array([pair[2] for pair, _, _ in known]))
    start = np.stack([pair[3] for pair, _, _ in known])
    near = are_near_duplicates(measure(first, second, start))
    for (pair, _, _), is_near in zip(known, near, strict=True):
        if is_near:
            yield pair[:2]


def measure(
    first: np.ndarray, second: np.ndarray, start: np.ndarray
) -> Agreement:
    """Align colour photos (n, 64, 64, 3) and compare them."""
    grey = [blur(photos.mean(3)) for photos in (first, second)]
    return agreement(first, second, align(grey[0], grey[1], start, 4))


def are_near_duplicates(pairs: Agreement) -> np.ndarray:
    """Return which aligned pairs agree well enough to be one photo."""
    near = (
        (pairs.colour <= MAX_COLOUR)
        & (pairs.worst_colour <= MAX_WORST_COLOUR)
        & (pairs.structure >= MIN_STRUCTURE)
        & (pairs.different <= MAX_DIFFERENT)
    )
    for textured, structure, different in ANY_COLOUR:
        near |= (
            (pairs.textured >= textured)
            & (pairs.structure >= structure)
            & (pairs.different <= different)
        )
    return near


@lru_cache(DECODED)
def _pixels(file: str) -> bytes | None:
    image = _decode(file, SIDE)
    if image is None:
        return None
    return image.resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0
    ).tobytes()


def _decode(file: str, side: int | None = None) -> Image.Image | None:
    """Return the photo as RGB, or None if it cannot be read any more.

    A JPEG is decoded at a fraction of its size that `side` allows.
    """
    try:
        with open_photo(read_bytes(file)) as image:
            if side:
                image.draft('RGB', (2 * side, 2 * side))
            return to_plain(image).convert('RGB')
    except Exception:  # decoders raise many types
        return None
