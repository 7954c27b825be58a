"""Report C, table 3: the warm-up alone. Published: 80.12 % at best.

python tools/train.py configs/flower/reports/c_linear.py

The report omits how long the learning rate rises (here one epoch) and whether
it falls again (here it stays constant).
"""

_base_ = './c_resnet101.py'

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
]
