"""Read a file of weights as data: no code in it is executed."""

import io
import os
import re
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from flower_mm.errors import UserError, printable
from flower_mm.plain_text import class_name_fault, shorten
from flower_mm.weights.container_layout import (
    check_end,
    check_layout,
    check_members,
)
from flower_mm.weights.safetensors_file import (
    is_safetensors,
    read_safetensors,
)
from flower_mm.weights.unpickle import (
    BYTES,
    COUNTER,
    SET,
    Call,
    Refused,
    Storage,
    Tensor,
    plain_name,
    unpickle,
)

# How files of other kinds begin.
OTHER_KINDS = {
    b'<': 'a web page; the download went wrong',
    b'version https://git-lfs': 'a Git LFS pointer; fetch the file itself',
    b'{': 'a JSON text',
}
ZIP = b'PK\x03\x04'
LEGACY = 0x1950A86A20F9469CFC6C  # what torch.save began with before 1.6

# Limits far above real files. Structure is a hundredth of the tensors.
LONGEST_PICKLE = 64 << 20  # bytes
DEEPEST = 100
MOST_VALUES = 1_000_000  # each part as often as it is referred to
CHARACTERS = 64  # of a text count as one value
LARGEST_NUMBER = 1 << 64
# Tied tensors share their bytes; a file that shares more fills the memory.
MOST_SHARED = 4

DROPPED = object()  # stands for a log


def read_checkpoint(path: str | Path) -> dict:
    """Return what the file holds, on the CPU; nothing in it is executed.

    Tensors and plain values only: MMEngine's logs and configs in the form of
    Python text are left behind.
    """
    path = Path(path)
    try:
        with _open(path) as file:
            content = _parse(file, path)
    except OSError as error:
        raise UserError(f'{path}: {error.strerror or error}.') from None
    except Refused as error:
        raise UserError(f'{path} {error}') from error
    except (UserError, MemoryError):
        raise
    except Exception as error:
        # A damaged file makes the parts raise whatever they run into.
        reason = str(error).strip('"\' ') or type(error).__name__
        raise UserError(
            f'{path} is not a checkpoint, or is cut off or damaged: '
            f'{printable(reason)}'
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f'{path}: expected a dict of tensors, got a '
            f'{type(content).__name__}'
        )
    _check_metadata(content, path)
    return content


def _open(path: Path) -> BinaryIO:
    # A pipe would be waited for, and has no end to look at.
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = 'a directory' if stat.S_ISDIR(mode) else 'not a regular file'
        raise UserError(f'{path} is {kind}.')
    return path.open('rb')


def _parse(file: BinaryIO, path: Path) -> object:
    start = file.read(64)
    if not start:
        raise UserError(f'{path} is empty.')
    file.seek(0)
    # First: its length may begin with any character.
    if is_safetensors(start):
        check_end(file, _size(file))
        return read_safetensors(path)
    for mark, kind in OTHER_KINDS.items():
        if start.lstrip().startswith(mark):
            raise UserError(f'{path} is not a checkpoint: it is {kind}.')
    if start.startswith(ZIP):
        return _zipped(file)
    check_end(file, _size(file))
    file.seek(0)
    return _legacy(file)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


# --- the two formats of torch.save -------------------------------------------


def _zipped(file: BinaryIO) -> object:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = {entry.filename for entry in entries}
        if len(names) < len(entries):
            raise ValueError('a zip with two files of one name')
        root = _root(names)
        # Stored as they are, the parts cannot be more than the whole.
        if any(e.compress_type or e.flag_bits & 1 for e in entries):
            raise Refused('is refused: its zip is compressed or encrypted.')
        if sum(entry.file_size for entry in entries) > _size(file):
            raise ValueError('a zip that claims more than it holds')
        if f'{root}/byteorder' in names and (
            archive.read(f'{root}/byteorder') != b'little'
        ):
            raise Refused('is refused: it is of a big-endian machine.')
        pickle = archive.getinfo(f'{root}/data.pkl')
        if pickle.file_size > LONGEST_PICKLE:
            raise Refused('is refused: its structure is too large.')

        def load(storage: Storage) -> torch.Tensor:
            entry = archive.getinfo(f'{root}/data/{storage.key}')
            if entry.file_size != storage.nbytes:
                raise ValueError('a tensor has another size than it says')
            with archive.open(entry) as part:
                # At the end of a part its checksum is compared.
                return _numbers(part, storage.nbytes)

        found, storages = unpickle(io.BytesIO(archive.read(pickle)))
        check_members(archive, root, storages)
        check_layout(file, _size(file), archive)
        return _TensorBuilder(load, _size(file)).build(found)


