"""Checkpoints that are too many, too large, or none of the best epoch."""

import shlex
import shutil
from pathlib import Path

import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import TINY_ON_BASE, make_dataset

RESNET18 = "_base_ = ['mmpretrain::_base_/models/resnet18.py', 'BASE']\n"
STOCK = """
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['flower_mm.engine'])
photos = dict(
    _delete_=True, type='flower_mm.FlowerDataset', data_root='x',
    pipeline=_base_.test_pipeline)
train_dataloader = dict(dataset=dict(split='train', **photos))
val_dataloader = dict(dataset=dict(split='val', **photos))
test_dataloader = val_dataloader
"""


@pytest.fixture
def examine(tmp_path: Path):
    counts = {'rose': 6, 'tulip': 6}
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)

    def run(text: str, *words: str | Path) -> Examined:
        return look_at(
            write(tmp_path, text), '--data-root', root,
            '--work-dir', tmp_path / 'run', *words,
        )  # fmt: skip

    return run


def keeping(settings: str) -> str:
    return f'default_hooks = dict(checkpoint=dict({settings}))\n'


# --- mistake 8, as people had it ---------------------------------------------


def test_every_epoch_is_kept_with_its_optimizer(examine):
    """MMEngine's hook, 100 epochs of SGD with momentum: 9 GB of ResNet-18."""
    found = examine(STOCK).one('checkpoints of')
    assert found.level == WARN
    assert '100 checkpoints of 89 MB are kept, 9.0 GB in all' in found.what
    assert '45 MB of each are for going on' in found.what
    assert found.mend.endswith('default_hooks.checkpoint.max_keep_ckpts=2')
    words = shlex.split(found.mend)
    assert examine(STOCK, *words).about('checkpoints of') == []


def test_their_hook_under_our_runner(examine):
    """No best.pth, which is the small file to share."""
    text = RESNET18 + keeping(
        "_delete_=True, type='mmengine.CheckpointHook', interval=1, "
        'max_keep_ckpts=2'
    )
    found = examine(text).one('keeps no best epoch')
    assert found.level == WARN
    words = found.mend[: found.mend.index(' keeps')]
    seen = examine(text, *shlex.split(words))
    assert seen.about('best epoch') == []
    assert seen.about('could not be checked') == []


def test_adam_and_the_average_make_four_of_one(examine):
    """AdamW's two states and EMA's weights: our own base, all epochs."""
    text = RESNET18 + 'train_cfg = dict(max_epochs=99)\n'
    text += keeping('max_keep_ckpts=100')
    found = examine(text).one('checkpoints of')
    assert '99 checkpoints of 179 MB' in found.what  # and that of epoch 0


def test_our_own_habit_is_not_blamed(examine):
    for text in (RESNET18, TINY_ON_BASE):
        seen = examine(text + 'train_cfg = dict(max_epochs=300)\n')
        assert seen.about('checkpoint') == []


def test_every_epoch_of_a_small_model(examine):
    text = TINY_ON_BASE + keeping('max_keep_ckpts=100')
    assert examine(text).about('checkpoints of') == []


def test_few_epochs_of_a_large_model(examine):
    text = RESNET18 + 'train_cfg = dict(max_epochs=2)\n'
    text += keeping('max_keep_ckpts=100')
    assert examine(text).about('checkpoints of') == []


def test_nothing_is_kept(examine):
    found = examine(RESNET18 + 'default_hooks = dict(checkpoint=None)\n')
    assert found.one('No checkpoint and no best.pth').level == NOTE


# --- room --------------------------------------------------------------------


def epochs_that_fill(folder: Path, share: float) -> int:
    """Epochs of the small model whose checkpoints take so much of it."""
    # 45 thousand weights, four times.
    return int(share * shutil.disk_usage(folder).free / 730_000)


def test_more_than_there_is_room_for(examine, tmp_path):
    epochs = epochs_that_fill(tmp_path, 2)
    text = TINY_ON_BASE + f'train_cfg = dict(max_epochs={epochs})\n'
    text += keeping('max_keep_ckpts=10_000_000')
    found = examine(text).one('are free in')
    assert found.level == STOP
    assert str(tmp_path) in found.what
    assert '--work-dir' in found.mend
    words = found.mend[found.mend.index('--cfg-options') :]
    assert words.endswith('max_keep_ckpts=2')  # as where it only warns
    assert examine(text, *shlex.split(words)).about('are free in') == []


def test_hardly_room_enough(examine, tmp_path):
    epochs = epochs_that_fill(tmp_path, 0.9)
    text = TINY_ON_BASE + f'train_cfg = dict(max_epochs={epochs})\n'
    text += keeping('max_keep_ckpts=10_000_000')
    assert examine(text).one('are free in').level == WARN


def test_room_enough(examine):
    assert examine(RESNET18).about('are free in') == []


def test_three_large_ones_are_few(examine):
    """A fourth lies there only while it is written."""
    text = STOCK.replace('resnet18.py', 'vgg16bn.py')
    words = '--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=3'
    assert examine(text, *words).about('checkpoints of') == []
