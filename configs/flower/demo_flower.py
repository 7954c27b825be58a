_base_ = ['../_base_/flower.py']

# ResNet-18 of a quarter of the width, 0.7 M parameters, pretrained on drawings
# of other things (checkpoints/README.md): small enough to come with the code.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=18, stem_channels=16, base_channels=16
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=128,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        cal_acc=True,
    ),
)
