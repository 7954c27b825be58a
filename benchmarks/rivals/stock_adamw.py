"""AdamW with a cosine: the best that is known of stock MMPretrain here."""

_base_ = ['stock.py']

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.02),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True)
