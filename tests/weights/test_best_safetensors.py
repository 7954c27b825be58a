"""best.safetensors holds what best.pth does, for those who take no pickles."""

import json
import random
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers import ROOT
from mmengine.registry import DefaultScope

from flower_mm import Classifier
from flower_mm.config import read_config
from flower_mm.errors import UserError
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.weights.best_checkpoint import (
    plain,
    write_best,
    write_safetensors,
)
from flower_mm.weights.checked_config import config_of
from flower_mm.weights.read_checkpoint import read_checkpoint
from flower_mm.weights.safetensors_file import CHECKSUM, META, with_checksum

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))


@pytest.fixture(scope='module')
def written(
    plain_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A run's best.pth, and the same as safetensors."""
    best = plain_run / 'best.pth'
    path = tmp_path_factory.mktemp('written') / 'best.safetensors'
    found = read_checkpoint(best)
    write_safetensors(path, found['state_dict'], found['meta'])
    return best, path


def test_it_is_read_back_complete(written):
    one, other = map(read_checkpoint, written)
    assert one['state_dict'].keys() == other['state_dict'].keys()
    for name, tensor in one['state_dict'].items():
        assert torch.equal(tensor, other['state_dict'][name])
        assert tensor.dtype == other['state_dict'][name].dtype
    # JSON knows lists only.
    assert json.loads(json.dumps(one['meta'])) == other['meta']
    assert (
        one['meta']['dataset_meta']['classes']
        == (other['meta']['dataset_meta']['classes'])
    )


def test_it_predicts_the_same(written, photos):
    files = sorted(photos.rglob('*.jpg'))[::7]
    configs = [json.dumps(config_of(path).to_dict()) for path in written]
    assert configs[0] == configs[1]
    one, other = map(Classifier, written)
    assert one(files) == other(files)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_lists_for_tuples_build_the_same(path):
    """As which they come back from JSON."""
    config = plain(read_config(str(path)).to_dict())
    config['model']['head']['num_classes'] = 2
    wanted = config['model'], config['test_dataloader']['dataset']['pipeline']
    made = []
    for model, steps in (wanted, json.loads(json.dumps(wanted))):
        with DefaultScope.overwrite_default_scope('flower_mm'):
            built = MODELS.build(model)
            pipeline = [TRANSFORMS.build(step) for step in steps]
        made.append((str(built), str(pipeline)))
    assert made[0] == made[1]


def test_it_predicts_the_same_where_mmcv_wants_tuples(
    plain_run, photos, tmp_path
):
    found = read_checkpoint(plain_run / 'best.pth')
    config = json.loads(json.dumps(found['meta']['cfg']))
    pipeline = config['test_dataloader']['dataset']['pipeline']
    pipeline[1:-1] = [
        {'type': 'Resize', 'scale': (32, 24), 'keep_ratio': True},
        {'type': 'RandomFlip', 'prob': [0.5], 'direction': ['horizontal']},
        {
            'type': 'CenterCrop',
            'crop_size': (40, 40),
            'auto_pad': True,
            'pad_cfg': {'type': 'Pad', 'pad_val': {'img': (1, 2, 3)}},
        },
        {'type': 'Pad', 'size': (48, 48), 'pad_val': {'img': (4, 5, 6)}},
    ]
    meta = found['meta'] | {'cfg': config}
    write_best(tmp_path / 'best.pth', found['state_dict'], meta)
    write_safetensors(tmp_path / 'best.safetensors', found['state_dict'], meta)
    photo = next(photos.rglob('*.jpg'))
    one, other = (
        Classifier(tmp_path / name)(photo)
        for name in ('best.pth', 'best.safetensors')
    )
    assert one == other


def test_others_read_its_tensors(written):
    tensors = safetensors.torch.load_file(written[1])
    assert tensors.keys() == read_checkpoint(written[0])['state_dict'].keys()


def test_tied_weights_and_any_layout(tmp_path):
    weight = torch.rand(4, 3, 2, 2).to(memory_format=torch.channels_last)
    tensors = {
        'weight': weight,
        'tied': weight,
        'part': weight[1:3],
        'number': torch.tensor(7),
        'none': torch.zeros(0, 3),
        'half': torch.ones(3).bfloat16(),
    }
    path = tmp_path / 'x.safetensors'
    write_safetensors(path, tensors, {'path': Path('a'), 'classes': ('a',)})
    found = read_checkpoint(path)
    assert found['meta'] == {'path': 'a', 'classes': ['a']}
    for name, tensor in tensors.items():
        assert torch.equal(found['state_dict'][name], tensor)


# --- the checksum ------------------------------------------------------------


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_each_of_400_flipped_bits_in_the_tensors_shows(written, tmp_path):
    content = written[1].read_bytes()
    begin = 8 + int.from_bytes(content[:8], 'little')
    rng = random.Random(0)
    path = tmp_path / 'best.safetensors'
    for _ in range(400):
        bit = rng.randrange(8 * begin, 8 * len(content))
        path.write_bytes(flipped(content, bit))
        with pytest.raises(UserError, match='its sha256 does not match'):
            read_checkpoint(path)


def test_flipped_bits_in_the_table_change_nothing_silently(tmp_path):
    """Each of them: refused, or read as it was, or no model of ours."""
    path = tmp_path / 'best.safetensors'
    tensors = {'weight': torch.arange(6.0).reshape(2, 3)}
    write_safetensors(path, tensors, {'classes': ['a'], 'epoch': 3})
    content, good = path.read_bytes(), read_checkpoint(path)
    begin = 8 + int.from_bytes(content[:8], 'little')
    unnoticed = 0
    for bit in range(8 * begin):
        path.write_bytes(flipped(content, bit))
        try:
            found = read_checkpoint(path)
        except UserError:
            continue
        if 'meta' not in found:  # the mark itself is gone
            with pytest.raises(UserError, match='holds no config'):
                config_of(path)
            continue
        unnoticed += 1
        assert found['meta'] == good['meta']
        assert torch.equal(found['state_dict']['weight'], tensors['weight'])
    assert unnoticed < 8 * 40  # the padding, and the name of the format


def test_a_file_of_ours_without_a_checksum(written, tmp_path):
    """As earlier versions wrote it."""
    content = written[1].read_bytes()
    path = tmp_path / 'best.safetensors'
    path.write_bytes(content.replace(CHECKSUM.encode(), b'x' * len(CHECKSUM)))
    with pytest.raises(UserError, match='--to safetensors'):
        Classifier(path)


# --- from strangers ----------------------------------------------------------


def mailed(path: Path, metadata: object) -> Path:
    """A file with one tensor and this among its metadata."""
    row = {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}
    table = json.dumps({'__metadata__': metadata, 'weight': row}).encode()
    content = struct.pack('<Q', len(table)) + table + bytes(4)
    if isinstance(metadata, dict) and META in metadata:
        # Anybody can compute it.
        content = with_checksum(content)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    'metadata',
    [
        None,
        {},
        {'format': 'pt'},
        {'other': '{"dataset_meta": {}}'},
        {META.upper(): '{}'},
    ],
)
def test_without_our_part_it_is_tensors(metadata, tmp_path):
    found = read_checkpoint(mailed(tmp_path / 'x.safetensors', metadata))
    assert list(found) == ['weight']
    with pytest.raises(UserError, match='holds no config'):
        config_of(tmp_path / 'x.safetensors')


