"""Weights that are not there, of another model, or never used."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import TINY_ON_BASE, make_dataset
from mmpretrain.registry import MODELS

OUR_OWN = os.environ.get('FLOWER_MM_WEIGHTS')
RESNET18 = "_base_ = ['mmpretrain::_base_/models/resnet18.py', 'BASE']\n"
# A model of MMPretrain in MMEngine's Runner, on photos of ours.
STOCK = """
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['flower_mm.engine'])
photos = dict(
    _delete_=True, type='flower_mm.FlowerDataset', data_root='ROOT',
    pipeline=_base_.test_pipeline)
train_dataloader = dict(dataset=dict(split='train', **photos))
val_dataloader = dict(dataset=dict(split='val', **photos))
test_dataloader = val_dataloader
"""
GONE = (
    'https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet18_8xb32_in1k_20210831-fbbb1da6.pth'
)
SAYINGS = ('weights', 'backbone tensors', 'no file', 'No run loads')


@pytest.fixture(scope='session')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {'rose': 6, 'tulip': 6}
    folder = tmp_path_factory.mktemp('photos') / 'mine'
    return make_dataset(folder, train=counts, val=counts)


@pytest.fixture
def examine(tmp_path: Path, root: Path) -> Callable[..., Examined]:
    def run(text: str, *words: str | Path) -> Examined:
        work_dir = tmp_path / 'run'
        path = write(tmp_path, text.replace('ROOT', root.as_posix()))
        return look_at(
            path, '--data-root', root, '--work-dir', work_dir, *words
        )

    return run


@pytest.fixture(scope='session')
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A file of random weights of a backbone, as MMPretrain writes it."""
    folder = tmp_path_factory.mktemp('weights')

    def write_file(
        name: str, prefix: str = 'backbone.', more: dict | None = None, **arch
    ) -> Path:
        state = MODELS.build({'_scope_': 'mmpretrain', **arch}).state_dict()
        named = {f'{prefix}{key}': tensor for key, tensor in state.items()}
        path = folder / f'{name}.pth'
        torch.save({'state_dict': named | (more or {})}, path)
        return path

    return write_file


@pytest.fixture(scope='session')
def resnet18(file_of) -> Path:
    """With a classifier of a thousand classes, as they are published."""
    head = {'head.fc.weight': torch.zeros(1000, 512)}
    return file_of('resnet18', more=head, type='ResNet', depth=18)


@pytest.fixture(scope='session')
def mobilenet(file_of) -> Path:
    return file_of('mobilenet_v2', type='MobileNetV2')


def bad(seen: Examined) -> list:
    return [
        finding
        for finding in seen.found
        if finding.level > NOTE
        and not finding.where.startswith('optim_wrapper')
        and any(saying in finding.what for saying in SAYINGS)
    ]


def from_file(path: Path | str) -> str:
    return RESNET18 + (
        "default_hooks = dict(pretrained=dict(type='PretrainedHook', "
        f"weights='{path}'))\n"
    )


def init_cfg(path: Path | str, more: str = '') -> str:
    return (
        "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', "
        f"checkpoint='{path}'{more})))\n"
    )


def pasted(finding) -> list[str]:
    words = finding.mend[finding.mend.index('--cfg-options') :]
    return shlex.split(words)


# --- mistake 5, as people had it ---------------------------------------------


def test_load_from_another_architecture_goes_on_in_silence(examine, mobilenet):
    """MMEngine's Runner warns in its log, which nobody reads."""
    seen = examine(f"{STOCK}load_from = '{mobilenet}'\n")
    (found,) = bad(seen)
    assert found.level == STOP
    assert 'fills 0 of 100 backbone tensors' in found.what
    assert 'this looks like mobilenet_v2, the config wants resnet18' in (
        found.what
    )
    assert 'without a word' in found.what
    assert 'weights resnet18' in found.mend


