"""What the fast configs share.

The head starts as a linear probe, so that four epochs are enough. The early
layers are frozen: their feature maps are the largest, and gradients through
them would take most of the time.
"""

_base_ = './flower.py'

train_cfg = dict(max_epochs=4)
# Few weights are trained, from a good start, so a higher learning rate works.
optim_wrapper = dict(optimizer=dict(lr=8e-4))
default_hooks = dict(
    head_first=dict(type='HeadFirstHook'),
    # After so few steps the average is worse than the weights themselves, and
    # it is validated separately.
    ema=None,
)
