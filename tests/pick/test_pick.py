"""`pick` as users call it, with two small networks of timm."""

import csv
import json
import shlex
from pathlib import Path

import forked
import numpy as np
import pytest
import timm
import torch
from helpers import tool
from PIL import Image
from safetensors.torch import save_file

from flower_mm.weights import file_hash

NAMES = ('timm/test_efficientnet.r160_in1k', 'timm/test_vit.r160_in1k')
ONE = NAMES[1]


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of weights, here random ones."""
    folder = tmp_path_factory.mktemp('checkpoints')
    for name in NAMES:
        model = name.removeprefix('timm/')
        torch.manual_seed(0)
        network = timm.create_model(model)
        path = folder / f'{model}.safetensors'
        save_file(network.state_dict(), path)
        file_hash.record(path, file_hash.sha256_of(path))
    return folder


@pytest.fixture(scope='module')
def env(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return {
        'FLOWER_MM_CHECKPOINTS': str(checkpoints),
        'XDG_CACHE_HOME': str(tmp_path_factory.mktemp('cache')),
    }


@pytest.fixture(scope='module')
def picked(dataset: Path, env: dict, tmp_path_factory) -> Path:
    """A folder of results, and the output in `log`."""
    out = tmp_path_factory.mktemp('picked') / 'pick'
    done = tool(
        'pick', '--data', dataset, '--out', out, '--device', 'cpu',
        '--backbones', *NAMES, 'mobilenet_v3_small', '--offline', env=env,
    )  # fmt: skip
    out.with_name('log').write_text(done.stdout)
    return out


def rows(out: Path) -> dict[str, dict]:
    with (out / 'pick.csv').open(encoding='utf-8') as file:
        return {row['backbone']: row for row in csv.DictReader(file)}


def test_each_backbone_has_a_row(picked):
    found = rows(picked)
    assert set(found) == {*NAMES, 'mobilenet_v3_small'}
    for name in NAMES:
        row = found[name]
        assert row['status'] == 'measured'
        assert row['photos'] == '39'
        assert float(row['accuracy_low']) < float(row['accuracy'])
        assert float(row['accuracy']) > 60  # of three colours
        assert float(row['photos_per_second']) > 0
        assert row['image_size'] == '160'
        assert row['licence'] == 'apache-2.0'
        assert len(row['weights_sha256']) == 64
    assert found['mobilenet_v3_small']['status'] == 'not available'
    assert 'not available: mobilenet_v3_small' in (
        picked.with_name('log').read_text()
    )


def test_the_figures_name_the_best_and_compare_all(picked):
    record = json.loads((picked / 'pick.json').read_text())
    best, other = record['backbones'][:2]
    assert record['best'] == best['backbone']
    assert best['difference'] is None
    (pair,) = record['pairs']
    assert pair['first'] == best['backbone']
    assert pair['second'] == other['backbone']
    assert other['difference'] == round(
        other['accuracy'] - best['accuracy'], 2
    )
    assert pair['photos'] == record['photos'] == record['train_photos'] == 39
    with Image.open(picked / 'pick.png') as picture:
        assert picture.width > 500


def test_the_printed_command_trains_the_best_one(
    picked, dataset, env, tmp_path
):
    best = next(iter(rows(picked).values()))
    assert best['command'] in picked.with_name('log').read_text()
    words = shlex.split(best['command'])
    words = words[words.index(next(w for w in words if 'train.py' in w)) + 1 :]
    forked.finish(
        tmp_path / 'log', 'train', *words, '--epochs', '1',
        '--work-dir', tmp_path / 'run', '--workers', '0', env=env,
    )  # fmt: skip
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['pretrained']['sha256'] == best['weights_sha256']


def pick_again(dataset: Path, env: dict, out: Path, *args: str):
    return tool(
        'pick', '--data', dataset, '--out', out, '--device', 'cpu',
        '--backbones', ONE, '--offline', *args, env=env, check=False,
    )  # fmt: skip


def test_features_are_computed_once(picked, dataset, env, tmp_path):
    again = pick_again(dataset, env, tmp_path)
    assert '39 of 39' not in again.stderr
    same = ('accuracy', 'photos_per_second')
    before, now = rows(picked)[ONE], rows(tmp_path)[ONE]
    assert [now[key] for key in same] == [before[key] for key in same]


def test_a_damaged_cache_is_computed_again(picked, dataset, env, tmp_path):
    for file in Path(env['XDG_CACHE_HOME']).rglob('*.npz'):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    again = pick_again(dataset, env, tmp_path)
    assert '39 of 39' in again.stderr
    assert rows(tmp_path)[ONE]['accuracy'] == rows(picked)[ONE]['accuracy']


def test_another_photo_is_computed_again(
    picked, photos, env, tmp_path, dataset
):
    """Under the same name, from the place of the photo on."""
    copy = tmp_path / 'data'
    tool('prepare_dataset', photos, '--out', copy, '--val', '0.35')
    first = next((copy / 'train').rglob('*.jpg'))
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(first)
    assert '39 of 39' not in pick_again(dataset, env, tmp_path / '1').stderr
    assert '39 of 39' in pick_again(copy, env, tmp_path / '2').stderr


def test_too_little_time(dataset, env, tmp_path):
    done = pick_again(dataset, env, tmp_path, '--minutes', '0.0001')
    assert done.returncode == 2
    assert f'not reached: {ONE}' in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_weights_that_were_changed(dataset, env, checkpoints, tmp_path):
    changed = tmp_path / 'weights'
    changed.mkdir()
    for path in checkpoints.glob('test_vit*'):
        (changed / path.name).write_bytes(path.read_bytes())
    weights = next(changed.glob('*.safetensors'))
    weights.write_bytes(weights.read_bytes()[:-1] + b'?')
    other = env | {'FLOWER_MM_CHECKPOINTS': str(changed)}
    done = pick_again(dataset, other, tmp_path / 'out')
    assert done.returncode == 2
    assert f'not usable: {ONE}' in done.stderr
    assert 'was changed' in done.stderr


def test_a_file_of_ones_own(dataset, env, checkpoints, tmp_path):
    """It is named by its path, and its licence is unknown to us."""
    mine = tmp_path / 'test_vit.r160_in1k.safetensors'
    mine.write_bytes((checkpoints / mine.name).read_bytes())
    out = tmp_path / 'out'
    tool(
        'pick', '--data', dataset, '--out', out, '--device', 'cpu',
        '--backbones', mine, env=env,
    )  # fmt: skip
    (row,) = rows(out).values()
    assert row['backbone'] == mine.name
    assert f'--weights {mine}' in row['command']


# A training is tested above.
NAME_TRAININGS = """
from flower_mm.pick import finetune
finetune._train = lambda result, folder: print('TRAINED', folder)
"""


def test_finetune_trains_them_in_folders_of_their_own(dataset, env, tmp_path):
    first = tmp_path / 'first.py'
    first.write_text(NAME_TRAININGS)
    run = forked.finish(
        tmp_path / 'log', 'pick', '--data', dataset, '--out',
        tmp_path / 'out', '--device', 'cpu', '--backbones', *NAMES,
        '--offline', '--finetune', '2', env=env, first=str(first),
    )  # fmt: skip
    ranked = list(rows(tmp_path / 'out'))
    folders = [tmp_path / 'out' / name.replace('/', '_') for name in ranked]
    trained = [f'TRAINED {folder}' for folder in folders]
    assert [x for x in run.text.splitlines() if x in trained] == trained
    assert f'report.py {folders[0]} {folders[1]}' in run.text


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (['--backbones', 'resnet51'], 'unknown pretrained weights'),
        (['--backbones', 'timm/nothing'], 'expected a network of timm'),
        (['--backbones', 'missing.pth'], 'does not exist'),
        (['--minutes', '0'], 'must be more than 0'),
    ],
)
def test_mistakes(args, said, dataset, env, tmp_path):
    done = tool(
        'pick', '--data', dataset, '--out', tmp_path, *args,
        env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
