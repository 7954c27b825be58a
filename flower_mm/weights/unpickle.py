"""Read the structure of a pickle without creating its objects.

A pickle names what it wants to be called. Here a name is looked up in the
tables below and nowhere else: they hold constructors of plain values, and
stand-ins for what MMEngine logs, which come out as descriptions of themselves.
A tensor comes out as a description too; whoever has the bytes builds it. So
does whatever copies its arguments: a pickle may ask for that in three bytes.

A pickle can hold, in 800 bytes, tuples whose text has a billion characters.
No object of it is formatted, hashed or compared before its type is known.

`torch.load(weights_only=True)` keeps code out as well, but not the rest: it
allocates whatever size an old file claims, compares no checksums, and builds
sparse, quantised and expanded tensors, which checkpoints do not need.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import torch

Key = TypeVar('Key', str, int)

# A checkpoint of a ResNet-152 with its optimizer takes 160,000 steps. The
# dearest step, to put an empty dict aside, costs a hundred bytes.
MOST_STEPS = 1_000_000
LONGEST_NAME = 1000
LONGEST_DEVICE = 20
MOST_ARGUMENTS = 8  # `_rebuild_tensor_v2` takes 7
MOST_DIMENSIONS = 16
LARGEST_SIDE = 1 << 40

STORAGES = {
    f'torch.{name}Storage': kind
    for name, kind in {
        'Double': torch.float64,
        'Float': torch.float32,
        'Half': torch.float16,
        'BFloat16': torch.bfloat16,
        'Long': torch.int64,
        'Int': torch.int32,
        'Short': torch.int16,
        'Char': torch.int8,
        'Byte': torch.uint8,
        'Bool': torch.bool,
    }.items()
}
DTYPES = {str(kind) for kind in STORAGES.values()}
# Calls that copy what they are given.
COUNTER, SET, BYTES = 'collections.Counter', 'builtins.set', '_codecs.encode'
HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
LOG_METHODS = ('min', 'max', 'current', 'mean')
# What MMEngine's own checkpoints hold besides tensors: their logs. NumPy 2
# moved a module, and files of NumPy 1 still say the old name.
LOGS = (
    HISTORY,
    'numpy.ndarray',
    'numpy.dtype',
    *(
        f'numpy.{core}.multiarray.{function}'
        for core in ('core', '_core')
        for function in ('_reconstruct', 'scalar')
    ),
)


class Refused(Exception):  # noqa: N818
    """The file is complete, but contains more than weights.

    The text continues a sentence that begins with the name of the file.
    """


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file."""

    kind: torch.dtype
    key: str
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.kind.itemsize


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage that lies within it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.storage.kind.itemsize


@dataclass(eq=False, slots=True)
class Call:
    """A call that the pickle contains; it is not made."""

    name: str
    args: tuple
    state: object = None


@dataclass(frozen=True, eq=False)
class Callee:
    """A name that a pickle may call, and the function in its place."""

    name: str
    result: Callable