def test_load_from_another_architecture_under_our_runner(examine, mobilenet):
    seen = examine(f"{RESNET18}load_from = '{mobilenet}'\n")
    (found,) = bad(seen)
    assert found.level == STOP
    assert found.where == 'load_from'


def test_a_classifier_of_a_thousand_classes(examine, resnet18):
    """Ours takes the backbone only; MMEngine drops what does not fit."""
    for text in (RESNET18, STOCK):
        seen = examine(f"{text}load_from = '{resnet18}'\n")
        found = seen.one('100 of 100 backbone tensors')
        assert found.level == NOTE
        assert 'classifier' in found.what
        assert bad(seen) == []


def test_weights_of_the_table_that_are_another_model(examine, mobilenet):
    (found,) = bad(examine(from_file(mobilenet)))
    assert found.level == STOP
    assert found.where == 'default_hooks.pretrained.weights'
    assert 'the config wants resnet18' in found.what


def test_a_deeper_model_of_the_same_family(examine, file_of):
    """All of a resnet50's names are in a resnet101."""
    path = file_of('resnet101', type='ResNet', depth=101)
    text = from_file(path).replace('resnet18.py', 'resnet50.py')
    (found,) = bad(examine(text))
    assert 'this looks like resnet101' in found.what


def test_the_way_to_other_weights_is_a_flag(examine, resnet18):
    text = from_file(Path('nowhere.pth'))
    (found,) = bad(examine(text))
    assert found.mend.endswith('weights resnet18, then --weights resnet18')
    again = examine(text, '--weights', resnet18)
    assert bad(again) == []
    assert again.one('100 of 100 backbone tensors').level == NOTE


# --- MMPretrain's own way ----------------------------------------------------


def test_an_address_is_not_loaded(examine, resnet18):
    (found,) = bad(examine(STOCK + init_cfg(GONE)))
    assert found.level == STOP
    assert 'its domain has lapsed' in found.what
    assert found.where == 'model.backbone.init_cfg'
    words = pasted(found)
    words[words.index('default_hooks.pretrained.weights=resnet18')] = (
        f'default_hooks.pretrained.weights={resnet18}'
    )
    again = examine(STOCK + init_cfg(GONE), *words)
    assert bad(again) == []
    assert again.one('100 of 100 backbone tensors').level == NOTE


def test_load_from_an_address(examine):
    (found,) = bad(examine(f"{STOCK}load_from = '{GONE}'\n"))
    assert found.level == STOP
    assert 'load_from=None' in found.mend
    (found,) = bad(examine(from_file(GONE)))
    assert found.level == STOP
    assert found.where == 'default_hooks.pretrained.weights'


def test_the_prefix_was_forgotten(examine, resnet18):
    """Their files have `backbone.` before each name."""
    text = STOCK + init_cfg(resnet18)
    (found,) = bad(examine(text))
    assert found.level == STOP
    assert '0 of 100 backbone tensors' in found.what
    assert found.mend.endswith('model.backbone.init_cfg.prefix=backbone')
    again = examine(text, *pasted(found))
    assert bad(again) == []
    assert again.one('100 of 100 backbone tensors').level == NOTE


def test_names_that_only_our_runner_knows(examine, tmp_path):
    """Torchvision's file in MMEngine's Runner."""
    path = tmp_path / 'torchvision.pth'
    torch.save(torchvision.models.mobilenet_v2().state_dict(), path)
    text = STOCK + init_cfg(path)
    text = text.replace('resnet18.py', 'mobilenet_v2_1x.py')
    (found,) = bad(examine(text))
    assert 'other names' in found.what
    again = examine(text, *pasted(found))
    assert bad(again) == []
    assert again.one('260 of 260', 'torchvision').level == NOTE


