"""Any network of timm, by default MobileNetV4 small.

python tools/train.py configs/flower/timm_flower.py --backbone repvit_m0_9

or in a config that inherits this one:

model = dict(backbone=dict(model_name='repvit_m0_9'))

Values of 'auto' follow from timm's record of the pretrained weights: size,
interpolation, crop, mean and std of the photos, the number of features, and
the name of the weights.
"""

_base_ = ['../_base_/flower.py']

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='TimmBackbone',
        model_name='mobilenetv4_conv_small.e2400_r224_in1k',
        img_size='auto',
    ),
    head=dict(
        type='LinearClsHead',
        in_channels='auto',
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1,),
        cal_acc=True,
    ),
)
data_preprocessor = dict(mean='auto', std='auto')
# timm resizes with Pillow, which averages where it shrinks; OpenCV does not.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale='auto',
        crop_ratio_range=(0.35, 1.0),
        interpolation='auto',
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='QuickJitter', brightness=0.2, contrast=0.2, saturation=0.2),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale='auto',
        edge='short',
        interpolation='auto',
        backend='pillow',
    ),
    dict(type='CenterCrop', crop_size='auto'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
# The usual learning rate for attention and layer norm; not measured here.
peak_lr = 1e-4
optim_wrapper = dict(
    paramwise_cfg=dict(
        # Scales of layers and norms.
        flat_decay_mult=0.0,
        custom_keys={
            'attention_biases': dict(decay_mult=0.0),
            'cls_token': dict(decay_mult=0.0),
            'pos_embed': dict(decay_mult=0.0),
            'reg_token': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
        },
    ),
)
default_hooks = dict(pretrained=dict(type='PretrainedHook', weights='auto'))
