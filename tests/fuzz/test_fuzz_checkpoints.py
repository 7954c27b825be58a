"""Checkpoints that nobody vouches for."""

import io
import json
import pickletools
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import MessageHub
from rubbish import damaged, damaged_json, fuzz, only_ours

from flower_mm.weights.read_checkpoint import read_checkpoint

SPRUNG = []


def trap(*args: object) -> list:
    """What no checkpoint may call."""
    SPRUNG.append(args)
    return SPRUNG


def saved(zipped: bool) -> bytes:
    hub = MessageHub('fuzz')
    hub.update_scalar('train/loss', 1.5)
    weight = torch.arange(12.0).reshape(3, 4)
    found = {
        'meta': {'epoch': 1, 'classes': ('a', 'b'), 'cfg': {'lr': 0.1}},
        'state_dict': {
            'backbone.weight': weight,
            'backbone.tied': weight.t(),
            'backbone.half': torch.ones(3).half(),
            'backbone.count': torch.tensor(7),
        },
        'message_hub': hub.state_dict(),
        'optimizer': {'state': {}, 'param_groups': [{'lr': 0.1}]},
    }
    file = io.BytesIO()
    torch.save(found, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


ZIPPED, LEGACY = saved(True), saved(False)
ROWS = {
    '__metadata__': {'format': 'pt'},
    'weight': {'dtype': 'F32', 'shape': [2, 2], 'data_offsets': [0, 16]},
    'bias': {'dtype': 'BF16', 'shape': [2], 'data_offsets': [16, 20]},
    'none': {'dtype': 'I64', 'shape': [0, 3], 'data_offsets': [20, 20]},
}


def safetensors(table: bytes) -> bytes:
    return struct.pack('<Q', len(table)) + table + bytes(20)


with zipfile.ZipFile(io.BytesIO(ZIPPED)) as archive:
    PARTS = {name: archive.read(name) for name in archive.namelist()}
STRUCTURE = next(name for name in PARTS if name.endswith('/data.pkl'))
HERE = __name__.encode()

# Steps of a pickle that ask for code, for memory, or for the impossible.
STEPS = [
    b'c' + HERE + b'\ntrap\n', b'c' + HERE + b'\ntrap\n(tR',
    b'cbuiltins\neval\n', b'cbuiltins\ngetattr\n', b'cposix\nsystem\n',
    b'ctorch\nload\n', b'ctorch._utils\n_rebuild_tensor_v2\n',
    b'ccollections\nOrderedDict\n', b'ctorch\nFloatStorage\n',
    b'i' + HERE + b'\ntrap\n', b'\x8c\x02os\x8c\x06system\x93',
    b'(', b')', b'0', b'1', b'2', b'.', b'N', b'}', b']', b'\x8f', b'\x88',
    b'R', b'b', b'\x81', b'\x92', b'o', b'Q', b'P0\n', b's', b'u', b'a', b'e',
    b't', b'\x85', b'\x86', b'\x87', b'l', b'd', b'\x91', b'\x94', b'\x97',
    b'h\x00', b'h\x01', b'h\xff', b'j\xff\xff\xff\xff', b'q\x00', b'q\xff',
    b'r\xff\xff\xff\x7f', b'\x82\x01', b'\x95' + b'\xff' * 8, b'\x80\x05',
    b'J\xff\xff\xff\xff', b'J\xff\xff\xff\x7f', b'K\x00', b'K\x02',
    b'\x8a\x09' + b'\xff' * 8 + b'\x7f', b'\x8b\xff\xff\xff\x7f',
    b'I' + b'9' * 5000 + b'\n', b'L-1L\n', b'Fnan\n', b'G' + b'\xff' * 8,
    b'X\xff\xff\xff\xff', b'\x8d' + b'\xff' * 7 + b'\x7f', b'X\0\0\0\0',
    b'X\1\0\0\0a', b'B\0\0\0\0', b'\x8e' + b'\xff' * 7 + b'\x0f',
    b'\x96' + b'\xff' * 7 + b'\x0f', b'V\\ud800\n', b'(' * 500, b'2t' * 40,
    b'22t' * 30, b']q\x00h\x00a',
]  # fmt: skip


def steps_of(content: bytes, pickles: int) -> list[bytes]:
    """The steps of so many pickles, and what is behind them."""
    file, places = io.BytesIO(content), []
    for _ in range(pickles):
        places += [place for _, _, place in pickletools.genops(file)]
    ends = [*places[1:], file.tell()]
    steps = [content[a:b] for a, b in zip(places, ends, strict=True)]
    return [*steps, content[file.tell() :]]


@st.composite
def damaged_steps(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """Steps gone, doubled, swapped, put in."""
    steps = list(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(steps) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                steps[at] = b''
            case 1:
                steps[at] += draw(st.sampled_from(STEPS))
            case 2:
                steps[at] = draw(st.sampled_from(STEPS))
            case 3:
                other = draw(st.integers(0, len(steps) - 1))
                steps[at], steps[other] = steps[other], steps[at]
            case 4:
                steps[at] = draw(damaged(steps[at], most=1))
    return b''.join(steps)


@st.composite
def damaged_parts(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of a zip: one changed, gone, new or with another name."""
    parts = dict(PARTS)
    name = draw(st.sampled_from(sorted(parts)))
    other = name.rpartition('/')[0] + draw(
        st.sampled_from(['/data.pkl', '/constants.pkl', '/x', '/../x', ''])
    )
    match draw(st.integers(0, 3)):
        case 0:
            parts[name] = draw(damaged(parts[name]) | st.binary(max_size=99))
        case 1:
            del parts[name]
        case 2:
            parts[other] = parts.pop(name)
        case 3:
            parts['x/' + other] = draw(st.binary(max_size=20))
    return parts


def zip_of(parts: dict[str, bytes], method: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def tensors_in(found: object, deep: int = 0) -> list[torch.Tensor]:
    assert deep < 1000
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, dict):
        found = [*found.keys(), *found.values()]
    if not isinstance(found, (list, tuple, set)):
        assert found is None or type(found) in (str, bytes, int, float, bool)
        return []
    return [t for part in found for t in tensors_in(part, deep + 1)]


@pytest.fixture(scope='module')
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('checkpoints') / 'x.pth'


def read(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        with only_ours('checkpoints'):
            found = read_checkpoint(path)
            assert isinstance(found, dict)
            tensors = tensors_in(found)
            assert sum(t.nbytes for t in tensors) <= 100 * len(data)
            for tensor in tensors:
                tensor.clone()  # within its storage, or this would fall
    finally:
        assert not SPRUNG
        assert list(path.parent.iterdir()) == [path]


def test_the_good_ones_are_read(path):
    for data in (ZIPPED, LEGACY, zip_of(PARTS)):
        path.write_bytes(data)
        state = read_checkpoint(path)['state_dict']
        assert state['backbone.tied'][1, 2] == 9
    path.write_bytes(safetensors(json.dumps(ROWS).encode()))
    assert read_checkpoint(path)['weight'].shape == (2, 2)


@fuzz()
@given(pickle=damaged_steps(steps_of(PARTS[STRUCTURE], 1)))
def test_pickles_in_a_zip(path, pickle):
    read(path, zip_of({**PARTS, STRUCTURE: pickle}))


@fuzz()
@given(legacy=damaged_steps(steps_of(LEGACY, 5)))
def test_pickles_one_after_another(path, legacy):
    read(path, legacy)


@fuzz()
@given(parts=damaged_parts(), method=st.sampled_from([0, 0, 0, 8, 14]))
def test_zips(path, parts, method):
    read(path, zip_of(parts, method))


@fuzz()
@given(data=damaged(ZIPPED) | damaged(LEGACY))
def test_damaged_files(path, data):
    read(path, data)


@fuzz()
@given(table=damaged_json(ROWS))
def test_tables_of_safetensors(path, table):
    read(path, safetensors(table))


@fuzz(0.5)
@given(
    start=st.sampled_from([b'', b'PK\3\4', b'\x80\2', struct.pack('<Q', 30)]),
    data=st.binary(max_size=100),
)
def test_bytes_that_are_no_checkpoint(path, start, data):
    read(path, start + data)
