"""Record what the code computes, to the last bit, and compare two records.

python -m benchmarks.behaviour record before.json
python -m benchmarks.behaviour compare before.json after.json

For changes that must not alter a figure: record with the old code and with
the new code on one machine, in one thread, then compare. Three seeded
trainings (one is killed and resumed), and what report, predict and export
make of the first. FLOWER_MM_PHOTOS and FLOWER_MM_WEIGHTS name real photos and
MobileNetV2 weights; without them the trainings on them are left out.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from flower_mm.weights.read_checkpoint import read_checkpoint

ROOT = Path(__file__).parents[1]
ENV = os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
EPOCHS = 2
PER_CLASS = 24  # photos
# Sections of report.json that differ from one run to the next.
UNSTABLE = {'created', 'flower_mm_version', 'run', 'evaluation', 'speed'}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('action', choices=['record', 'compare'])
    parser.add_argument('files', nargs='+', type=Path)
    args = parser.parse_args()
    if args.action == 'compare':
        return compare(*(json.loads(f.read_text()) for f in args.files))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    args.files[0].write_text(json.dumps(found, indent=1) + '\n')
    return 0


def compare(before: dict, after: dict) -> int:
    """Print what differs; the exit code is 1 where anything does."""
    different = [
        f'{key}: {before.get(key)} before, {after.get(key)} after'
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    print(*different, sep='\n')
    print(f'{len(different)} of {len(before)} figures differ')
    return 1 if different else 0


def measure(folder: Path) -> dict[str, object]:
    photos, demo = folder / 'photos', folder / 'demo'
    tool('make_demo', '--out', photos, '--per-class', PER_CLASS)
    tool('prepare_dataset', photos, '--out', demo)
    options = ['precision=float32']
    runs = {
        'demo': train(demo, folder / 'run', 'demo', options),
        'demo, resumed': train(demo, folder / 'cut', 'demo', options, True),
    }
    real = os.environ.get('FLOWER_MM_PHOTOS')
    weights = os.environ.get('FLOWER_MM_WEIGHTS')
    if real and weights:
        some_photos(Path(real), folder / 'some')
        tool('prepare_dataset', folder / 'some', '--out', folder / 'real')
        for name, more in {
            'real': [],
            'real, no fitted head': ['default_hooks.head_first=None'],
        }.items():
            runs[name] = train(
                folder / 'real', folder / name, 'mobilenet_v2', options + more,
                weights=weights,
            )  # fmt: skip
    found = {
        f'{run}: {key}': value
        for run, values in runs.items()
        for key, value in values.items()
    }
    best = folder / 'run' / 'best.pth'
    tool('predict', best, photos, '--csv', folder / 'predicted.csv')
    tool('export', best, '--to', 'onnx', '--out', folder / 'onnx')
    sample = sorted(photos.rglob('*.jpg'))[:10]
    exported = subprocess.run(
        [sys.executable, 'predict_onnx.py', 'best.onnx', *map(str, sample)],
        cwd=folder / 'onnx',
        env=ENV,
        check=True,
        capture_output=True,
        text=True,
    )
    rows = rows_of(folder / 'predicted.csv')
    return found | {
        'predict: rows': sha256(text_of(rows, folder)),
        'onnx: answers': sha256(text_of(exported.stdout, folder)),
    }


def train(
    data: Path,
    run: Path,
    config: str,
    options: list[str],
    cut: bool = False,
    weights: str | None = None,
) -> dict[str, object]:
    command = [
        *(f'configs/flower/{config}_flower.py', '--data-root', data),
        *('--work-dir', run, '--seed', 0, '--device', 'cpu'),
        *(['--weights', weights] if weights else []),
        *('--cfg-options', f'train_cfg.max_epochs={EPOCHS}'),
        *('default_hooks.logger.interval=1', *options),
    ]
    if cut:
        kill_after_an_epoch(command, run)
        command.insert(1, '--resume')
    tool('train', *command)
    lines = (run / 'scalars.json').read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    report = json.loads((run / 'report.json').read_text())
    return {
        'losses': [s['loss'] for s in steps if 'loss' in s],
        'best.pth': tensors_of(run / 'best.pth'),
        'last epoch': tensors_of(run / f'epoch_{EPOCHS}.pth'),
        **{
            f'report.json {key}': sha256(text_of(value, run.parent))
            for key, value in report.items()
            if key not in UNSTABLE
        },
    }


def kill_after_an_epoch(command: list, run: Path) -> None:
    process = subprocess.Popen(
        list(map(str, [sys.executable, 'tools/train.py', *command])),
        cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (run / 'epoch_1.pth').exists():
        if process.poll() is not None:
            raise SystemExit('the training ended before its first epoch')
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


def some_photos(source: Path, target: Path) -> None:
    for folder in sorted(p for p in source.iterdir() if p.is_dir()):
        (target / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:PER_CLASS]:
            shutil.copy(photo, target / folder.name)


def tensors_of(path: Path) -> str:
    """One hash of all tensors with their names."""
    state = read_checkpoint(path)['state_dict']
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline='') as file:
        return sorted(csv.reader(file))


def text_of(value: object, folder: Path) -> bytes:
    """As JSON, without the place of the photos."""
    return json.dumps(value).replace(str(folder), '').encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tool(name: str, *args: object) -> None:
    done = subprocess.run(
        [sys.executable, f'tools/{name}.py', *map(str, args)],
        cwd=ROOT, env=ENV, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f'{name}: {done.stdout}{done.stderr}')


if __name__ == '__main__':
    sys.exit(main())