def test_a_file_that_is_not_there(examine, tmp_path):
    for text in (
        STOCK + init_cfg(tmp_path / 'none.pth'),
        f"{RESNET18}load_from = '{tmp_path / 'none.pth'}'\n",
        from_file(tmp_path / 'none.pth'),
    ):
        (found,) = bad(examine(text))
        assert found.level == STOP
        assert f'no file {tmp_path / "none.pth"}' in found.what


def test_both_ways_at_once(examine, resnet18, file_of):
    other = file_of('other', type='ResNet', depth=18)
    text = from_file(resnet18) + init_cfg(other, ", prefix='backbone'")
    (found,) = bad(examine(text))
    assert found.level == WARN
    assert f'{other} are loaded, and then overwritten' in found.what
    assert bad(examine(text, *pasted(found))) == []


def test_our_hook_without_our_runner(examine, resnet18):
    text = STOCK + (
        "default_hooks = dict(pretrained=dict(type='flower_mm."
        f"PretrainedHook', weights='{resnet18}'))\n"
    )
    found = examine(text).one('PretrainedHook needs our Runner')
    assert found.level == STOP
    seen = examine(text, *pasted(found))
    assert seen.one('100 of 100 backbone tensors').level == NOTE


# --- none --------------------------------------------------------------------


def test_a_large_model_from_random_weights(examine):
    (found,) = bad(examine(RESNET18))
    assert found.level == WARN
    assert 'resnet18 starts from random weights' in found.what
    assert '12 photos' in found.what
    assert '--from-scratch' in found.mend
    assert bad(examine(RESNET18, '--from-scratch')) == []


UNKNOWN = TINY_ON_BASE.replace('channels=16', 'channels=64').replace(
    'in_channels=32', 'in_channels=128'
)
TIMM = """
_base_ = ['BASE']
model = dict(type='TimmClassifier', model_name='resnet10t', num_classes=3{0})
"""


@pytest.mark.parametrize(
    ('text', 'weights'),
    [
        (UNKNOWN, 'load_from=x.pth'),
        (TIMM.format(''), 'model.pretrained=True'),
    ],
    ids=['unknown', 'timm'],
)
def test_random_weights_of_a_network_in_no_table(text, weights, examine):
    (found,) = bad(examine(text))
    assert found.level == WARN
    assert 'starts from random weights' in found.what
    assert '--from-scratch' in found.mend
    assert 'FILE' in found.mend
    assert bad(examine(text, '--from-scratch')) == []
    seen = bad(examine(text, '--cfg-options', weights))
    assert not any('random weights' in found.what for found in seen)


def test_random_weights_that_are_frozen(examine):
    """Nothing else would be said of so small a model."""
    text = TINY_ON_BASE + "model['backbone']['frozen_stages'] = 1\n"
    (found,) = bad(examine(text))
    assert ' of them stay so, frozen' in found.what
    seen = examine(text, '--from-scratch')
    (found,) = bad(seen)
    assert found.level == WARN
    assert 'stay as they are drawn' in found.what
    assert bad(examine(text, '--from-scratch', *pasted(found))) == []


@pytest.mark.parametrize(
    ('stages', 'frozen'),
    [('-1', ''), ('0', '9,536 of them stay so'), ('1', '157,504 of them')],
)
def test_what_is_frozen_is_counted(stages, frozen, examine):
    """Stage 0 of a ResNet is its stem."""
    words = '--cfg-options', f'model.backbone.frozen_stages={stages}'
    (found,) = bad(examine(RESNET18, *words))
    assert ('frozen' in found.what) == bool(frozen)
    assert frozen in found.what


def test_a_small_model_needs_none(examine):
    assert bad(examine(TINY_ON_BASE)) == []


def test_from_scratch_does_not_take_back_load_from(examine, resnet18):
    text = f"{RESNET18}load_from = '{resnet18}'\n"
    (found,) = bad(examine(text, '--from-scratch'))
    assert found.level == WARN
    assert found.mend == '--cfg-options load_from=None'
    assert bad(examine(text, '--from-scratch', *pasted(found))) == []