def told(config: object, **meta: object) -> str:
    classes = {'dataset_meta': {'classes': ['a', 'b']}}
    return json.dumps(classes | {'cfg': config} | meta)


def nested(depth: int) -> str:
    deep = '[{"a": ' * depth + '0' + '}]' * depth
    return told({'model': {'x': 'deep'}}).replace('"deep"', deep)


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('', 'not a checkpoint'),
        ('{', 'not a checkpoint'),
        ('import os', 'not a checkpoint'),
        (None, 'not a checkpoint'),
        (7, 'not a checkpoint'),
        ({'cfg': {}}, 'not a checkpoint'),
        ('[' * 100_000, 'not a checkpoint'),
        ('{"a":' * 100_000, 'not a checkpoint'),
        (f'{{"epoch": {"9" * 5000}}}', 'not a checkpoint'),
        ('[]', 'its meta is not a dict'),
        ('7', 'its meta is not a dict'),
        ('null', 'its meta is not a dict'),
        ('{}', 'holds no config'),
        (told(None), 'holds no config'),
        (told('import os'), 'holds no config'),
        (told(['import os']), 'holds no config'),
        (told({}), 'no model'),
        (told({'default_scope': 'os'}), 'default_scope'),
        (told({'model': {'type': 'os.system'}}), r'os\.system. at model'),
        (told({'custom_imports': ['os']}), "import 'os'"),
        (
            told({}, dataset_meta={'classes': 'abc'}),
            'expected a list of names',
        ),
        (
            told({}, dataset_meta={'classes': [1, 2]}),
            'expected a list of names',
        ),
        (told({}, dataset_meta=['a', 'b']), 'expected a list of names'),
        (nested(10), 'names None at model'),
        *((nested(depth), 'refused|not a c') for depth in (400, 900)),
    ],
)
def test_other_metadata_is_refused(text, why, tmp_path):
    path = mailed(tmp_path / 'best.safetensors', {META: text})
    with pytest.raises(UserError, match=why) as error:
        Classifier(path)
    assert len(str(error.value)) < len(str(path)) + 600
