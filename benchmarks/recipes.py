r"""The search for the recipe of mobilenet_v2_flower.py.

python tools/prepare_dataset.py data/flower_dataset/train --out data/cv \
    --val 0.2 --seed 1
python -m benchmarks.recipes --weights mobilenet_v2_in1k.pth \
    --only today head head_1e4 head_6e4

On a split of the train photos, so that val has no part in the choice. Each
candidate is a line or two on top of the config as it was when the search
began, `today`: it had an average of the weights, and no head first. The rows
go to results/recipes.csv.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.compared import ROOT, by_config, command, compare, summary
from benchmarks.record import record
from flower_mm.cli.arguments import count

BASE = ROOT / 'configs' / 'flower' / 'mobilenet_v2_flower.py'
TODAY = f"""_base_ = {str(BASE)!r}
precision = 'auto'
default_hooks = dict(
    head_first=None,
    ema=dict(
        _delete_=True, type='EMAHook', momentum=0.01, update_buffers=True,
        ema_type='ExponentialMovingAverage',
    ),
)
"""


def _rate(lr: float) -> str:
    return f'optim_wrapper = dict(optimizer=dict(lr={lr}))\n'


HEAD = (
    'default_hooks = dict('
    "head_first=dict(_delete_=True, type='HeadFirstHook'))\n"
)
NO_AVERAGE = HEAD.replace('dict(h', 'dict(ema=None, h')
MORE = 'more_augments = [dict({})]\n'
MODEL = 'model = dict({})\n'
SMOOTH = MODEL.format('head=dict(loss=dict(label_smooth_val={}))')
SGD = (
    "optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=2e-3, "
    'momentum=0.9, nesterov=True, weight_decay=1e-4))\n'
)
# The lower a stage, the lower its rate: 0.7 times that of the next.
STAGES = ('conv1', *(f'layer{number}' for number in range(1, 8)), 'conv2')
RATES = ', '.join(
    f"'backbone.{name}.': dict(lr_mult={0.7 ** (len(STAGES) - place):.3f})"
    for place, name in enumerate(STAGES)
)
LAYERWISE = (
    'optim_wrapper = dict(optimizer=dict(lr=6e-4), '
    f'paramwise_cfg=dict(custom_keys={{{RATES}}}))\n'
)
FROZEN = MODEL.format('backbone=dict(frozen_stages=4)')
GROWING = """train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='GrowingCrop', scales=[160, 192, 224],
         crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='QuickJitter', brightness=0.2, contrast=0.2, saturation=0.2),
    dict(type='PackInputs'),
]))
"""
LARGER = """val_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=264, edge='short'),
    dict(type='CenterCrop', crop_size=256),
    dict(type='PackInputs'),
]))
"""
AT_256 = (
    LARGER
    + """train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=256, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='QuickJitter', brightness=0.2, contrast=0.2, saturation=0.2),
    dict(type='PackInputs'),
]))
"""
)
CANDIDATES = {
    'today': '',
    'head': HEAD,
    # For whether bfloat16, which the others have here, costs accuracy.
    'head_float32': HEAD + "precision = 'float32'\n",
    'head_1e4': HEAD + _rate(1e-4),
    'head_6e4': HEAD + _rate(6e-4),
    'head_1e3': HEAD + _rate(1e-3),
    'head_layerwise_6e4': HEAD + LAYERWISE,
    'head_frozen_8e4': HEAD + _rate(8e-4) + FROZEN,
    'head_sgd': HEAD + SGD,
    # The fast config.
    'head_frozen_8e4_no_average': NO_AVERAGE + _rate(8e-4) + FROZEN,
    'head_frozen_8e4_norm_eval': HEAD
    + _rate(8e-4)
    + MODEL.format('backbone=dict(frozen_stages=4, norm_eval=True)'),
    # Statistics of the last hundred batches, not ten.
    'head_slower_norm_no_average': NO_AVERAGE
    + MODEL.format("backbone=dict(norm_cfg=dict(type='BN', momentum=0.01))"),
    'head_smooth_0': HEAD + SMOOTH.format(0.0),
    'head_smooth_02': HEAD + SMOOTH.format(0.2),
    'head_no_average': NO_AVERAGE,
    'head_shorter_average': HEAD.replace(
        'dict(h', 'dict(ema=dict(momentum=0.05), h', 1
    ),
    # Photos look larger to a network that is tested as it was trained.
    'head_tested_at_256': HEAD + LARGER,
    'head_at_256': HEAD + AT_256,
    'head_growing': HEAD + GROWING,
    'head_erasing': HEAD
    + MORE.format("type='RandomErasing', erase_prob=0.25, mode='rand'"),
    'head_autoaugment': HEAD
    + MORE.format("type='AutoAugment', policies='imagenet'"),
    'head_mixup': HEAD
    + MODEL.format("train_cfg=dict(augments=dict(type='Mixup', alpha=0.2))"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--weights', required=True)
    parser.add_argument('--data-root', default='data/cv')
    parser.add_argument('--epochs', type=count, default=3)
    parser.add_argument('--seeds', nargs='+', default=['0', '1'])
    parser.add_argument('--out', type=Path, default='work_dirs/recipes')
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument(
        '--only', nargs='+', choices=CANDIDATES, default=CANDIDATES
    )
    args = parser.parse_args()
    rows, code = compare(
        [write_config(name, args.out) for name in args.only],
        args.out,
        *('--seeds', *args.seeds, '--epochs', str(args.epochs)),
        *('--weights', args.weights, '--data-root', args.data_root),
        *('--jobs', str(args.jobs)),
    )
    record(
        'recipes',
        [
            {
                'recipe': name,
                'lines': ' '.join(CANDIDATES[name].split()),
                **summary(runs),
                'command': command('recipes', args, name),
            }
            for name, runs in by_config(rows).items()
            if len(runs) == len(args.seeds)  # not of some, in their place
        ],
        key=('recipe', 'epochs', 'train', 'val', 'machine'),
    )
    return code


def write_config(name: str, out: Path) -> Path:
    folder = out.resolve() / 'configs'
    folder.mkdir(parents=True, exist_ok=True)
    base, config = folder / 'base.py', folder / f'{name}.py'
    base.write_text(TODAY)
    config.write_text(f"_base_ = './base.py'\n{CANDIDATES[name]}")
    return config


if __name__ == '__main__':
    sys.exit(main())