def _root(names: set[str]) -> str:
    """Return the folder in the zip, which has the file's first name."""
    found = [name for name in names if re.fullmatch(r'[^/]+/data\.pkl', name)]
    if len(found) != 1:
        raise ValueError('a zip, but not of torch.save')
    root = found[0].partition('/')[0]
    if f'{root}/constants.pkl' in names:
        raise Refused('is refused: it is a TorchScript program.')
    return root


def _legacy(file: BinaryIO) -> object:
    """Five pickles, and then the numbers."""
    head = io.BytesIO(file.read(LONGEST_PICKLE))
    magic, protocol, machine = (unpickle(head)[0] for _ in range(3))
    if (magic, protocol) != (LEGACY, 1001) or not machine['little_endian']:
        raise ValueError('it does not begin like one')
    found, storages = unpickle(head)
    keys, _ = unpickle(head)
    # In this order: other keys than texts may take minutes to compare.
    if (
        type(keys) is not list
        or not all(type(key) is str and key in storages for key in keys)
        or not len(keys) == len(set(keys)) == len(storages)
    ):
        raise ValueError('tensors without numbers')
    places = {}
    place = head.tell()
    for key in keys:
        places[key] = place + 8
        file.seek(place)
        count = file.read(8)
        if len(count) < 8:
            raise ValueError('it ends within its tensors')
        (numel,) = struct.unpack('<q', count)
        if numel != storages[key].numel:
            raise ValueError('a tensor has another size than it says')
        place += 8 + storages[key].nbytes
    if place > _size(file):
        raise ValueError('it ends within its tensors')
    if place < _size(file):
        raise Refused('is refused: it has foreign bytes behind its tensors.')

    def load(storage: Storage) -> torch.Tensor:
        file.seek(places[storage.key])
        return _numbers(file, storage.nbytes)

    return _TensorBuilder(load, _size(file)).build(found)


def _numbers(
    source: Any,  # a binary file: BinaryIO lacks `readinto`
    size: int,
) -> torch.Tensor:
    """Read bytes until the tensor is full; unread memory is never returned."""
    numbers = torch.empty(size, dtype=torch.uint8)
    rest = numbers.numpy().data
    while rest:
        count = source.readinto(rest)
        if not count:
            raise ValueError('a tensor has fewer bytes than it says')
        rest = rest[count:]
    return numbers


