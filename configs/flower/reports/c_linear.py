"""Report C, table 3: the warm-up alone. Theirs: 80.12 % at best.

python tools/train.py configs/flower/reports/c_linear.py

The report does not say how long the rate rises (here one epoch) nor whether it
falls again (here it stays).
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
