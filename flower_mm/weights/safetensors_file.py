"""Files of safetensors, with a checksum and metadata in those of flower_mm.

The library's reader checks offsets, shapes and sizes, and that tensors cover
the file. It takes a header of 100 MB, which it parses for minutes.

Our own best.safetensors has the rest of best.pth as JSON among the metadata,
and a SHA-256 of all: the format has no checksum, and a flipped bit would
change a prediction silently.
"""

import hashlib
import json
from pathlib import Path

import safetensors

from flower_mm.commands import command
from flower_mm.layout import RunDir
from flower_mm.weights.unpickle import MOST_DIMENSIONS, Refused

# A thousand tensors take 100,000 bytes of header.
LONGEST_HEADER = 10_000_000
MOST_TENSORS = 10_000
META = 'flower_mm'  # the key of ours among the metadata
CHECKSUM = 'flower_mm_sha256'  # of that text, the header and the tensors


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins with a length below 4 GB, then JSON."""
    return start[8:9] == b'{' and start[4:8] == bytes(4)


def read_safetensors(path: Path) -> dict:
    """Return the tensors by name or, of our own file, what best.pth holds.

    A damaged file raises any exception.
    """
    with path.open('rb') as file:
        if int.from_bytes(file.read(8), 'little') > LONGEST_HEADER:
            raise ValueError('the header is too long')
    with safetensors.safe_open(path, framework='pt') as file:
        metadata = file.metadata() or {}
        if META in metadata:
            _verify(path, metadata.get(CHECKSUM))
        names = file.keys()
        _check_names(names)
        for name in names:
            if len(file.get_slice(name).get_shape()) > MOST_DIMENSIONS:
                raise ValueError(f'{name} has too many dimensions')
        # A copy, since the file may be replaced while it is mapped.
        tensors = {name: file.get_tensor(name).clone() for name in names}
    if META not in metadata:
        return tensors
    return {'state_dict': tensors, 'meta': json.loads(metadata[META])}


def with_checksum(content: bytes) -> bytes:
    """Return the content of a file with a SHA-256 in its metadata."""
    length = int.from_bytes(content[:8], 'little')
    header, numbers = (
        json.loads(content[8 : 8 + length]),
        content[8 + length :],
    )
    digest = _digest(header)
    digest.update(numbers)
    header['__metadata__'][CHECKSUM] = digest.hexdigest()
    text = json.dumps(header).encode()
    # Tensors begin at a multiple of eight bytes.
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + numbers


def _verify(path: Path, noted: str | None) -> None:
    if noted is None:
        raise Refused(
            'is refused: the checksum is missing, which files of flower_mm '
            'have. Write it again: '
            + command('export', RunDir.BEST, '--to', 'safetensors')
        )
    with path.open('rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        digest = _digest(json.loads(file.read(length)))
        while piece := file.read(1 << 20):
            digest.update(piece)
    if digest.hexdigest() != noted:
        raise Refused(
            'is refused: it is damaged or was changed; its sha256 does not '
            'match its content.'
        )


def _digest(header: dict) -> 'hashlib._Hash':
    """Of everything before the tensors that decides what they mean."""
    places = sorted(
        (name, [row['dtype'], row['shape'], *row['data_offsets']])
        for name, row in header.items()
        if name != '__metadata__'
    )
    text = json.dumps([str(header['__metadata__'][META]), places])
    return hashlib.sha256(text.encode())


def _check_names(names: list[str]) -> None:
    if len(names) > MOST_TENSORS:
        raise Refused(f'is refused: it holds {len(names):,} tensors.')
    if not all(name.isprintable() for name in names):
        raise ValueError('the names of tensors have control characters')
