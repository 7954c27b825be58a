"""Steps that end in what the model does not take."""

from bases import THEIRS
from examining import STOP, WARN


def test_a_pipeline_of_the_old_kind(check):
    text = (
        THEIRS
        + """
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', size=224),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53],
         std=[58.395, 57.12, 57.375], to_rgb=True),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label'])]))
"""
    )
    seen = check(text)
    found = seen.one('The pipeline ends in Collect')
    assert found.level == STOP
    assert 'instead of ImageToTensor, ToTensor, Collect' in found.mend
    found = seen.one('RandomResizedCrop takes no size')
    assert found.where == 'train_dataloader.dataset.pipeline.1.size'
    assert 'pipeline.1.scale is meant' in found.mend
    found = seen.one('normalised twice')
    assert found.level == WARN
    assert found.where == 'train_dataloader.dataset.pipeline.2'
    once = 'data_preprocessor = dict(mean=None, std=None)'
    assert not check(text + once).about('normalised')
