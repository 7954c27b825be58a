"""Does preparing a dataset scale? Time and memory per number of photos.

python -m benchmarks.prepare_scale [--photos 1000 10000 100000]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.record import record

ROOT = Path(__file__).parents[1]
CLASSES = 10
SIDE = 64  # pixels


def make_photos(folder: Path, count: int) -> None:
    """Smooth random colours: each photo differs from all others."""
    rng = np.random.default_rng(0)
    for i in range(CLASSES):
        (folder / f'class{i}').mkdir(parents=True)
    for i in range(count):
        colours = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        photo = Image.fromarray(colours).resize((SIDE, SIDE))
        photo.save(folder / f'class{i % CLASSES}' / f'{i:07}.jpg')


def memory_of_all(process: int) -> int:
    """Bytes that a process and its children hold now (Linux only)."""
    total = 0
    for status in Path('/proc').glob('[0-9]*/status'):
        try:
            fields = dict(
                line.split(':', 1) for line in status.read_text().splitlines()
            )
        except OSError:
            continue  # it has just ended
        if str(process) in (fields['Pid'].strip(), fields['PPid'].strip()):
            total += int(fields.get('VmRSS', '0 kB').split()[0]) * 1024
    return total


def measure(photos: Path, out: Path) -> tuple[float, int, int]:
    """Run the tool; return seconds, peak of itself, peak of all processes."""
    start = time.monotonic()
    tool = ROOT / 'tools' / 'prepare_dataset.py'
    process = subprocess.Popen(
        [sys.executable, tool, photos, '--out', out],
        stdout=subprocess.DEVNULL,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.5):
            peak = max(peak, memory_of_all(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit('the tool failed')
    own = usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    return seconds, own, max(peak, own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--photos', type=int, nargs='+', default=[1000, 10_000, 100_000]
    )
    rows = []
    for count in parser.parse_args().photos:
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder) / 'photos'
            make_photos(photos, count)
            seconds, own, every = measure(photos, Path(folder) / 'dataset')
        rows.append({
            'photos': count,
            'pixels': f'{SIDE}x{SIDE}',
            'seconds': f'{seconds:.1f}',
            'ms_per_photo': f'{1000 * seconds / count:.2f}',
            'peak_mb': f'{own / 1e6:.0f}',
            'peak_mb_with_children': f'{every / 1e6:.0f}',
        })  # fmt: skip
        print(rows[-1], flush=True)
    print(record('prepare', rows, key=('photos',)))


if __name__ == '__main__':
    main()
