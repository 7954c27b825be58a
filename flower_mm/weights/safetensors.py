"""Reading .safetensors: a length, a table in JSON, then the bytes.

Our own best.safetensors has what else best.pth holds as JSON among the
metadata in the table, and a sha256 of all that: the format itself has no
checksum, and a flipped bit would change a prediction without a word.
"""

import hashlib
import json
import math
import os
from typing import BinaryIO

import torch

from flower_mm.commands import command
from flower_mm.layout import RunDir
from flower_mm.weights.unpickle import Refused

KINDS = {
    'F64': torch.float64,
    'F32': torch.float32,
    'F16': torch.float16,
    'BF16': torch.bfloat16,
    'I64': torch.int64,
    'I32': torch.int32,
    'I16': torch.int16,
    'I8': torch.int8,
    'U8': torch.uint8,
    'BOOL': torch.bool,
}
FIELDS = {'dtype', 'shape', 'data_offsets'}
# Bytes; the format allows ten times as much. A thousand tensors take 100,000,
# and JSON becomes ten times as large when it is read.
LONGEST_TABLE = 10_000_000
MOST_DIMENSIONS = 16
META = 'flower_mm'  # the key of ours among the metadata
CHECKSUM = 'flower_mm_sha256'  # of that text, the table and the tensors
LARGEST_SIDE = 1 << 40


def is_one(start: bytes) -> bool:
    """Eight bytes of length, of which the upper ones are zero, then JSON."""
    return start[8:9] == b'{' and start[4:8] == bytes(4)


def read(file: BinaryIO) -> dict:
    """Read it all; a damaged file raises whatever its parts do.

    The tensors by name or, of a file of ours, what best.pth holds.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), 'little')
    if length > min(LONGEST_TABLE, size - 8):
        raise ValueError('it ends within its table')
    table = json.loads(file.read(length), object_pairs_hook=_without_twins)
    metadata = table.pop('__metadata__', None)
    rows = {name: _Row(fields, 8 + length) for name, fields in table.items()}
    place = 8 + length
    for row in sorted(rows.values(), key=lambda row: (row.start, row.stop)):
        if row.start < place or row.stop > size:
            raise ValueError('it ends within its tensors, or they overlap')
        if row.start > place:
            raise Refused(
                'is refused: it has foreign bytes between its tensors.'
            )
        place = row.stop
    if place < size:
        raise Refused('is refused: it has foreign bytes behind its tensors.')
    meta = metadata.get(META) if isinstance(metadata, dict) else None
    digest = _digest(meta, rows)
    numbers = {}
    for name in sorted(rows, key=lambda name: rows[name].start):
        numbers[name] = rows[name].read(file)
        digest.update(numbers[name].numpy())
    if isinstance(metadata, dict) and META in metadata:
        _check(digest.hexdigest(), metadata.get(CHECKSUM))
    tensors = {name: row.shaped(numbers[name]) for name, row in rows.items()}
    if not isinstance(metadata, dict) or META not in metadata:
        return tensors
    return {'state_dict': tensors, 'meta': json.loads(meta)}


def with_checksum(content: bytes) -> bytes:
    """The same file with a sha256 of its content among the metadata."""
    length = int.from_bytes(content[:8], 'little')
    table, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = table.pop('__metadata__')
    rows = {name: _Row(fields, 0) for name, fields in table.items()}
    digest = _digest(metadata[META], rows)
    digest.update(numbers)
    metadata[CHECKSUM] = digest.hexdigest()
    text = json.dumps({'__metadata__': metadata, **table}).encode()
    # Tensors begin at a multiple of eight bytes.
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + numbers


def _digest(meta: object, rows: dict[str, '_Row']) -> 'hashlib._Hash':
    """Of everything before the tensors that decides what they mean."""
    places = sorted((name, row.described) for name, row in rows.items())
    return hashlib.sha256(json.dumps([str(meta), places]).encode())


def _check(digest: str, noted: object) -> None:
    if noted is None:
        raise Refused(
            'is refused: it has no checksum, as files of flower_mm have. '
            'Write it anew: '
            + command('export', RunDir.BEST, '--to', 'safetensors')
        )
    if digest != noted:
        raise Refused(
            'is refused: it is damaged or was changed; its sha256 does not '
            'match its content.'
        )


class _Row:
    """Where one tensor lies; what the table says of it has been checked."""

    def __init__(self, fields: dict, base: int) -> None:
        if not isinstance(fields, dict) or set(fields) != FIELDS:
            raise ValueError('its table has a row that describes no tensor')
        shape, (start, stop) = fields['shape'], fields['data_offsets']
        if fields['dtype'] not in KINDS:
            raise ValueError(f'a tensor of unknown kind, {fields["dtype"]}')
        self.kind = KINDS[fields['dtype']]
        self.shape = shape
        if len(shape) > MOST_DIMENSIONS or not all(
            type(side) is int and 0 <= side <= LARGEST_SIDE for side in shape
        ):
            raise ValueError('a tensor of absurd shape')
        if type(start) is not int or type(stop) is not int:
            raise ValueError('a tensor at a place that is none')
        if stop - start != math.prod(shape) * self.kind.itemsize:
            raise ValueError('a tensor has another size than its shape says')
        self.described = [fields['dtype'], shape, start, stop]
        self.start, self.stop = base + start, base + stop

    def read(self, file: BinaryIO) -> torch.Tensor:
        """Its bytes."""
        numbers = torch.empty(self.stop - self.start, dtype=torch.uint8)
        file.seek(self.start)
        if file.readinto(numbers.numpy()) != len(numbers):
            raise ValueError('it ends within its tensors')
        return numbers

    def shaped(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.view(self.kind).reshape(self.shape)


def _without_twins(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError('its table has a name twice')
    if not all(name.isprintable() for name in found):
        raise ValueError('its table has names that are none')
    return found
