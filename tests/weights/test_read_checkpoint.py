import io
import json
import os
import struct
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import Calls
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MessageHub
from mmengine.logging.history_buffer import HistoryBuffer
from torch import nn

from flower_mm.errors import UserError
from flower_mm.weights import unpickle
from flower_mm.weights.read_checkpoint import read_checkpoint


def save(found: object, path: Path, zipped: bool = True, **kwargs) -> Path:
    torch.save(found, path, _use_new_zipfile_serialization=zipped, **kwargs)
    return path


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return (
            one.dtype == other.dtype
            and one.stride() == other.stride()
            and one.equal(other)
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(
            same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize('zipped', [True, False])
def test_it_reads_what_torch_reads(zipped, tmp_path):
    numbers = torch.arange(24.0)
    found = {
        'state_dict': nn.Sequential(
            nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last),
            nn.BatchNorm2d(4),
        ).state_dict(),
        'kinds': {
            str(kind): torch.ones(2, 3).to(kind)
            for kind in unpickle.STORAGES.values()
        },
        'views': [numbers[3:9], numbers.view(4, 6).t(), numbers[::5]],
        'empty': [torch.zeros(0), torch.zeros(3, 0, 2), torch.tensor(7)],
        'parameter': nn.Parameter(torch.rand(3)).data,
        'values': [None, True, False, -1, 1 << 40, 0.5, 'é', b'\xff', (), {}],
        'counter': Counter({3: 1, 7: 2}),
        'set': {1, 2},
        'optimizer': {'state': {0: {'step': torch.tensor(1.0)}}},
    }
    path = save(found, tmp_path / 'x.pth', zipped)
    read = read_checkpoint(path)
    assert same(torch.load(path, weights_only=True), read)
    views = read['views']
    assert views[0].untyped_storage() is not None
    assert views[0].untyped_storage().data_ptr() == (
        views[1].untyped_storage().data_ptr()
    )


def test_tied_tensors_stay_one(tmp_path):
    tensor = torch.ones(3)
    path = save({'a': tensor, 'b': tensor}, tmp_path / 'x.pth')
    found = read_checkpoint(path)
    assert found['a'] is found['b']


def test_objects_of_torch_become_plain_values(tmp_path):
    found = {
        'shape': torch.Size([2, 3]),
        'device': torch.device('cuda', 1),
        'kind': torch.float32,
        'parameter': nn.Parameter(torch.ones(1)),
    }
    read = read_checkpoint(save(found, tmp_path / 'x.pth'))
    assert type(read['parameter']) is torch.Tensor
    del read['parameter']
    assert read == {
        'shape': (2, 3),
        'device': 'cuda:1',
        'kind': 'torch.float32',
    }


# --- MMEngine's logs ---------------------------------------------------------


def logs():
    hub = MessageHub('logs')
    hub.update_scalar('train/loss', 1.5)
    hub.update_info('best', np.float64(0.5))
    hub.update_info('step', np.int64(7))
    hub.update_info('curve', np.arange(3.0))
    hub.update_info('cfg', 'import os')
    return hub.state_dict()


@pytest.mark.parametrize('zipped', [True, False])
def test_a_checkpoint_of_mmengine(zipped, tmp_path):
    path = save(
        {
            'meta': {'epoch': 1, 'classes': ('a', 'b')},
            'state_dict': {'x': torch.ones(2)},
            'message_hub': logs(),
            'optimizer': {'state': {}, 'param_groups': [{'lr': 0.1}]},
        },
        tmp_path / 'epoch_1.pth',
        zipped,
    )
    found = read_checkpoint(path)
    assert found['state_dict']['x'].equal(torch.ones(2))
    hub = found['message_hub']
    assert hub['runtime_info'] == {'best': 0.5, 'step': 7}
    assert type(hub['runtime_info']['best']) is float
    assert hub['log_scalars'] == {}
    # MMEngine takes it as it is.
    MessageHub('other').load_state_dict(hub)


@pytest.mark.parametrize('old', [True, False])
def test_numpy_under_its_name_of_before_and_after_two(old, tmp_path):
    found = {'a': np.float32(0.5), 'b': np.bool_(1), 'c': np.arange(3)}
    path = save(found, tmp_path / 'numpy.pth', zipped=False)
    content = path.read_bytes()
    name = b'numpy._core.multiarray'
    assert name in content
    if old:
        path.write_bytes(content.replace(name, b'numpy.core.multiarray'))
    assert read_checkpoint(path) == {'a': 0.5, 'b': True}


class Built(Calls):
    """Pickles as a call of `function`, and a state set on what it gives."""

    def __init__(self, state, function, *args):
        self.call = function, args, state


def test_numpy_objects_are_dropped(tmp_path):
    """A kind of numbers that claims to be objects, by its flags."""
    forged = Built(
        (3, '|', None, None, None, 8, 1, 63), np.dtype, 'V8', False, True
    )
    array = Calls(np.ndarray, (1,), forged, b'AAAAAAAA')
    path = save({'x': [array, 1]}, tmp_path / 'x.pth')
    assert read_checkpoint(path) == {'x': [1]}


# --- code --------------------------------------------------------------------


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    ('function', 'args', 'name'),
    [
        (os.system, ('true',), 'system'),
        (eval, ('1',), 'eval'),
        (bytearray, (1 << 40,), 'bytearray'),
        (getattr, (HistoryBuffer.mean, '__globals__'), 'getattr'),
        (getattr, (HistoryBuffer, '__init__'), 'getattr'),
        (getattr, (HistoryBuffer, 'register_statistics'), 'getattr'),
        (getattr, (os, 'system'), 'code'),
    ],
)
def test_only_names_of_the_tables_are_called(
    function, args, name, zipped, tmp_path
):
    if os in args:
        args = (Calls(__import__, 'os'), 'system')
    evil = {'state_dict': {'x': Calls(function, *args)}}
    path = save(evil, tmp_path / 'evil.pth', zipped)
    with pytest.raises(UserError, match='holds code') as error:
        read_checkpoint(path)
    assert name in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'call',
    [
        Calls(torch.FloatTensor, 3),
        Calls(torch.Tensor, 3),
        Calls(torch.UntypedStorage, 3),
    ],
)
def test_a_tensor_is_made_of_bytes_of_the_file(call, tmp_path):
    path = save({'x': call}, tmp_path / 'x.pth')
    with pytest.raises(UserError, match='only plain tensors'):
        read_checkpoint(path)


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_other_protocols_are_refused(protocol, tmp_path):
    path = save(
        {'x': [b'1'] * 3}, tmp_path / 'x.pth', pickle_protocol=protocol
    )
    with pytest.raises(UserError, match='not of protocol 2'):
        read_checkpoint(path)