def test_weights_of_the_table_that_are_not_here(
    examine, monkeypatch, tmp_path
):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path / 'none'))
    (found,) = bad(examine(from_file('resnet18')))
    assert found.level == STOP
    assert 'weights resnet18' in found.what


def test_a_file_whose_hash_is_not_the_tables(examine, monkeypatch, tmp_path):
    from flower_mm.weights.pretrained_table import find

    home = next(h for h in find('resnet18').homes if h.trusted)
    (tmp_path / home.file).write_bytes(b'another one')
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path))
    seen = examine(from_file('resnet18'))
    assert seen.one('is not the file of that name').level == STOP


def test_a_file_of_the_tables_that_is_named_by_its_path(
    examine, monkeypatch, resnet18, tmp_path
):
    """Weights of the right shapes, from who knows where."""
    from flower_mm.weights import file_hash
    from flower_mm.weights.pretrained_table import find

    home = next(h for h in find('resnet18').homes if h.trusted)
    path = tmp_path / home.file
    path.write_bytes(resnet18.read_bytes())
    texts = {
        'load_from': f"{RESNET18}load_from = '{path}'\n",
        'model.backbone.init_cfg': STOCK
        + init_cfg(path, ", prefix='backbone'"),
        'default_hooks.pretrained.weights': from_file(path),
    }
    for where, text in texts.items():
        found = examine(text).one('is not the file of that name')
        assert found.level == STOP
        assert found.where == where
        assert 'weights resnet18' in found.mend
        assert examine(text).about('backbone tensors') == []
    file_hash.record(path, file_hash.sha256_of(path))  # as --accept-unverified
    for text in texts.values():
        assert bad(examine(text)) == []


@pytest.mark.parametrize(
    'text',
    [STOCK + init_cfg(''), from_file('')],
    ids=['init_cfg', 'hook'],
)
def test_no_name_at_all(text, examine):
    found = examine(text).one('no file is named')
    assert found.level == STOP
    assert examine(text).about('are not here', "called ''") == []


def test_a_path_is_told_without_its_detours(examine, resnet18):
    detour = resnet18.parent / '..' / resnet18.parent.name / resnet18.name
    found = examine(f"{RESNET18}load_from = '{detour}'\n").one('100 of 100')
    assert str(resnet18) in found.what


# --- a run that goes on ------------------------------------------------------


def test_a_resumed_run_has_its_weights(examine, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'epoch_1.pth').touch()
    assert bad(examine(RESNET18, '--resume')) == []
    assert bad(examine(from_file('nowhere.pth'), '--resume')) == []


def test_weights_are_no_run_to_go_on_with(examine, resnet18):
    text = f"{RESNET18}load_from = '{resnet18}'\n"
    found = examine(text + '\nresume = True').one('cannot be resumed')
    assert found.level == STOP
    words = found.what.partition(': --cfg-options')[2].split()
    seen = examine(text + '\nresume = True', '--cfg-options', *words)
    assert bad(seen) == []
    seen = examine(text, '--resume', resnet18)
    assert seen.one('cannot be resumed').level == STOP


def test_nothing_to_resume_starts_anew(examine):
    assert len(bad(examine(from_file('nowhere.pth'), '--resume'))) == 1


# --- a real file -------------------------------------------------------------


@pytest.mark.skipif(not OUR_OWN, reason='FLOWER_MM_WEIGHTS is not set')
def test_the_real_file(examine):
    text = "_base_ = 'CONFIGS/MODEL_flower.py'\n"
    words = ('--cfg-options', f'default_hooks.pretrained.weights={OUR_OWN}')
    seen = examine(text.replace('MODEL', 'mobilenet_v2'), *words)
    assert '260 of 260' in seen.one('backbone tensors').what
    assert bad(seen) == []
    (found,) = bad(examine(text.replace('MODEL', 'resnet50'), *words))
    assert 'looks like mobilenet_v2, the config wants resnet50' in found.what
