"""Which photos are near-duplicates: one photo, changed a little or not at all.

A copy that was resized, recompressed, brightened, mirrored or cropped by up
to 10 % is a near-duplicate, and so are two shots of one object from one
place. Different objects on one background are not.

The search narrows down in steps:
1. Neighbours: the photos with the most similar colours at 8 x 8 pixels, once
   as they are and once mirrored. Colours are whitened, so that a background
   that all photos share counts little.
2. Thumbnails: grey at 16 and 32 pixels, aligned.
3. Pixels: the pairs that remain are decoded and compared at 64 pixels,
   aligned, by structure and colour.

benchmarks/near_duplicates.py measures precision and recall.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image

from flower_mm.decoding import open_photo, read_bytes, to_plain
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
from flower_mm.prepare.class_folders import Photo
from flower_mm.prepare.scan_photos import COLOURS, THUMB

# A wall, a sky: such a thumbnail is noise.
MIN_CONTRAST = 4.0  # standard deviation in grey levels

NEIGHBOURS = 8  # of a photo, and as many mirrored
MIN_SIMILARITY = 0.5  # cosine of whitened colours
# In fewer photos the whitening knows too little to exclude a neighbour.
FEW = 500
MIN_CORRELATION = 0.9
BLOCK = 1024  # photos or pairs of thumbnails at a time
PAIRS = 128  # pairs of 64 x 64 pixels at a time
DECODED = 4096  # photos kept in memory, 12 kB each
SIDE = 64

MIN_STRUCTURE, MAX_DIFFERENT = 0.95, 0.005
MAX_COLOUR, MAX_WORST_COLOUR = 8.0, 18.0
# Where most of both photos is textured, structure alone decides: a filter
# changes all colours, and a second shot some details. Objects on a plain
# background share their outlines, so that theirs must be all but equal.
# (textured at least, structure at least, different at most)
ANY_COLOUR = ((0.85, 0.84, 0.07), (0.7, 0.97, 0.01))


def group(photos: list[Photo]) -> list[int]:
    """Number the photos so that near-duplicates share a number.

    The number is the smallest index in the group. Near-duplicates of
    near-duplicates belong to one group.
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

    # By content, so that names and order do not matter below.
    order = sorted(range(len(photos)), key=lambda i: photos[i].sha256)
    for i, j in pairwise(order):
        if photos[i].sha256 == photos[j].sha256:
            join(i, j)
    different = list({photos[i].sha256: i for i in order}.values())
    with_thumb = defaultdict(list)
    for i in different:
        with_thumb[photos[i].thumb].append(i)
    copies = set()
    for same in with_thumb.values():
        # Flat photos too: equal pixels are equal.
        for members in identical([photos[i] for i in same]):
            for k in members[1:]:
                join(same[members[0]], same[k])
                copies.add(same[k])
    # Copies would be each other's neighbours and hide all others.
    textured = [
        i
        for i in different
        if i not in copies and _contrast(photos[i]) >= MIN_CONTRAST
    ]
    for i, j in near_pairs([photos[i] for i in textured]):
        join(textured[i], textured[j])
    return [root(i) for i in range(len(photos))]


def identical(photos: list[Photo]) -> list[list[int]]:
    """Which photos have the same decoded pixels; groups of two or more."""
    if len(photos) < 2:
        return []
    with_pixels = defaultdict(list)
    digest_of = {}
    for i, photo in enumerate(photos):
        if photo.sha256 not in digest_of:
            digest_of[photo.sha256] = _pixel_digest(photo)
        with_pixels[digest_of[photo.sha256]].append(i)
    return [same for same in with_pixels.values() if len(same) > 1]


def _pixel_digest(photo: Photo) -> bytes:
    pixels = _decode(photo.file)
    if pixels is None:
        return photo.sha256
    size = repr(pixels.size).encode()
    return hashlib.sha256(size + pixels.convert('RGB').tobytes()).digest()


def _contrast(photo: Photo) -> float:
    return np.frombuffer(photo.thumb, np.uint8)[COLOURS:].std()


def near_pairs(photos: list[Photo]) -> list[tuple[int, int]]:
    """The pairs that are verified near-duplicates."""
    if len(photos) < 2:
        return []
    data = np.frombuffer(b''.join(p.thumb for p in photos), np.uint8)
    data = data.reshape(len(photos), -1)
    thumbs = data[:, COLOURS:].reshape(-1, THUMB, THUMB)
    pairs = neighbours(data[:, :COLOURS].reshape(-1, 8, 8, 3))
    kept = []
    for start in range(0, len(pairs), BLOCK):
        block = pairs[start : start + BLOCK]
        kept += _with_similar_thumbs(block, thumbs)
    verified = []
    for start in range(0, len(kept), PAIRS):
        block = kept[start : start + PAIRS]
        verified += verify(block, photos)
    return verified


