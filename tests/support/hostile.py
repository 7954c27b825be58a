"""Files that pretend to be checkpoints, one maker for each kind.

Those that hold code create the canary when somebody runs it.
"""

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from polyglots import POLYGLOTS

# A module that a config may name; importing it creates the canary.
MODULE = 'imported_by_a_checkpoint'


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


@dataclass(frozen=True)
class Hostile:
    """How to make a file, and what its refusal says.

    `make(path, canary, good)` starts from `good`, a whole checkpoint.
    """

    make: Callable[[Path, Path, dict], None]
    reason: str


# --- code --------------------------------------------------------------------


def runs_a_command(path: Path, canary: Path, good: dict) -> None:
    torch.save(good | {'x': Calls(os.system, f'touch {canary}')}, path)


def runs_a_command_in_the_old_format(
    path: Path, canary: Path, good: dict
) -> None:
    evil = good | {'x': Calls(os.system, f'touch {canary}')}
    torch.save(evil, path, _use_new_zipfile_serialization=False)


def is_a_bare_pickle(path: Path, canary: Path, good: dict) -> None:
    path.write_bytes(pickle.dumps(Calls(os.system, f'touch {canary}')))


def evaluates_in_the_weights(path: Path, canary: Path, good: dict) -> None:
    call = Calls(eval, f'open({str(canary)!r}, "w")')
    torch.save(good | {'state_dict': good['state_dict'] | {'x': call}}, path)


def executes_in_the_metadata(path: Path, canary: Path, good: dict) -> None:
    call = Calls(exec, f'open({str(canary)!r}, "w")')
    torch.save(good | {'meta': good['meta'] | {'time': call}}, path)


COMMAND = r'holds code \((posix|nt)\.system\)'
CODE = {
    make.__name__: Hostile(make, reason)
    for make, reason in (
        (runs_a_command, COMMAND),
        (runs_a_command_in_the_old_format, COMMAND),
        (is_a_bare_pickle, 'not a checkpoint'),
        (evaluates_in_the_weights, r'holds code \(eval\)'),
        (executes_in_the_metadata, r'holds code \(exec\)'),
    )
}


def names_a_module(path: Path, canary: Path, good: dict) -> None:
    """MMEngine would import it where the config is one's own."""
    code = f'open({str(canary)!r}, "w").close()\n'
    path.with_name(f'{MODULE}.py').write_text(code)
    config = good['meta']['cfg'] | {'custom_imports': {'imports': [MODULE]}}
    torch.save(good | {'meta': good['meta'] | {'cfg': config}}, path)


# --- damage ------------------------------------------------------------------


def is_cut_off(path: Path, canary: Path, good: dict) -> None:
    torch.save(good, path)
    os.truncate(path, path.stat().st_size * 2 // 3)


def is_cut_off_in_the_old_format(path: Path, canary: Path, good: dict) -> None:
    torch.save(good, path, _use_new_zipfile_serialization=False)
    os.truncate(path, path.stat().st_size - 5)


def has_flipped_bits(path: Path, canary: Path, good: dict) -> None:
    """In a tensor, where torch would not see it."""
    torch.save(good, path)
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        numbers = archive.read(largest)
    content = bytearray(path.read_bytes())
    content[content.index(numbers) + 9] ^= 0x10
    path.write_bytes(content)


def is_oversize(path: Path, canary: Path, good: dict) -> None:
    """A thousand times its own size when it is unpacked."""
    plain = path.with_suffix('.plain')
    zeros = {f'zeros{i}': torch.zeros(1_000_000) for i in range(5)}
    torch.save(good | zeros, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))


def claims_to_be_larger(path: Path, canary: Path, good: dict) -> None:
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a') as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        largest.file_size = largest.compress_size = 1 << 40
        archive.comment = b'x'  # so that the table is written anew


def has_two_parts_of_one_name(path: Path, canary: Path, good: dict) -> None:
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a') as archive:
        pickled = next(n for n in archive.namelist() if 'data.pkl' in n)
        archive.infolist()  # of which one is read and the other is not
        archive.NameToInfo.pop(pickled)
        archive.writestr(pickled, b'\x80\x02}.')


# --- absurdity ---------------------------------------------------------------


def _with(tensor: object, good: dict) -> dict:
    return good | {'state_dict': good['state_dict'] | {'x': tensor}}


def has_a_tensor_of_absurd_shape(path: Path, canary: Path, good: dict) -> None:
    torch.save(_with(torch.ones(1).expand(10**6, 10**6), good), path)


def claims_an_absurd_size_in_the_old_format(
    path: Path, canary: Path, good: dict
) -> None:
    """torch itself allocates it before it looks for the numbers."""
    odd = 123_457
    torch.save(
        _with(torch.zeros(odd), good),
        path,
        _use_new_zipfile_serialization=False,
    )
    content = path.read_bytes()
    said = b'J' + odd.to_bytes(4, 'little')
    assert said in content
    path.write_bytes(
        content.replace(said, b'J' + (2**31 - 1).to_bytes(4, 'little'))
    )