def pickled(content: bytes, path: Path) -> Path:
    """A zip as torch writes it, around this pickle."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('x/data.pkl', content)
    return path


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'\x80\x02',
        b'\x80\x02.',
        b'\x80\x02}',
        b'\x80\x02h\x07.',  # what was never put aside
        b'\x80\x02t.',  # the end of what never began
        b'\x80\x02\x86.',
        b'\x80\x02]K\x01s.',
        b'\x80\x02}(K\x01u.',  # a name without a value
        b'\x80\x02K\x01K\x02R.',  # a number is called
        b'\x80\x02K\x01Q.',
        b'\x80\x02(U\x07storageK\x01K\x02K\x03K\x04tQ.',
        b'\x80\x02X\xff\xff\xff\xffab',  # a text of 4 GB
        b'\x80\x02\x8b\xff\xff\xff\x7f',
        b'\x80\x02ccollections\nOrderedDict\n]b.',
        b'\x80\x02cnumpy\ndtype\n(' + b'N' * 9 + b'tR.',
        b'\x80\x02ctorch\ndevice\nU\x15' + b'x' * 21 + b'\x85R.',
        b'\x80\x02ctorch\ndevice\nU\x03cpu]\x86R.',
    ],
)
def test_invalid_pickles(content, tmp_path):
    with pytest.raises(UserError, match=r'not a checkpoint|no weights'):
        read_checkpoint(pickled(content, tmp_path / 'x.pth'))


@pytest.mark.parametrize(
    ('found', 'reason'),
    [
        ({'x' * 1001: 1}, 'invalid names'),
        ({'a\x1b[2J': 1}, 'invalid names'),
        ({'a\nb': 1}, 'invalid names'),
        ({(1, 2): 1}, 'invalid names'),
        # Python finds all of these under one number.
        ({k * (2**61 - 1): 1 for k in range(1, 5)}, 'invalid names'),
        ({'x': {2**61}}, 'invalid names'),
        ({'x': 1 << 2000}, 'more than 64 bits'),
        ({'x': ['y' * 50_000_000] * 2}, 'over 1,000,000 values'),
    ],
)
def test_values_that_weights_do_not_need(found, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        read_checkpoint(save(found, tmp_path / 'x.pth'))


def test_a_pickle_of_too_many_parts(tmp_path):
    path = pickled(b'\x80\x02' + b'}' * 1_000_001, tmp_path / 'x.pth')
    with pytest.raises(UserError, match='more than 1,000,000 parts'):
        read_checkpoint(path)


def test_names_cost_no_memory():
    """Each may be said a million times."""
    one = b'cnumpy\ndtype\n'
    head = io.BytesIO(b'\x80\x02' + one + one + b'\x86.')
    first, second = unpickle.unpickle(head)[0]
    assert first is second


def test_a_tensor_of_too_many_dimensions(tmp_path):
    found = {'x': torch.ones([1] * 17)}
    with pytest.raises(UserError, match='a tensor of 17 dimensions'):
        read_checkpoint(save(found, tmp_path / 'x.pth'))


# --- damage ------------------------------------------------------------------


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'is empty'),
        (b'<!DOCTYPE html><html></html>', 'a web page'),
        (b'version https://git-lfs.github.com/spec/v1', 'Git LFS'),
        (b'{"error": "no"}', 'JSON'),
        (b'just some bytes, not a checkpoint', 'not a checkpoint'),
        (b'PK\x03\x04' + b'\0' * 500, 'not a checkpoint'),
    ],
)
def test_files_of_other_kinds(content, reason, tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_checkpoint(path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('share', [0.3, 0.9])
def test_a_file_that_is_cut_off(share, zipped, tmp_path):
    path = save({'x': torch.rand(1000)}, tmp_path / 'x.pth', zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match='not a checkpoint'):
        read_checkpoint(path)


def test_an_old_file_that_ends_before_its_last_number(tmp_path):
    """Within the eight bytes that say how many numbers follow."""
    path = save({'x': torch.ones(1)}, tmp_path / 'x.pth', zipped=False)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match='ends within its tensors'):
        read_checkpoint(path)


@pytest.mark.parametrize('kept', [b'\x05\x00', b''])
def test_an_old_file_with_other_numbers_than_it_says(kept, tmp_path):
    path = save({'x': torch.rand(5)}, tmp_path / 'x.pth', zipped=False)
    content = path.read_bytes()
    size = struct.pack('<q', 5)
    assert content.count(size) == 1
    path.write_bytes(content.replace(size, struct.pack('<q', 4)))
    with pytest.raises(UserError, match='another size than it says'):
        read_checkpoint(path)


def test_a_tensor_whose_bytes_are_elsewhere(tmp_path):
    path = save({'x': torch.rand(5)}, tmp_path / 'x.pth')
    with zipfile.ZipFile(path) as source:
        content = source.read('x/data.pkl')
    with pytest.raises(UserError, match="no item named 'x/data/0'"):
        read_checkpoint(pickled(content, path))


def rezipped(path: Path, **parts: bytes) -> Path:
    """The file with these parts in place of, or besides, its own."""
    with zipfile.ZipFile(path) as source:
        old = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, 'w') as target:
        for name, content in (old | parts).items():
            target.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ('parts', 'reason'),
    [
        ({'x/byteorder': b'big'}, 'big-endian'),
        ({'x/constants.pkl': b''}, 'TorchScript'),
        ({'y/data.pkl': b'\x80\x02}.'}, 'not of torch.save'),
        ({'x/data/0': b'1234'}, 'another size than it says'),
    ],
)
def test_zips_of_another_kind(parts, reason, tmp_path):
    path = save({'x': torch.rand(5)}, tmp_path / 'x.pth')
    with pytest.raises(UserError, match=reason):
        read_checkpoint(rezipped(path, **parts))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        read_checkpoint(tmp_path / 'x.pth')
    with pytest.raises(UserError, match='directory'):
        read_checkpoint(tmp_path)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'x.pth')
    with pytest.raises(UserError, match='not a regular file'):
        read_checkpoint(tmp_path / 'x.pth')


def test_a_bare_tensor(tmp_path):
    torch.save(torch.ones(1), tmp_path / 'x.pth')
    with pytest.raises(UserError, match='got a Tensor'):
        read_checkpoint(tmp_path / 'x.pth')


BUFFER = io.BytesIO()
torch.save(
    {
        'state_dict': nn.Sequential(nn.Linear(2, 2)).state_dict(),
        'meta': {'epoch': 1, 'cfg': {'model': {'type': 'x', 'depth': 18}}},
        'message_hub': logs(),
    },
    BUFFER,
    _use_new_zipfile_serialization=False,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(BUFFER.getvalue()) - 1), st.integers(0, 255)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_changed_bytes_are_read_as_data_or_refused(
    tmp_path_factory, changes
):
    """In the old format, which has no checksums."""
    content = bytearray(BUFFER.getvalue())
    for place, value in changes:
        content[place] = value
    path = tmp_path_factory.getbasetemp() / 'changed.pth'
    path.write_bytes(content)
    with suppress(UserError):
        assert isinstance(read_checkpoint(path), dict)


# --- metadata ----------------------------------------------------------------


def test_configs_as_text_are_deleted(tmp_path):
    meta = {'cfg': 'import os', 'config': 'import os', 'epoch': 1}
    hub = {'runtime_info': {'cfg': 'import os', 'iter': 3}}
    path = save({'meta': meta, 'message_hub': hub}, tmp_path / 'x.pth')
    assert read_checkpoint(path) == {
        'meta': {'epoch': 1},
        'message_hub': {
            'runtime_info': {'iter': 3},
            'log_scalars': {},
            'resumed_keys': {},
        },
    }


@pytest.mark.parametrize(
    'imports',
    [
        'os',
        ['os'],
        {'imports': 'os'},
        {'imports': ['flower_mm.engine', 'os'], 'allow_failed_imports': True},
        ['flower_mm_evil'],
        [['os']],
    ],
)
def test_a_config_that_imports_other_modules_is_refused(imports, tmp_path):
    meta = {'cfg': {'custom_imports': imports}}
    path = save({'meta': meta}, tmp_path / 'x.pth')
    with pytest.raises(UserError, match=r'wants to import .*(os|evil)'):
        read_checkpoint(path)


def test_our_own_imports_are_allowed(tmp_path):
    meta = {'cfg': {'custom_imports': {'imports': ['flower_mm.engine']}}}
    path = save({'meta': meta}, tmp_path / 'x.pth')
    assert read_checkpoint(path)['meta'] == meta


@pytest.mark.parametrize(
    'found',
    [
        {'meta': [1]},
        {'meta': None},
        {'meta': torch.ones(1)},
        {'message_hub': 3},
        {'message_hub': {'log_scalars': []}},
        {'meta': {'dataset_meta': 'a'}},
        {'meta': {'dataset_meta': {'classes': 'abc'}}},
        {'meta': {'dataset_meta': {'classes': [1, 2]}}},
    ],
)
def test_metadata_of_another_form(found, tmp_path):
    with pytest.raises(UserError, match='is refused: its'):
        read_checkpoint(save(found, tmp_path / 'x.pth'))


# --- .safetensors ------------------------------------------------------------


# Written out here after the format's description: its library cannot write
# what is wrong.
def safetensors(table, data):
    return struct.pack('<Q', len(table)) + table + data


GOOD = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


# 8,992 is a blank and a brace when it is written as a length.
@pytest.mark.parametrize('length', [len(GOOD), 0x3C20, 0x7B20, 60])
def test_safetensors(length, tmp_path):
    path = tmp_path / 'x.safetensors'
    table = GOOD.ljust(length)
    path.write_bytes(safetensors(table, struct.pack('<2f', 1.5, -2)))
    assert read_checkpoint(path)['a'].tolist() == [1.5, -2]


def row(shape, offsets, kind='F32'):
    return {'dtype': kind, 'shape': shape, 'data_offsets': offsets}


@pytest.mark.parametrize(
    ('table', 'data'),
    [
        (GOOD, b'1234567'),
        (GOOD.replace(b'[0,8]', b'[0,4]'), b'12345678'),
        (GOOD.replace(b'[0,8]', b'[-8,0]'), b'12345678'),
        (GOOD.replace(b'[2]', b'[-1,-2]'), b'12345678'),
        (GOOD.replace(b'[2]', b'[2.0]'), b'12345678'),
        (GOOD.replace(b'[2]', b'[true,2]'), b'12345678'),
        (GOOD.replace(b'[2]', b'[1000000000000]'), b'12345678'),
        (GOOD.replace(b'[2]', b'[%s,2]' % (b'1,' * 99 + b'1')), b'12345678'),
        (GOOD.replace(b'F32', b'F99'), b'12345678'),
        (GOOD.replace(b'"a"', b'"a\\u001b"'), b'12345678'),
        (GOOD[:-1], b'12345678'),
        (b'{"a":[]}', b''),
        (b'{"a":' + b'[' * 100_000, b''),
        # A header that would take minutes to parse.
        (GOOD[:-1].ljust(10_000_001) + b'}', b'12345678'),
        (json.dumps({'a': row([1 << 39] * 3 + [0], [0, 0])}).encode(), b''),
        # Two that lie on one another.
        (
            json.dumps(
                {'a': row([2], [0, 8]), 'b': row([2], [4, 12])}
            ).encode(),
            b'123456789012',
        ),
    ],
)
def test_safetensors_that_are_damaged(table, data, tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(safetensors(table, data))
    with pytest.raises(UserError, match='cut off or damaged') as error:
        read_checkpoint(path)
    assert '\n' not in str(error.value)


def test_safetensors_as_their_library_writes_them(tmp_path):
    library = pytest.importorskip('safetensors.torch')
    tensors = {
        'half': torch.rand(3).half(),
        'brain': torch.rand(2, 2).bfloat16(),
        'whole': torch.arange(5),
        'truth': torch.tensor([True, False]),
        'none': torch.zeros(0, 4),
        'one': torch.tensor(3.0),
    }
    path = tmp_path / 'x.safetensors'
    library.save_file(tensors, path, metadata={'format': 'pt'})
    found = read_checkpoint(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].equal(tensor)
