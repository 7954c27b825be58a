"""Do time and memory stay flat up to a million photos?

python -m benchmarks.million --folder FOLDER

Generated photos of 32 px in class folders, 10,000, 100,000 and 1,000,000 of
them, which stay in FOLDER for the next measurement. Each step in a process of
its own:

prepare: `flower-mm prepare --how link` as a whole.
start: building the FlowerDataset of train.
epoch: the loader of the config with two workers, up to its first batch.

Processor time, of all processes of a step, since such a measurement takes
long enough to meet other work. Megabytes of prepare are the peak of its
largest process. Those added are what a step took beyond the imports: at the
peak of the start; and of the epoch what the main process and each worker hold
for themselves. The rows go to results/million.csv.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

# A process starts with the peak of the one that started it, so that torch is
# imported where it is needed.

ROOT = Path(__file__).parents[1]
SIDE = 32  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--folder', type=Path, required=True)
    parser.add_argument(
        '--photos', type=int, nargs='+', default=[10_000, 100_000, 1_000_000]
    )
    # What a process of ours does for one row.
    parser.add_argument('--step', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(DO[args.step](args.folder)))
        return
    rows = [_row(args.folder / str(count), count) for count in args.photos]
    from benchmarks.record import record

    print(record('million', rows, key=('photos', 'machine')))


def _row(folder: Path, count: int) -> dict:
    photos, dataset = folder / 'photos', folder / 'dataset'
    if not photos.is_dir():
        from benchmarks.generated import write_photos

        part = folder / 'part'
        shutil.rmtree(part, ignore_errors=True)
        write_photos(part, count, (SIDE, SIDE))
        part.rename(photos)
    shutil.rmtree(dataset, ignore_errors=True)
    command = [str(ROOT / 'tools' / 'prepare_dataset.py'), str(photos)]
    row = {'photos': count, 'pixels': f'{SIDE}x{SIDE}'}
    _, cpu, peak = _run(*command, f'--out={dataset}', '--how=link')
    row['prepare_cpu_ms_per_photo'] = f'{1000 * cpu / count:.3f}'
    row['prepare_peak_mb'] = f'{peak / 1e6:.0f}'
    for step in DO:
        command = ['-m', 'benchmarks.million', f'--step={step}']
        text, *_ = _run(*command, f'--folder={dataset}')
        measured = json.loads(text.splitlines()[-1])
        row |= {f'{step}_{k}': f'{v:.3g}' for k, v in measured.items()}
    print(row, flush=True)
    return row | {
        'command': f'python -m benchmarks.million --folder F --photos {count}'
    }


def _run(*command: str) -> tuple[str, float, int]:
    """Return output, processor time and the peak of the largest process."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f'{command} failed')
    peak = usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    return text, usage.ru_utime + usage.ru_stime, peak


def _start(dataset: Path) -> dict[str, float]:
    from benchmarks.growth import _fields
    from flower_mm.registry import DATASETS

    cfg = _config(dataset)
    before, cpu = _fields(os.getpid())['VmRSS'], time.process_time()
    DATASETS.build(cfg.train_dataloader.dataset)
    return {
        'cpu_s': time.process_time() - cpu,
        'added_mb': (_fields(os.getpid())['VmHWM'] - before) / 1e6,
    }


def _epoch(dataset: Path) -> dict[str, float]:
    from mmengine.runner import Runner

    from benchmarks.growth import _fields

    cfg = _config(dataset)
    before, cpu = _fields(os.getpid())['RssAnon'], time.process_time()
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    batches = iter(loader)
    next(batches)
    processes = [os.getpid(), *(w.pid for w in batches._workers)]
    main = _fields(os.getpid())['RssAnon']
    return {
        'cpu_s_to_first_batch': time.process_time() - cpu,
        'added_mb_main': (main - before) / 1e6,
        # Of pages that it does not share with the main process any more.
        'added_mb_worker': max(_private(p) for p in processes[1:]) / 1e6,
    }


def _private(process: int) -> int:
    """Return the bytes that a process shares with no other (Linux only)."""
    rollup = Path(f'/proc/{process}/smaps_rollup').read_text()
    return 1024 * sum(
        int(line.split()[1])
        for line in rollup.splitlines()
        if line.startswith('Private')
    )


def _config(dataset: Path):
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope

    import flower_mm.engine  # noqa: F401, registers
    from benchmarks.growth import CONFIG
    from flower_mm.config import apply_dataset, read_config, use_data_root

    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(dataset))
    cfg.train_dataloader.dataset.decode_once = 0
    cfg.train_dataloader.num_workers = 2
    apply_dataset(cfg)
    DefaultScope.get_instance('million', scope_name=cfg.default_scope)
    Compose(cfg.train_dataloader.dataset.pipeline)
    return cfg


DO = {'start': _start, 'epoch': _epoch}


if __name__ == '__main__':
    main()