def has_a_tensor_without_numbers(path: Path, canary: Path, good: dict) -> None:
    torch.save(_with(torch.empty(10**6, 10**6, device='meta'), good), path)


def has_a_sparse_tensor(path: Path, canary: Path, good: dict) -> None:
    torch.save(_with(torch.eye(3).to_sparse(), good), path)


def has_a_quantised_tensor(path: Path, canary: Path, good: dict) -> None:
    tensor = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)
    torch.save(_with(tensor, good), path)


def has_a_complex_tensor(path: Path, canary: Path, good: dict) -> None:
    torch.save(_with(torch.ones(3, dtype=torch.complex64), good), path)


def is_full_of_one_tensor(path: Path, canary: Path, good: dict) -> None:
    """Ten thousand copies of it, for whoever copies."""
    numbers = torch.zeros(100_000)
    views = {f'x{i}': numbers[: 100_000 - i] for i in range(10_000)}
    torch.save(good | views, path)


def is_deeply_nested(path: Path, canary: Path, good: dict) -> None:
    deep = []
    for _ in range(300):  # of which pickling takes so many
        deep = [deep]
    torch.save(good | {'x': deep}, path)


def repeats_itself(path: Path, canary: Path, good: dict) -> None:
    """A billion values by reference."""
    part = ['ha'] * 10
    for _ in range(8):
        part = [part] * 10
    torch.save(good | {'meta': good['meta'] | {'x': part}}, path)


def holds_itself(path: Path, canary: Path, good: dict) -> None:
    loop: list = []
    loop.append(loop)
    torch.save(good | {'x': loop}, path)


# --- small files of much work: pickles written by hand -----------------------

SHAPE_OF_ONE = b'K\x01\x85'


def _text(text: str) -> bytes:
    return b'X' + struct.pack('<I', len(text)) + text.encode()


def _put(place: int) -> bytes:
    return b'r' + struct.pack('<I', place)


def _get(place: int) -> bytes:
    return b'j' + struct.pack('<I', place)


def _name(module: str, name: str) -> bytes:
    return f'c{module}\n{name}\n'.encode()


def _laughs(levels: int = 9) -> bytes:
    """A tuple that shows ten to the power of `levels` numbers."""
    made = levels * b'(' + SHAPE_OF_ONE + _put(0)
    for level in range(levels):
        made += 9 * _get(level) + b't' + _put(level + 1)
    return made