class _TensorBuilder:
    """Turn descriptions into tensors; drop all but plain values."""

    def __init__(
        self, load: Callable[[Storage], torch.Tensor], size: int
    ) -> None:
        self.load = load
        self.bytes_left = MOST_SHARED * size
        self.values_left = MOST_VALUES
        self.loaded: dict[str, torch.UntypedStorage] = {}
        self.tensors: dict[Tensor, torch.Tensor] = {}

    def build(self, value: object, depth: int = 0) -> Any:
        length = len(value) if isinstance(value, str) else 0
        self.values_left -= 1 + length // CHARACTERS
        # Parts that contain one another would be visited without end.
        if self.values_left < 0:
            raise Refused(f'is refused: it has over {MOST_VALUES:,} values.')
        if depth > DEEPEST:
            raise Refused(f'is refused: it is nested over {DEEPEST} deep.')
        if isinstance(value, dict):
            return {
                key: part
                for key, item in value.items()
                if (part := self.build(item, depth + 1)) is not DROPPED
            }
        if isinstance(value, (list, tuple)):
            parts = [self.build(item, depth + 1) for item in value]
            return type(value)(part for part in parts if part is not DROPPED)
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, Call):
            return self._call(value, depth)
        if type(value) is int and abs(value) >= LARGEST_NUMBER:
            raise Refused('is refused: it has a number of more than 64 bits.')
        if value is None or type(value) in (str, int, float, bool):
            return value
        return DROPPED

    def _call(self, call: Call, depth: int) -> object:
        if call.name not in (COUNTER, SET, BYTES):
            return _number(call)
        (argument,) = call.args
        # Built, and so counted, before it is copied.
        value = self.build(argument, depth)
        if call.name == BYTES:
            return value.encode('latin-1')
        if call.name == COUNTER:
            return Counter(value)
        return set(map(plain_name, value))

    def _tensor(self, tensor: Tensor) -> torch.Tensor:
        if tensor in self.tensors:
            return self.tensors[tensor]
        self.bytes_left -= tensor.nbytes
        if self.bytes_left < 0:
            raise Refused('is refused: its tensors share their bytes.')
        storage = tensor.storage
        if storage.key not in self.loaded:
            self.loaded[storage.key] = self.load(storage).untyped_storage()
        self.tensors[tensor] = torch.empty(0, dtype=storage.kind).set_(
            self.loaded[storage.key],
            tensor.offset,
            tensor.shape,
            tensor.stride,
        )
        return self.tensors[tensor]


def _number(call: Call) -> object:
    """Return a NumPy number as a Python number, and DROPPED for a log."""
    match call:
        case Call(
            name='numpy._core.multiarray.scalar'
            | 'numpy.core.multiarray.scalar',
            args=(
                Call(name='numpy.dtype', args=(kind, *_)),
                Call(name='_codecs.encode', args=(text,)),
            ),
        ) if kind in ('f8', 'f4', 'i8', 'i4', 'b1') and len(text) <= 8:
            form = {'f8': 'd', 'f4': 'f', 'i8': 'q', 'i4': 'i', 'b1': '?'}
            return struct.unpack(f'<{form[kind]}', text.encode('latin-1'))[0]
    return DROPPED


# --- metadata ----------------------------------------------------------------


def _check_metadata(content: dict, path: Path) -> None:
    """Check the metadata, and delete configs in the form of Python text."""
    for part in ('meta', 'message_hub'):
        if not isinstance(content.get(part, {}), dict):
            raise UserError(f'{path} is refused: its {part} is not a dict.')
    # Configs in the form of Python text, as MMEngine writes them, are never
    # parsed. Its inferencer would run these two,
    hub = content.get('message_hub')
    if hub is not None:
        for part in ('log_scalars', 'runtime_info', 'resumed_keys'):
            if not isinstance(hub.setdefault(part, {}), dict):
                raise UserError(
                    f'{path} is refused: its {part} is not a dict.'
                )
        hub['runtime_info'].pop('cfg', None)
    meta = content.get('meta', {})
    if isinstance(meta.get('cfg'), str):
        del meta['cfg']
    # and its Runner this one when it resumes.
    meta.pop('config', None)
    config = meta.get('cfg')
    if isinstance(config, dict):
        _check_imports(config.get('custom_imports'), path)
    data = meta.get('dataset_meta')
    if data is not None and not (
        isinstance(data, dict)
        and isinstance(data.get('classes', []), (list, tuple))
        and all(isinstance(name, str) for name in data.get('classes', []))
    ):
        raise UserError(
            f'{path} is refused: its classes: expected a list of names.'
        )
    listed = meta.get('classes')
    names = [*(data or {}).get('classes', [])]
    names += listed if isinstance(listed, (list, tuple)) else []
    for name in map(str, names):
        if fault := class_name_fault(name):
            raise UserError(
                f'{path} is refused: a class is named {shorten(name, 80)}, '
                f'with {fault}.'
            )


def _check_imports(imports: object, path: Path) -> None:
    names = imports.get('imports') if isinstance(imports, dict) else imports
    for name in names if isinstance(names, (list, tuple)) else [names]:
        ours = str(name).partition('.')[0] == 'flower_mm'
        if name is not None and not ours:
            raise UserError(
                f'{path} is refused: its config wants to import '
                f'{str(name)!r:.100}.'
            )
