"""Are photos in shards read as fast as photos in files of their own?

python -m benchmarks.shards --folder FOLDER --photos 1000000

Generated photos of 32 px, prepared with `--how link` and with `--shards
512MB`; all stay in FOLDER. Each step in a process of its own, in turns:

start: building the FlowerDataset of train.
epoch: the loader of the config with two workers, up to its first batch.
read: the bytes of 20,000 training photos in random order, in one process.
load: 1,000 of them decoded and augmented.

`cold` is behind `echo 3 > /proc/sys/vm/drop_caches`, where that is permitted;
`warm` is the same again. Rates are the median of the rounds. The rows go to
results/shards.csv.
"""

import argparse
import json
import os
import random
import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks.million import ROOT, SIDE, _epoch, _run

CACHES = Path('/proc/sys/vm/drop_caches')
KINDS = {'loose': ('--how=link',), 'shards': ('--shards=512MB',)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--folder', type=Path, required=True)
    parser.add_argument('--photos', type=int, default=1_000_000)
    parser.add_argument('--rounds', type=int, default=3)
    # What a process of ours does for one row.
    parser.add_argument('--step', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(STEPS[args.step](args.folder)))
        return
    folder = args.folder / str(args.photos)
    rows = _prepare(folder, args.photos)
    found: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    for number in range(args.rounds):
        for state, steps in (
            ('cold', ('start', 'read')),
            ('warm', ('start', 'read', 'load', 'epoch')),
        ):
            for kind in sorted(KINDS, reverse=number % 2 == 1):
                if state == 'cold' and not _drop_caches():
                    continue
                for step in steps:
                    values = _step(step, folder / kind)
                    for name, value in values.items():
                        key = f'{state}_{step}_{name}'
                        found[kind].setdefault(key, []).append(value)
    for row in rows:
        values = found[row['kind']].items()
        row |= {key: f'{median(each):.3g}' for key, each in values}
        row['rounds'] = args.rounds
        row['command'] = (
            f'python -m benchmarks.shards --folder F --photos {args.photos} '
            f'--rounds {args.rounds}'
        )
        print(row)
    from benchmarks.record import record

    print(record('shards', rows, key=('photos', 'kind', 'machine')))


def _prepare(folder: Path, count: int) -> list[dict]:
    photos = folder / 'photos'
    if not photos.is_dir():
        from benchmarks.generated import write_photos

        part = folder / 'part'
        shutil.rmtree(part, ignore_errors=True)
        write_photos(part, count, (SIDE, SIDE))
        part.rename(photos)
    rows = []
    for kind, options in KINDS.items():
        out = folder / kind
        shutil.rmtree(out, ignore_errors=True)
        tool = str(ROOT / 'tools' / 'prepare_dataset.py')
        _, cpu, peak = _run(tool, str(photos), f'--out={out}', *options)
        rows.append(
            {
                'photos': count,
                'pixels': f'{SIDE}x{SIDE}',
                'kind': kind,
                'prepare_cpu_ms_per_photo': f'{1000 * cpu / count:.3f}',
                'prepare_peak_mb': f'{peak / 1e6:.0f}',
                'files': sum(len(files) for _, _, files in os.walk(out)),
            }
        )
    return rows


def _drop_caches() -> bool:
    os.sync()
    try:
        CACHES.write_text('3')
    except OSError:
        print('caches cannot be dropped: cold reads are left out')
        return False
    return True


def _step(step: str, dataset: Path) -> dict[str, float]:
    text, *_ = _run(
        '-m', 'benchmarks.shards', f'--step={step}', f'--folder={dataset}'
    )
    return json.loads(text.splitlines()[-1])


def _start(dataset: Path) -> dict[str, float]:
    from benchmarks.million import _config, _start

    _config(dataset)  # imports
    begin = time.perf_counter()
    values = _start(dataset)
    return {'seconds': time.perf_counter() - begin, **values}


def _names(dataset: Path, count: int) -> list[str]:
    from flower_mm.annotations import read_annotations, read_classes

    classes = read_classes(dataset)
    folder = dataset / 'train'
    photos = read_annotations(dataset / 'train.txt', folder, classes)
    chosen = random.Random(0).sample(photos, min(count, len(photos)))
    return [str(folder / photo.name) for photo in chosen]


def _read(dataset: Path) -> dict[str, float]:
    from flower_mm.photo_bytes import read_bytes

    names = _names(dataset, 20_000)
    begin, cpu = time.perf_counter(), time.process_time()
    for name in names:
        read_bytes(name)
    return {
        'photos_per_s': len(names) / (time.perf_counter() - begin),
        'cpu_us': 1e6 * (time.process_time() - cpu) / len(names),
    }


def _load(dataset: Path) -> dict[str, float]:
    from benchmarks.million import _config
    from flower_mm.registry import DATASETS

    flowers = DATASETS.build(_config(dataset).train_dataloader.dataset)
    numbers = random.Random(0).sample(range(len(flowers)), 1000)
    begin, cpu = time.perf_counter(), time.process_time()
    for number in numbers:
        flowers[number]
    return {
        'photos_per_s': len(numbers) / (time.perf_counter() - begin),
        'cpu_us': 1e6 * (time.process_time() - cpu) / len(numbers),
    }


STEPS = {'start': _start, 'epoch': _epoch, 'read': _read, 'load': _load}


if __name__ == '__main__':
    main()
