"""Reading .safetensors: a length, a table in JSON, then the bytes."""

import json
import math
from pathlib import Path

import torch

from flower_mm.errors import UserError

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
LONGEST_TABLE = 100_000_000  # bytes; the limit that the format itself sets


def is_one(start: bytes) -> bool:
    """Eight bytes of length, of which the upper ones are zero, then JSON."""
    return start[8:9] == b'{' and start[4:8] == bytes(4)


def read(path: Path) -> dict[str, torch.Tensor]:
    content = bytearray(path.read_bytes())
    try:
        return _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path} is a damaged or cut off .safetensors file: {error}'
        ) from error


def _parse(content: bytearray) -> dict[str, torch.Tensor]:
    length = int.from_bytes(content[:8], 'little')
    if length > min(LONGEST_TABLE, len(content) - 8):
        raise ValueError('it ends within its table')
    table = json.loads(content[8 : 8 + length])
    table.pop('__metadata__', None)
    return {
        name: _tensor(content, 8 + length, **row)
        for name, row in table.items()
    }


def _tensor(
    content: bytearray,
    base: int,
    dtype: str,
    shape: list[int],
    data_offsets: list[int],
) -> torch.Tensor:
    kind, count = KINDS[dtype], math.prod(shape)
    start, stop = (base + offset for offset in data_offsets)
    if stop - start != count * kind.itemsize or min(shape, default=0) < 0:
        raise ValueError('a tensor has another size than its shape says')
    if start < base or stop > len(content):
        raise ValueError('it ends within its tensors')
    if count == 0:
        return torch.empty(shape, dtype=kind)
    # A copy, since the format does not promise aligned numbers.
    piece = bytearray(content[start:stop])
    return torch.frombuffer(piece, dtype=kind).reshape(shape)
