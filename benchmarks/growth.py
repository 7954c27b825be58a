"""Do time and memory per photo stay the same when photos are many?

python -m benchmarks.growth

Generated photos of 64 px, 1,000, 10,000 and 100,000 of them. Each step in a
process of its own:

prepare: tools/prepare_dataset.py as a whole.
decode: building the FlowerDataset of train, which writes the decoded file.
start: the same again, with the file there.
epoch: a whole pass over that dataset by the config's loader with two
    workers; no model, batches are thrown away.

Milliseconds are per photo that the step handles: all of them, then those of
train. Imports are in the time of prepare alone. Megabytes at the peak are the
most that one process of the step ever held, imports and pages of mapped files
included. Those added are what the building of the dataset took beyond the
imports, and what loader and workers hold for themselves at the end of the
epoch, where a page that they share counts for each. The rows go to
results/growth.csv.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import record

# A process starts with the peak of the one that started it, so what counts
# photos and pixels is imported where it is needed.

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs' / 'flower' / 'resnet18_flower.py'
SIDE = 64  # pixels
STEPS = ('prepare', 'decode', 'start', 'epoch')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--photos', type=int, nargs='+', default=[1000, 10_000, 100_000]
    )
    # What a process of ours does for one row.
    parser.add_argument('--step', help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        found = DO[args.step](Path(args.folder), args.photos[0])
        (Path(args.folder) / 'step.json').write_text(json.dumps(found))
        return
    for count in args.photos:
        with tempfile.TemporaryDirectory() as folder:
            rows = [_row(Path(folder), count)]
            # At once: to delete as many photos takes its time.
            print(
                record('growth', rows, key=('photos', 'machine')), flush=True
            )


def _row(folder: Path, count: int) -> dict:
    row = {'photos': count, 'pixels': f'{SIDE}x{SIDE}'}
    _in_a_process('photos', folder, count)
    for step in STEPS:
        found, peak = _in_a_process(step, folder, count)
        per_photo = 1000 * found['seconds'] / found['photos']
        row[f'{step}_ms_per_photo'] = f'{per_photo:.3f}'
        row[f'{step}_peak_mb'] = f'{peak / 1e6:.0f}'
        if 'added' in found:
            row[f'{step}_added_mb'] = f'{found["added"] / 1e6:.0f}'
        print(f'{count} photos, {step}: {found}, {peak / 1e6:.0f} MB')
    return row | {'command': 'python -m benchmarks.growth'}


def _in_a_process(step: str, folder: Path, count: int) -> tuple[dict, int]:
    """What the step tells, and the peak of the largest of its processes."""
    if step == 'prepare':
        command = [
            str(ROOT / 'tools' / 'prepare_dataset.py'),
            str(folder / 'photos'),
            f'--out={folder / "dataset"}',
        ]
    else:
        command = ['-m', 'benchmarks.growth', f'--step={step}']
        command += [f'--folder={folder}', '--photos', str(count)]
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f'{step} of {count} photos failed')
    # Of itself or of the largest child that it waited for.
    peak = usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    if step == 'prepare':
        return {'seconds': seconds, 'photos': count}, peak
    return json.loads((folder / 'step.json').read_text()), peak


def _photos(folder: Path, count: int) -> dict:
    from benchmarks.generated import write_photos

    write_photos(folder / 'photos', count, (SIDE, SIDE))
    return {}


def _start(folder: Path, _: int) -> dict:
    """Build the dataset; the first time that writes the decoded file."""
    import resource

    from flower_mm.registry import DATASETS

    cfg = _config(folder)
    before = _fields(os.getpid())['VmRSS']
    start = time.monotonic()
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        'seconds': seconds,
        'photos': len(dataset),
        'added': max(0, peak - before),
    }


def _epoch(folder: Path, _: int) -> dict:
    from mmengine.runner import Runner

    cfg = _config(folder)
    before = _fields(os.getpid())['RssAnon']
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    start = time.monotonic()
    photos = sum(len(batch['inputs']) for batch in loader)
    seconds = time.monotonic() - start
    # They persist, so they can still be looked at.
    workers = [worker.pid for worker in loader._iterator._workers]
    added = sum(
        _fields(process)['RssAnon'] - before
        for process in [os.getpid(), *workers]
    )
    return {'seconds': seconds, 'photos': photos, 'added': added}


def _fields(process: int) -> dict[str, int]:
    """Bytes of each kind that a process holds (Linux only)."""
    status = Path(f'/proc/{process}/status').read_text()
    fields = (line.split(':', 1) for line in status.splitlines())
    return {
        name: int(value.split()[0]) * 1024
        for name, value in fields
        if value.endswith('kB')
    }


def _config(folder: Path):
    """The settled config; all that building from it imports is imported."""
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope

    import flower_mm.engine  # noqa: F401, registers
    from flower_mm.config import apply_dataset, read_config, use_data_root

    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(folder / 'dataset'))
    cfg.train_dataloader.dataset.decode_once = SIDE
    apply_dataset(cfg)
    DefaultScope.get_instance('growth', scope_name=cfg.default_scope)
    Compose(cfg.train_dataloader.dataset.pipeline)
    return cfg


DO = {'photos': _photos, 'decode': _start, 'start': _start, 'epoch': _epoch}


if __name__ == '__main__':
    main()
