"""Oxford Flowers-102 as published, or as torchvision downloads it.

    jpg/image_00001.jpg ...    imagelabels.mat    setid.mat

flowers102_classes.txt has the names of the classes in the order of their
numbers, as in torchvision.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.commands import install_command
from flower_mm.errors import UserError
from flower_mm.plain_text import shorten
from flower_mm.prepare.sources.labelled_rows import (
    Row,
    listing_of,
    match_rows,
)
from flower_mm.prepare.sources.listing import (
    FLOWERS_102,
    Listing,
    Source,
    refusal,
)
from flower_mm.prepare.sources.photo_index import PhotoIndex

if TYPE_CHECKING:
    import numpy as np

LABELS, SPLITS = 'imagelabels.mat', 'setid.mat'
VARIABLES = {'trnid': 'train', 'valid': 'val', 'tstid': 'test'}
NAMES = Path(__file__).with_name('flowers102_classes.txt')
# The published files have 15 kB. Compressed content can be a thousand times
# as large.
MAX_FILE = 256 * 1024
MAX_NUMBERS = 1_000_000
NUMERIC = frozenset((
    'uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'single', 'double',
))  # fmt: skip


def find_flowers102(source: Source) -> Listing | None:
    folders = [
        path.removesuffix(LABELS)
        for path in source.tree.files
        if f'/{path}'.endswith(f'/{LABELS}')
    ]
    folders.sort(key=lambda path: (path.count('/'), path))
    if not folders or source.names_a_table:
        return None
    base = folders[0]
    if base + SPLITS not in source.tree.files:
        raise refusal(
            f'{source.path} has {base}{LABELS} without {SPLITS}, which has '
            'the split.\nDownload it as well',
            FLOWERS_102,
        )
    index = PhotoIndex(*source.photos)
    rows = list(_rows(source, base))
    matched = match_rows(rows, index)
    if not matched.rows:
        raise refusal(
            f'{source.path} lacks the photos of Flowers-102: expected '
            f'{base}jpg/image_00001.jpg and so on.\n'
            'Unpack 102flowers.tgz there',
            FLOWERS_102,
        )
    names = NAMES.read_text('utf-8').splitlines()
    listing = listing_of(matched, index, FLOWERS_102, base + LABELS, names)
    used = {base + LABELS, base + SPLITS}
    listing.other_files = [f for f in listing.other_files if f not in used]
    return listing


def _rows(source: Source, base: str) -> Iterator[Row]:
    names = NAMES.read_text('utf-8').splitlines()
    labels = _read(source, base + LABELS, ('labels',))['labels']
    if not all(1 <= label <= len(names) for label in labels):
        raise _fault(base + LABELS, f'expected labels of 1 to {len(names)}')
    split_of = {
        number: split
        for variable, numbers in _read(
            source, base + SPLITS, tuple(VARIABLES)
        ).items()
        for split in [VARIABLES[variable]]
        for number in numbers
    }
    if not set(split_of) <= set(range(1, len(labels) + 1)):
        raise _fault(base + SPLITS, f'expected numbers of 1 to {len(labels)}')
    for number, label in enumerate(labels, 1):
        photo = f'jpg/image_{number:05}.jpg'
        split = split_of.get(number, '')
        yield Row(base + LABELS, number, photo, names[label - 1], split)


def _read(
    source: Source, name: str, variables: tuple[str, ...]
) -> dict[str, list[int]]:
    """Read vectors of whole numbers from a MATLAB file."""
    try:
        from scipy import io
    except ImportError as error:
        raise refusal(
            f'{name} needs the package scipy.\n'
            f'Install it: {install_command("flowers102")}',
            FLOWERS_102,
        ) from error
    file = source.tree.files[name]
    if Path(file).stat().st_size > MAX_FILE:
        raise _fault(name, f'expected at most {MAX_FILE // 1024} kB')
    try:
        # The sizes first, since objects and large arrays are not read.
        kinds = {key: (shape, kind) for key, shape, kind in io.whosmat(file)}
        for key in variables:
            shape, kind = kinds.get(key, ((), 'missing'))
            if kind not in NUMERIC or not _is_vector(shape):
                raise _fault(name, f'{key}: expected numbers, got {kind}')
        content = io.loadmat(file, variable_names=variables)
        return {key: _integers(content[key], name) for key in variables}
    except UserError:
        raise
    except Exception as error:  # scipy raises many kinds on damaged bytes
        raise _fault(name, shorten(str(error))) from error


def _is_vector(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and 1 in shape and max(shape) <= MAX_NUMBERS


def _integers(values: 'np.ndarray', name: str) -> list[int]:
    numbers = values.ravel().tolist()
    if not all(number == int(number) for number in numbers):
        raise _fault(name, 'expected whole numbers')
    return [int(number) for number in numbers]


def _fault(name: str, fault: str) -> UserError:
    return refusal(f'invalid {name}: {fault}.\nDownload it again', FLOWERS_102)
