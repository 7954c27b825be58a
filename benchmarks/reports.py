"""Every recipe of the reference reports on one backbone, beside ours.

python tools/prepare_dataset.py PHOTOS --out data/flower_dataset
python -m benchmarks.reports --weights mobilenet_v2_in1k.pth

The reports used backbones whose weights may not be at hand, and other splits
of the photos. Here each recipe trains MobileNetV2 from the same weights on the
same photos for the same number of epochs, or with --full-length for its own,
in the precision that this machine is fastest in; all else is as in
configs/flower/reports. A schedule that is counted in epochs stays what it was,
so that a short run may end before it begins. tools/compare.py does the work,
and goes on where it was stopped; each run is a row of results/reports.csv.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.compared import ROOT, command, compare, require_weights
from benchmarks.record import record
from flower_mm.cli.arguments import count
from flower_mm.config import read_config

REPORTS = ROOT / 'configs' / 'flower' / 'reports'
OURS = {
    'ours': ROOT / 'configs/flower/mobilenet_v2_flower.py',
    'ours_fast': ROOT / 'configs/flower/mobilenet_v2_flower_fast.py',
}
# The same recipe as another, but for the backbone.
TWINS = ('a2_resnet34', 'c_resnet152')
# D1's own rate is high for these weights. For a fair rival, it stands beside
# itself at a lower one.
LOWER_RATES = {'d1_resnet50_1e3': ('d1_resnet50', 1e-3)}
# Where the maps have an eighth of the photo's side, and so as many stages of
# MobileNetV2 stay frozen as of a ResNet two do. Only the statistics of its
# first batch norm move, unlike a ResNet's: MMPretrain leaves them be.
FROZEN = {-1: -1, 2: 3}
COLUMNS = (
    'epochs', 'seed', 'train', 'val', 'best_top1', 'best_epoch', 'last_top1',
    'seconds', 'at_once', 'parameters', 'trained_parameters', 'optim_wrapper',
    'lists_sha256',
)  # fmt: skip
# Rows that differ in any of these are of different measurements.
GROUP = ('epochs', 'machine', 'lists_sha256', 'weights_sha256')
KEY = ('recipe', 'seed', *GROUP)
ON_MOBILENET = """
model = dict(
    backbone=dict(
        _delete_=True, type='MobileNetV2', widen_factor=1.0,
        frozen_stages={frozen},
    ),
    head=dict(in_channels=1280),
)
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--weights', required=True)
    parser.add_argument('--data-root', default='data/flower_dataset')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--epochs', type=count, default=3)
    length.add_argument(
        '--full-length',
        action='store_const',
        const=None,
        dest='epochs',
        help="each report's own",
    )
    parser.add_argument('--seeds', nargs='+', default=['0', '1', '2'])
    parser.add_argument('--out', type=Path, default='work_dirs/reports')
    parser.add_argument('--jobs', type=int, default=1)
    recipes = OURS | {
        path.stem: path
        for path in sorted(REPORTS.glob('*.py'))
        if path.stem not in TWINS
    }
    recipes |= {
        name: recipes[report] for name, (report, _) in LOWER_RATES.items()
    }
    parser.add_argument('--only', nargs='+', choices=recipes, default=recipes)
    args = parser.parse_args()
    weights = require_weights(parser, args.weights)
    rows, code = compare(
        [write_config(name, recipes[name], args.out) for name in args.only],
        args.out,
        *(('--epochs', str(args.epochs)) if args.epochs else ()),
        *('--seeds', *args.seeds),
        *('--weights', args.weights, '--data-root', args.data_root),
        *('--jobs', str(args.jobs)),
    )
    record(
        'reports',
        [
            {
                'recipe': run['config'],
                'full_length': full_length(recipes[run['config']]),
                **{name: run[name] for name in COLUMNS},
                'weights_sha256': weights,
                'command': command('reports', args, run['config']),
            }
            for run in rows
        ],
        key=KEY,
    )
    return code


def full_length(path: Path) -> int:
    return read_config(str(path)).train_cfg.max_epochs


def write_config(name: str, path: Path, out: Path) -> Path:
    """The config that trains the recipe on MobileNetV2."""
    text = f"_base_ = {str(path)!r}\nprecision = 'auto'\n"
    if name not in OURS:
        cfg = read_config(str(path))
        frozen = FROZEN[cfg.model.backbone.get('frozen_stages', -1)]
        text += ON_MOBILENET.format(frozen=frozen)
    if name in LOWER_RATES:
        rate = LOWER_RATES[name][1]
        text += f'optim_wrapper = dict(optimizer=dict(lr={rate}))\n'
    config = out.resolve() / 'configs' / f'{name}.py'
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    return config


if __name__ == '__main__':
    sys.exit(main())
