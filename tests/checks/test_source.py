"""A config file as source."""

import pytest
from examining import write

from flower_mm.checks.keys.source import read_sources


def test_who_sets_a_key_is_read_from_the_source(tmp_path):
    path = write(
        tmp_path,
        """
_base_ = ['mmpretrain::_base_/models/resnet18.py']
rates = dict(lr=0.1)
optim_wrapper = dict(optimizer=rates)
model = {'head': {'num_classes': 5}}
train_cfg = dict(max_epochs=3)
train_cfg['val_interval'] = 2
param_scheduler = [dict(type='StepLR', step_size=1)]
""",
    )
    mine, base = read_sources(path)
    assert base.packaged
    assert base.depth == 1
    assert base.sets('model.backbone.depth')
    assert not mine.sets('model.backbone.depth')
    assert mine.literal('model.head.num_classes') == 5
    assert mine.sets('optim_wrapper.optimizer.lr')
    assert mine.literal('optim_wrapper.optimizer.lr') is None
    assert mine.literal('train_cfg.val_interval') == 2
    assert mine.sets('param_scheduler.0.step_size')
    assert not mine.sets('param_scheduler.1')


@pytest.mark.parametrize(
    'text',
    ['model = dict(', '_base_ = f"{1}.py"', "_base_ = 'nowhere::x.py'", ''],
)
def test_a_source_that_cannot_be_read_is_left_out(text, tmp_path):
    path = tmp_path / 'odd.py'
    path.write_text(text)
    assert len(read_sources(path)) <= 1
    assert read_sources(tmp_path / 'missing.py') == []