def _zip_of(pickled: bytes, path: Path) -> None:
    """A file of torch.save with this under the name of `x`."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(
            'x/data.pkl', b'\x80\x02}' + _text('x') + pickled + b's.'
        )


def laughs_in_a_device(path: Path, canary: Path, good: dict) -> None:
    """In 700 bytes, a text of billions of characters."""
    _zip_of(_name('torch', 'device') + _laughs() + b'\x85R', path)


def laughs_in_a_shape(path: Path, canary: Path, good: dict) -> None:
    storage = _text('storage') + _name('torch', 'FloatStorage')
    storage += _text('0') + _text('cpu') + b'K\x01'
    shape = _laughs() + b'\x85'
    _zip_of(
        _name('torch._utils', '_rebuild_tensor_v2')
        + (b'((' + storage + b'tQK\x00' + shape + SHAPE_OF_ONE + b'\x89NtR'),
        path,
    )


def laughs_in_the_name_of_a_method(
    path: Path, canary: Path, good: dict
) -> None:
    owner = _name('mmengine.logging.history_buffer', 'HistoryBuffer')
    called = _name('__builtin__', 'getattr')
    _zip_of(called + owner + _laughs() + b'\x86R', path)


def laughs_in_the_keys_of_the_old_format(
    path: Path, canary: Path, good: dict
) -> None:
    """Two of one form, which have to be compared to be sorted."""
    torch.save(good, path, _use_new_zipfile_serialization=False)
    keys = b'\x80\x02](' + _laughs(12) + _laughs(12) + b'e.'
    with path.open('rb') as file:
        for _ in range(4):
            pickletools.dis(file, out=io.StringIO())
        kept = file.tell()
    os.truncate(path, kept)
    with path.open('ab') as file:
        file.write(keys)


def _copies(times: int, function: bytes, args: bytes, path: Path) -> None:
    """Hold so many results of the same call."""
    call = _get(0) + _get(1) + b'R'
    _zip_of(
        b'](' + function + _put(0) + args + _put(1) + times * call + b'e',
        path,
    )


def copies_a_counter(path: Path, canary: Path, good: dict) -> None:
    pairs = (b'J' + struct.pack('<i', i) + b'N' for i in range(60_000))
    counts = b'}(' + b''.join(pairs) + b'u\x85'
    _copies(1500, _name('collections', 'Counter'), counts, path)


def copies_a_set(path: Path, canary: Path, good: dict) -> None:
    items = (b'J' + struct.pack('<i', i) for i in range(60_000))
    listed = b'](' + b''.join(items) + b'e\x85'
    _copies(1500, _name('__builtin__', 'set'), listed, path)


def copies_bytes(path: Path, canary: Path, good: dict) -> None:
    args = _text('a' * 2_000_000) + _text('latin1') + b'\x86'
    _copies(1000, _name('_codecs', 'encode'), args, path)


def copies_arguments(path: Path, canary: Path, good: dict) -> None:
    """Which Python does for a function of any number of them."""
    args = b'(' + b'N' * 60_000 + b't'
    _copies(1500, _name('numpy', 'dtype'), args, path)


def has_numbers_that_are_not_there(
    path: Path, canary: Path, good: dict
) -> None:
    """Whoever does not count them gets what memory held before."""
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a') as archive:
        tensors = [e for e in archive.infolist() if '/data/' in e.filename]
        largest = max(tensors, key=lambda entry: entry.file_size)
        largest.compress_size = largest.CRC = 0
        archive.comment = b'x'  # so that the table is written anew


def is_a_web_page(path: Path, canary: Path, good: dict) -> None:
    path.write_bytes(b'<!DOCTYPE html><html></html>')


FILES = CODE | {
    make.__name__: Hostile(make, reason)
    for make, reason in (
        (names_a_module, f'wants to import .{MODULE}'),
        (is_cut_off, 'cut off'),
        (is_cut_off_in_the_old_format, 'ends within its tensors'),
        (has_flipped_bits, 'Bad CRC-32'),
        (is_oversize, 'is compressed'),
        (claims_to_be_larger, 'claims more than it holds'),
        (has_two_parts_of_one_name, 'two files of one name'),
        (has_a_tensor_of_absurd_shape, 'impossible shape, 1000000x1000000'),
        (claims_an_absurd_size_in_the_old_format, 'another size'),
        (has_a_tensor_without_numbers, 'only plain tensors'),
        (has_a_sparse_tensor, 'only plain tensors'),
        (has_a_quantised_tensor, 'only plain tensors'),
        (has_a_complex_tensor, 'ComplexFloatStorage'),
        (is_full_of_one_tensor, 'share their bytes'),
        (is_deeply_nested, 'nested over 100 deep'),
        (repeats_itself, 'over 1,000,000 values'),
        (holds_itself, 'nested over 100 deep'),
        (laughs_in_a_device, 'a tuple is no str'),
        (laughs_in_a_shape, 'shape is no numbers'),
        (laughs_in_the_name_of_a_method, r'holds code \(getattr\)'),
        (laughs_in_the_keys_of_the_old_format, 'without numbers'),
        (copies_a_counter, 'over 1,000,000 values'),
        (copies_a_set, 'over 1,000,000 values'),
        (copies_bytes, 'over 1,000,000 values'),
        (copies_arguments, 'too many arguments'),
        (has_numbers_that_are_not_there, 'foreign bytes'),
        *POLYGLOTS,
        (is_a_web_page, 'a web page'),
    )
}


# --- numbers: sound files of weights that are none ---------------------------


def _spoilt(
    good: dict, spoil: Callable[[torch.Tensor], torch.Tensor | None]
) -> dict:
    """The checkpoint with its first weight changed, or left out."""
    state = dict(good['state_dict'])
    name = next(iter(state))
    changed = spoil(state.pop(name).clone())
    if changed is not None:
        state[name] = changed
    return good | {'state_dict': state}


def has_weights_that_are_nan(path: Path, canary: Path, good: dict) -> None:
    torch.save(_spoilt(good, lambda w: w.fill_(float('nan'))), path)


def has_infinite_weights(path: Path, canary: Path, good: dict) -> None:
    torch.save(_spoilt(good, lambda w: w.double().fill_(1e300)), path)


def has_weights_of_whole_numbers(path: Path, canary: Path, good: dict) -> None:
    torch.save(_spoilt(good, lambda w: w.long()), path)


def has_weights_of_another_shape(path: Path, canary: Path, good: dict) -> None:
    torch.save(_spoilt(good, lambda w: w[:, :, :1]), path)


def lacks_a_weight(path: Path, canary: Path, good: dict) -> None:
    torch.save(_spoilt(good, lambda w: None), path)


NUMBERS = {
    make.__name__: Hostile(make, reason)
    for make, reason in (
        (has_weights_that_are_nan, r'contains NaN or Inf in .*conv1'),
        (has_infinite_weights, r'contains NaN or Inf in .*conv1'),
        (has_weights_of_whole_numbers, r'integers in .*conv1'),
    )
}
# Of a backbone to start from, one tensor may be missing; of a model, none.
MISFITS = {
    make.__name__: Hostile(make, reason)
    for make, reason in (
        (has_weights_of_another_shape, 'size mismatch for .*conv1'),
        (lacks_a_weight, 'Missing key.*conv1'),
    )
}
