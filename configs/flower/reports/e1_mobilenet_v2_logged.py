"""Report E1 as its log shows it: ImageNet's learning rate. Published: 59.62 %.

python tools/train.py configs/flower/reports/e1_mobilenet_v2_logged.py

The intended learning rate did not reach the optimizer, so that MMPretrain's
own config decided.
"""

_base_ = './e1_mobilenet_v2_meant.py'

optim_wrapper = dict(optimizer=dict(lr=0.045))
