"""MMPretrain as it comes: its model, data and runtime files, five classes.

bfloat16 for the forward pass, as our own runs here have it, so that a run
takes minutes and not half an hour on two cores.
"""

_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['flower_mm.engine'])

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
default_hooks = dict(checkpoint=dict(interval=100, save_last=False))
randomness = dict(seed=0)