def neighbours(colours: np.ndarray) -> np.ndarray:
    """Candidate pairs (n, 3): two indices, and 1 where one is mirrored."""
    rows = colours.astype(np.float32)
    rows /= np.maximum(rows.mean((1, 2, 3), keepdims=True), 10)
    plain, mirrored = (
        array.reshape(len(rows), -1) for array in (rows, rows[:, :, ::-1])
    )
    # Whitening by the covariance of both, so that mirroring has no say.
    mean = (plain.mean(0) + mirrored.mean(0)) / 2
    plain, mirrored = plain - mean, mirrored - mean
    covariance = plain.T @ plain + mirrored.T @ mirrored
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    values = np.maximum(values, 0)
    scale = 1 / np.sqrt(values + 0.3 * values.mean() + 1e-9)
    whiten = (vectors * scale).astype(np.float32)
    plain, mirrored = (
        array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-9)
        for array in (plain @ whiten, mirrored @ whiten)
    )
    least = MIN_SIMILARITY if len(rows) > FEW else -1.0
    pairs = set()
    for start in range(0, len(rows), BLOCK):
        block = plain[start : start + BLOCK]
        own = np.arange(len(block))
        for is_mirrored, others in enumerate((plain, mirrored)):
            similar = block @ others.T
            similar[own, start + own] = -2  # a photo is not its neighbour
            most = min(NEIGHBOURS, len(rows) - 1)
            nearest = np.argpartition(similar, -most, axis=1)[:, -most:]
            near = np.take_along_axis(similar, nearest, 1) > least
            for i, k in zip(*np.nonzero(near), strict=True):
                one, other = sorted((start + int(i), int(nearest[i, k])))
                pairs.add((one, other, is_mirrored))
    return np.array(sorted(pairs), np.intp).reshape(-1, 3)


def _with_similar_thumbs(
    pairs: np.ndarray, thumbs: np.ndarray
) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """The pairs whose thumbnails agree, with their alignments."""
    alignment = np.tile(IDENTITY, (len(pairs), 1))
    for side, steps in ((16, 5), (32, 4)):
        if not len(pairs):
            return
        first, second = (
            thumbs[pairs[:, k]].astype(np.float32) for k in (0, 1)
        )
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


def _mirror(photos: np.ndarray, where: np.ndarray) -> np.ndarray:
    mirrored = where.astype(bool)[:, None, None]
    if photos.ndim == 4:
        mirrored = mirrored[..., None]
    return np.where(mirrored, photos[:, :, ::-1], photos)


def verify(
    pairs: list[tuple[int, int, int, np.ndarray]], photos: list[Photo]
) -> Iterator[tuple[int, int]]:
    """The pairs that agree in structure and colour at 64 pixels."""
    pixels = [
        (_pixels(photos[i].file), _pixels(photos[j].file))
        for i, j, *_ in pairs
    ]
    # A photo that cannot be decoded again is compared with none.
    known = [k for k, two in enumerate(pixels) if None not in two]
    if not known:
        return
    first, second = (
        np.stack([np.frombuffer(pixels[k][n], np.uint8) for k in known])
        .reshape(-1, SIDE, SIDE, 3)
        .astype(np.float32)
        for n in (0, 1)
    )
    second = _mirror(second, np.array([pairs[k][2] for k in known]))
    start = np.stack([pairs[k][3] for k in known])
    for k, is_near in zip(
        known, near_duplicates(measure(first, second, start)), strict=True
    ):
        if is_near:
            yield pairs[k][:2]


def measure(
    first: np.ndarray, second: np.ndarray, start: np.ndarray
) -> Agreement:
    grey = [blur(photos.mean(3)) for photos in (first, second)]
    return agreement(first, second, align(*grey, start, 4))


def near_duplicates(found: Agreement) -> np.ndarray:
    """Which aligned pairs agree well enough to be one photo."""
    same_colours = (found.colour <= MAX_COLOUR) & (
        found.worst_colour <= MAX_WORST_COLOUR
    )
    near = (
        same_colours
        & (found.structure >= MIN_STRUCTURE)
        & (found.different <= MAX_DIFFERENT)
    )
    for textured, structure, different in ANY_COLOUR:
        near |= (
            (found.textured >= textured)
            & (found.structure >= structure)
            & (found.different <= different)
        )
    return near


@lru_cache(DECODED)
def _pixels(file: str) -> bytes | None:
    image = _decode(file, SIDE)
    if image is None:
        return None
    size = (SIDE, SIDE)
    return image.resize(
        size, Image.Resampling.BILINEAR, reducing_gap=2.0
    ).tobytes()


def _decode(file: str, side: int | None = None) -> Image.Image | None:
    """The photo as RGB; None where it cannot be read any more.

    A JPEG is decoded at a fraction of its size where `side` is enough.
    """
    try:
        with open_photo(read_bytes(file)) as image:
            if side:
                image.draft('RGB', (2 * side, 2 * side))
            return to_plain(image).convert('RGB')
    except Exception:  # decoders raise almost anything
        return None