def unpickle(stream: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Return what the pickle holds, and its storages by key.

    Understands what torch.save writes by default, protocol 2. A damaged
    pickle raises whatever Python's own types raise.
    """
    stack: list = []
    below: list[list] = []  # the stacks beneath the open marks
    memo: dict[int, object] = {}
    storages: dict[str, Storage] = {}
    arg: Any  # its type depends on the operation

    for step, (op, arg, _) in enumerate(pickletools.genops(stream)):
        if step == MOST_STEPS:
            raise Refused(f'is refused: more than {MOST_STEPS:,} parts.')
        match op.name:
            case 'BINPUT' | 'LONG_BINPUT':
                memo[arg] = stack[-1]
            case 'BINGET' | 'LONG_BINGET':
                stack.append(memo[arg])
            case (
                'BINUNICODE'
                | 'SHORT_BINSTRING'
                | 'BININT'
                | 'BININT1'
                | 'BININT2'
                | 'LONG1'
                | 'BINFLOAT'
            ):
                stack.append(arg)
            case 'NONE':
                stack.append(None)
            case 'NEWTRUE' | 'NEWFALSE':
                stack.append(op.name == 'NEWTRUE')
            case 'EMPTY_TUPLE':
                stack.append(())
            case 'TUPLE1' | 'TUPLE2' | 'TUPLE3':
                size = int(op.name[-1])
                if len(stack) < size:
                    raise IndexError('a value is missing')
                stack[-size:] = [tuple(stack[-size:])]
            case 'EMPTY_LIST':
                stack.append([])
            case 'EMPTY_DICT':
                stack.append({})
            case 'MARK':
                below.append(stack)
                stack = []
            case 'TUPLE':
                items, stack = stack, below.pop()
                stack.append(tuple(items))
            case 'APPEND':
                item = stack.pop()
                _of(list, stack[-1]).append(item)
            case 'APPENDS':
                items, stack = stack, below.pop()
                _of(list, stack[-1]).extend(items)
            case 'SETITEM':
                value, key = stack.pop(), stack.pop()
                _of(dict, stack[-1])[plain_name(key)] = value
            case 'SETITEMS':
                items, stack = stack, below.pop()
                pairs = zip(items[::2], items[1::2], strict=True)
                _of(dict, stack[-1]).update(
                    (plain_name(key), value) for key, value in pairs
                )
            case 'GLOBAL':
                stack.append(_global(arg))
            case 'REDUCE' | 'NEWOBJ':
                args = _of(tuple, stack.pop())
                if len(args) > MOST_ARGUMENTS:
                    raise ValueError('a call with too many arguments')
                stack.append(_of(Callee, stack.pop()).result(*args))
            case 'BUILD':
                state = stack.pop()
                # Of all else only OrderedDicts have some, their versions.
                if type(stack[-1]) is Call:
                    stack[-1].state = state
                else:
                    _of(dict, stack[-1])
            case 'BINPERSID':
                storage = _storage(*_of(tuple, stack.pop()))
                if storages.setdefault(storage.key, storage) != storage:
                    raise ValueError('two tensors differ about their bytes')
                stack.append(storage)
            case 'PROTO' | 'STOP':
                pass
            case _:
                raise ValueError(f'{op.name} is not of protocol 2')
    return stack.pop(), storages


def _of(kind: type, value: object) -> Any:
    """The value, if it is of exactly this type."""
    if type(value) is not kind:
        raise TypeError(f'a {type(value).__name__} is no {kind.__name__}')
    return value


def plain_name(key: Key) -> Key:
    """A key that can be shown. Long numbers could be made to collide."""
    if type(key) is str and len(key) <= LONGEST_NAME and key.isprintable():
        return key
    if type(key) is int and abs(key) < 1 << 31:
        return key
    raise Refused('is refused: it has invalid names.')


def _global(words: str):
    """Return the stand-in for a name; refuse a name outside the tables."""
    # Protocol 2 writes the names of Python 2.
    name = words.replace(' ', '.').replace('__builtin__.', 'builtins.', 1)
    if name in STORAGES:
        return STORAGES[name]
    if name in CALLEES:
        return CALLEES[name]
    if name in DTYPES:
        return name
    shown = repr(name.removeprefix('builtins.')[:100])[1:-1]
    if name.startswith('torch.'):
        raise Refused(
            f'holds {shown} and is refused: only plain tensors are read.'
        )
    raise Refused(f'holds code ({shown}) and is refused: weights are data.')


def _storage(
    tag: str,
    kind: torch.dtype,
    key: str,
    place: str,
    numel: int,
    view: None = None,
) -> Storage:
    if tag != 'storage' or view is not None:
        raise ValueError('a storage of before torch 0.4')
    if not 0 <= _of(int, numel) <= LARGEST_SIDE:
        raise ValueError('a storage of impossible size')
    # Equal keys of millions of characters would take their time.
    return Storage(_of(torch.dtype, kind), plain_name(_of(str, key)), numel)


def _tensor(
    storage: Storage,
    offset: int,
    shape: tuple,
    stride: tuple,
    requires_grad: bool = False,
    hooks: object = None,
    flags: dict | None = None,
) -> Tensor:
    storage = _of(Storage, storage)
    sides = len(_of(tuple, shape))
    if sides != len(_of(tuple, stride)) or flags:
        raise ValueError('a tensor of another kind')
    if sides > MOST_DIMENSIONS:
        raise Refused(f'is refused: it has a tensor of {sides:,} dimensions.')
    numbers = (offset, *shape, *stride)
    if not all(type(n) is int for n in numbers):
        raise ValueError('a tensor whose shape is no numbers')
    if (
        not all(0 <= n <= LARGEST_SIDE for n in numbers)
        or math.prod(shape) > storage.numel
        or _end(offset, shape, stride) > storage.numel
    ):
        shown = 'x'.join(map(str, shape[:8]))[:80]
        raise Refused(
            f'is refused: it has a tensor of impossible shape, {shown}, '
            f'made of {storage.numel:,} numbers.'
        )
    return Tensor(storage, offset, shape, stride)


def _end(offset: int, shape: tuple, stride: tuple) -> int:
    """The place behind the last number of a view."""
    if 0 in shape:
        return offset
    last = sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    return offset + last + 1


def _log(name: str) -> Callee:
    return Callee(name, lambda *args: Call(name, args))


def _method_of_log(owner: object, name: str) -> Call:
    """The methods that MMEngine's logs name through `getattr`."""
    logs = type(owner) is Callee and owner.name == HISTORY
    if logs and name in LOG_METHODS:
        return Call('getattr', (name,))
    shown = f' of {name[:100]!r}' if type(name) is str else ''
    raise Refused(f'holds code (getattr{shown}) and is refused.')


def _encode(text: str, codec: str) -> Call:
    """Bytes, as protocol 2 writes them."""
    if codec not in ('latin1', 'latin-1'):
        raise ValueError('bytes in another codec')
    return Call(BYTES, (_of(str, text),))


def _counter(counts: dict) -> Call:
    return Call(COUNTER, (_of(dict, counts),))


def _set(items: list) -> Call:
    return Call(SET, (_of(list, items),))


def _device(kind: str, index: int | None = None) -> str:
    if len(_of(str, kind)) > LONGEST_DEVICE:
        raise ValueError('an invalid device')
    return kind if index is None else f'{kind}:{plain_name(_of(int, index))}'


CALLEES = {
    callee.name: callee
    for callee in (
        *map(_log, LOGS),
        Callee('collections.OrderedDict', lambda: {}),
        Callee(COUNTER, _counter),
        Callee(SET, _set),
        Callee('builtins.getattr', _method_of_log),
        Callee(BYTES, _encode),
        Callee('torch.Size', lambda sizes: tuple(_of(tuple, sizes))),
        Callee('torch.device', _device),
        Callee('torch._utils._rebuild_tensor', _tensor),
        Callee('torch._utils._rebuild_tensor_v2', _tensor),
        Callee('torch._utils._rebuild_parameter', lambda data, *_: data),
    )
}
