"""Photos a second in training and inference, beside two others.

python -m benchmarks.throughput

ours: tools/train.py and tools/test.py with our config and precision='auto',
all hooks as ever. stock: MMPretrain's own tools with its own config, float32.
bare: a loop over our model, in its precision and layout, with one batch in
memory (bare.py). Batches of 32 at 224 px, random weights, on a GPU where
there is one. Each in a process of its own, in turns; the medians of all
rounds go to results/throughput.csv.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.generated import CLASSES, write_photos
from benchmarks.record import record
from flower_mm.trust import trust

ROOT = Path(__file__).parents[1]
# Of each our config and MMPretrain's file.
MODELS = {
    'ResNet-18': ('resnet18', 'resnet18'),
    'ResNet-50': ('resnet50', 'resnet50'),
    'MobileNetV2': ('mobilenet_v2', 'mobilenet_v2_1x'),
}
PHASES = ('train', 'test')
SYSTEMS = ('ours', 'stock', 'bare')
BATCH = 32
SIZE = (500, 375)
GRAIN = 12.0
SKIP = 3  # iterations that also find memory and kernels
AHEAD = 5  # two workers, two batches each, and the one that is being taken

OURS = """
_base_ = [{base!r}]
custom_imports = dict(imports=['flower_mm.engine', 'benchmarks.stamps'])
precision = 'auto'
train_cfg = dict(max_epochs=1)
test_dataloader = dict(batch_size={batch})
custom_hooks = [dict(type='StampHook', out={out!r}, skip={skip}, count={n})]
"""
# As MMPretrain's guides to datasets and fine-tuning make it from its own
# files; two workers, as ours.
STOCK = """
_base_ = [
    'mmpretrain::_base_/models/{base}.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['benchmarks.stamps'])
model = dict(head=dict(num_classes={classes}))
data_preprocessor = dict(num_classes={classes})
train_dataloader = dict(
    batch_size={batch},
    num_workers=2,
    dataset=dict(
        _delete_=True, type='CustomDataset', data_root={data!r},
        ann_file='train.txt', data_prefix='train',
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = dict(
    batch_size={batch},
    num_workers=2,
    dataset=dict(
        _delete_=True, type='CustomDataset', data_root={data!r},
        ann_file='test.txt', data_prefix='test',
        pipeline=_base_.test_pipeline,
    ),
)
test_evaluator = dict(topk=(1,))
optim_wrapper = dict(optimizer=dict(lr=0.01))
train_cfg = dict(max_epochs=1)
custom_hooks = [dict(type='StampHook', out={out!r}, skip={skip}, count={n})]
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--models', nargs='+', choices=MODELS, default=MODELS)
    parser.add_argument(
        '--data-root',
        help='a prepared dataset; generated photos by default',
    )
    parser.add_argument('--iterations', type=int, default=20)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / 'data'
        lay_out(data, args.data_root, BATCH * (SKIP + args.iterations + AHEAD))
        for model in args.models:
            rounds = [
                _round(model, data, args.iterations)
                for _ in range(args.rounds)
            ]
            print(record('throughput', [_row(model, args, rounds)], KEY))


def lay_out(data: Path, root: str | None, photos: int) -> None:
    """Make a dataset of so many photos, the same ones in train and test."""
    data.mkdir()
    if root is None:
        made = write_photos(data / 'train', photos, SIZE, GRAIN)
        classes = [f'class{i}' for i in range(CLASSES)]
        lines = [f'{name} {label}' for name, label in made]
    else:
        from flower_mm.annotations import (
            photos_folder,
            read_annotations,
            read_classes,
        )

        classes = read_classes(Path(root))
        source = photos_folder(Path(root), 'train').absolute()
        all_ = read_annotations(Path(root) / 'train.txt', source, classes)
        if len(all_) < photos:
            raise SystemExit(
                f'{root} has {len(all_)} training photos, {photos} are '
                'needed: fewer --iterations, or no --data-root'
            )
        chosen = random.Random(0).sample(all_, photos)
        lines = [f'{photo.name} {photo.label}' for photo in chosen]
        (data / 'train').symlink_to(source)
    (data / 'test').symlink_to(data / 'train')
    for name, content in (
        ('classes', classes),
        ('train', lines),
        ('test', lines),
    ):
        text = '\n'.join(content) + '\n'
        (data / f'{name}.txt').write_text(text, encoding='utf-8')
    trust(data)  # its photos lie elsewhere


def _round(model: str, data: Path, count: int) -> dict:
    """Measure each system once; {(phase, system): what it wrote}."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        # bare.py goes first: it leaves the weights that are tested.
        for phase in PHASES:
            for system in ('bare', 'ours', 'stock'):
                out = Path(folder) / f'{phase}-{system}.json'
                _run(_command(model, data, count, phase, system, out), out)
                found[phase, system] = json.loads(out.read_text('utf-8'))
                rate = found[phase, system]['rate']
                print(f'{model}, {phase}, {system}: {rate:.1f}', flush=True)
    return found


def _command(
    model: str, data: Path, count: int, phase: str, system: str, out: Path
) -> list[str]:
    ours, stock = MODELS[model]
    folder = out.parent
    weights = str(folder / 'weights.pth')
    config = folder / f'{phase}_{system}.py'
    config.write_text(
        (STOCK if system == 'stock' else OURS).format(
            base=stock
            if system == 'stock'
            else str(ROOT / 'configs' / 'flower' / f'{ours}_flower.py'),
            classes=len((data / 'classes.txt').read_text('utf-8').split('\n'))
            - 1,
            data=str(data),
            batch=BATCH,
            out=str(out),
            skip=SKIP,
            n=count,
        ),
        encoding='utf-8',
    )
    if system == 'bare':
        more = [f'--save={weights}'] if phase == 'train' else []
        return [
            *('-m', 'benchmarks.bare', str(config), phase),
            *(f'--data-root={data}', f'--out={out}'),
            *(f'--skip={SKIP}', f'--count={count}', *more),
        ]
    tools = ROOT / 'tools'
    if system == 'stock':
        tools = Path(find_spec('mmpretrain').origin).parent / '.mim' / 'tools'
    command = [
        str(tools / f'{phase}.py'),
        str(config),
        f'--work-dir={folder / system / phase}',
    ]
    if phase == 'test':
        command.insert(2, weights)
    if system == 'ours':
        command.append(f'--data-root={data}')
        if phase == 'train':
            command += ['--from-scratch', '--no-validate']
            command += ['--no-report', '--no-doctor']
    return command


def _run(command: list[str], out: Path) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )
    if done.returncode or not out.exists():
        raise SystemExit(f'{" ".join(command)}:\n{done.stdout[-3000:]}')


KEY = ('model', 'device', 'machine')


def _row(model: str, args: argparse.Namespace, rounds: list[dict]) -> dict:
    bare = rounds[0]['train', 'bare']
    row = {
        'model': model,
        'device': bare['device'],
        'threads': bare['threads'],
        'precision': bare['precision'],
        'photos': Path(args.data_root).name
        if args.data_root
        else f'generated, {SIZE[0]}x{SIZE[1]}',
        'iterations': args.iterations,
        'rounds': args.rounds,
    }
    for phase in PHASES:
        rates = {
            system: median(found[phase, system]['rate'] for found in rounds)
            for system in SYSTEMS
        }
        for system, rate in rates.items():
            row[f'{phase}_{system}'] = f'{rate:.1f}'
        for rival in ('stock', 'bare'):
            ratio = rates['ours'] / rates[rival]
            row[f'{phase}_ours_to_{rival}'] = f'{ratio:.2f}'
    return row | {'command': 'python -m benchmarks.throughput'}


if __name__ == '__main__':
    main()
