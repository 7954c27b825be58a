"""What the fast configs share.

The head begins where a linear probe ends, so that four epochs are enough, and
the early layers keep ImageNet's weights: no gradient has to go through them,
which would take longer than all else, for their maps are the largest.
"""

_base_ = './flower.py'

train_cfg = dict(max_epochs=4)
# Few weights are trained, from a good start: they bear a higher rate.
optim_wrapper = dict(optimizer=dict(lr=8e-4))
default_hooks = dict(
    head_first=dict(type='HeadFirstHook'),
    # The average of so few steps is behind the weights themselves, and takes
    # a validation of its own.
    ema=None,
)
