"""What the configs of the reference reports share.

Plain training, as in all reports: from a random last layer, without averaged
weights, in float32, with the best epoch on val. The config of a report names
what the report omits.
"""

_base_ = './flower.py'

precision = 'float32'

# That of ImageNet, which crops more than ours.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=32)
train_cfg = dict(max_epochs=10)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
default_hooks = dict(ema=None, frozen_statistics=None, head_first=None)
