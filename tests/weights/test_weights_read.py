import os
import pickle
import struct

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.logging.history_buffer import HistoryBuffer

from flower_mm.errors import UserError
from flower_mm.weights.read import read_checkpoint


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def logs():
    hub = MessageHub('logs')
    hub.update_scalar('train/loss', 1.5)
    hub.update_info('best', np.float64(0.5))
    hub.update_info('step', np.int64(7))
    return hub.state_dict()


@pytest.mark.parametrize('zipped', [True, False])
def test_a_checkpoint_of_mmengine(zipped, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(
        {
            'meta': {'epoch': 1, 'classes': ('a', 'b')},
            'state_dict': {'x': torch.ones(2)},
            'message_hub': logs(),
            'optimizer': {'state': {}, 'param_groups': [{'lr': 0.1}]},
        },
        path,
        _use_new_zipfile_serialization=zipped,
    )
    found = read_checkpoint(path)
    assert found['state_dict']['x'].equal(torch.ones(2))
    log = found['message_hub']['log_scalars']['train/loss']
    assert isinstance(log, HistoryBuffer)
    assert log.mean() == 1.5
    assert found['message_hub']['runtime_info']['step'] == 7


@pytest.mark.parametrize('old', [True, False])
def test_numpy_under_its_name_of_before_and_after_two(old, tmp_path):
    path = tmp_path / 'numpy.pth'
    torch.save(
        {'a': np.arange(3.0)}, path, _use_new_zipfile_serialization=False
    )
    content = path.read_bytes()
    name = b'numpy._core.multiarray'
    assert name in content
    if old:
        path.write_bytes(content.replace(name, b'numpy.core.multiarray'))
    assert read_checkpoint(path)['a'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    ('function', 'name'),
    [(os.system, 'posix.system'), (eval, 'eval'), (getattr, 'getattr')],
)
def test_code_is_refused_and_never_runs(function, name, zipped, tmp_path):
    canary = tmp_path / 'canary'
    path = tmp_path / 'evil.pth'
    if function is os.system:
        call = Calls(os.system, f'touch {canary}')
    elif function is eval:
        call = Calls(eval, f'open({str(canary)!r}, "w")')
    else:
        call = Calls(getattr, HistoryBuffer.mean, '__globals__')
    torch.save(
        {'state_dict': {'x': call}},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(UserError, match='holds code') as error:
        read_checkpoint(path)
    assert name in str(error.value)
    assert '\n' not in str(error.value)
    assert not canary.exists()
    if function is os.system and not zipped:
        # The trap is a real one: whoever unpickles it springs it.
        pickle.loads(pickle.dumps(call))  # noqa: S301
        assert canary.exists()


@pytest.mark.parametrize(
    'name', ['__init__', '__globals__', '__class__', 'register_statistics']
)
def test_of_the_logs_only_four_methods(name, tmp_path):
    path = tmp_path / 'logs.pth'
    torch.save({'x': Calls(getattr, HistoryBuffer, name)}, path)
    with pytest.raises(UserError, match='holds code'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'is empty'),
        (b'<!DOCTYPE html><html></html>', 'a web page'),
        (b'version https://git-lfs.github.com/spec/v1', 'Git LFS'),
        (b'{"error": "no"}', 'JSON'),
        (b'just some bytes, not a checkpoint', 'not a checkpoint'),
        (b'PK\x03\x04' + b'\0' * 500, 'not a checkpoint'),
        (pickle.dumps([1, 2]), 'not a checkpoint'),
    ],
)
def test_what_is_no_checkpoint(content, reason, tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_checkpoint(path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('share', [0.3, 0.9])
def test_a_file_that_is_cut_off(share, zipped, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(
        {'x': torch.rand(1000)}, path, _use_new_zipfile_serialization=zipped
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match='not a checkpoint'):
        read_checkpoint(path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        read_checkpoint(tmp_path / 'x.pth')
    with pytest.raises(UserError, match='directory'):
        read_checkpoint(tmp_path)


def test_a_bare_tensor_holds_no_weights(tmp_path):
    torch.save(torch.ones(1), tmp_path / 'x.pth')
    with pytest.raises(UserError, match='a Tensor instead of a dict'):
        read_checkpoint(tmp_path / 'x.pth')


# Written out here after the format's description, since its library is not
# needed by this package.
def safetensors(table, data):
    return struct.pack('<Q', len(table)) + table + data


GOOD = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


def test_safetensors(tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(safetensors(GOOD, struct.pack('<2f', 1.5, -2)))
    assert read_checkpoint(path)['a'].tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ('table', 'data'),
    [
        (GOOD, b'1234567'),
        (GOOD.replace(b'[0,8]', b'[0,4]'), b'12345678'),
        (GOOD.replace(b'[0,8]', b'[-8,0]'), b'12345678'),
        (GOOD.replace(b'[2]', b'[-1,-2]'), b'12345678'),
        (GOOD.replace(b'F32', b'F99'), b'12345678'),
        (GOOD[:-1], b'12345678'),
        (b'{"a":[]}', b''),
    ],
)
def test_safetensors_that_are_damaged(table, data, tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(safetensors(table, data))
    with pytest.raises(UserError, match='damaged or cut off'):
        read_checkpoint(path)


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
