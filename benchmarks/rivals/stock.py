"""MMPretrain as it comes: its model, data and runtime files, five classes.

In float32 and with nothing of flower_mm.
"""

_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=5, topk=(1,)))
data_preprocessor = dict(num_classes=5)
train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        ann_file='train.txt',
        data_prefix='train',
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        ann_file='val.txt',
        data_prefix='val',
        pipeline=_base_.test_pipeline,
    ),
)
val_evaluator = dict(_delete_=True, type='Accuracy', topk=(1,))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='auto')
)
randomness = dict(seed=0)
