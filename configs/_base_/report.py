"""What the configs of the reference reports share.

Plain training, as all of them did: one set of weights, no average, full
precision, the best epoch on val. What a report leaves unsaid stands in its
config.
"""

_base_ = './flower.py'

precision = 'float32'

# ImageNet's own, which crops more than ours.
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
default_hooks = dict(ema=None)
