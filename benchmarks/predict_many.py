"""Photos per second of `predict --out`, and a million photos with kills.

python -m benchmarks.predict_many speed
python -m benchmarks.predict_many kills --photos 1000000 --folder FOLDER
python -m benchmarks.predict_many parts

speed: MobileNetV2 with random weights on 1,536 photos of 500x375 in a tar
file, on the CPU. bare: forward passes alone, of a batch that is in memory, in
the same precision, with all threads. The others are the command with one and
two workers, which share the cores, from the first finished part of all workers
to the last one, without their start. In turns; medians of all rounds.

kills: photos of 32 px in one tar file and a network of two small layers. Every
40 s a worker is killed, every 150 s the command, which is then started again.
At the end each photo must have one row. Memory is the peak of the largest
process.

parts: processor seconds of what `docs/predict.md` calculates with: listing a
photo of a tar file, reading and preparing a photo of 500x375 for MobileNetV2,
writing a file of 4,096 photos with five of 1,000 classes each, and giving such
a part to a worker. The rows go to results/predict_many.csv.
"""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.generated import CLASSES, write_photos
from benchmarks.record import record

ROOT = Path(__file__).parents[1]
PART, BATCH = 64, 32  # photos, of `speed`
KEY = ('measured', 'photos', 'workers', 'machine')
SIDE = 32
TINY = {
    'type': 'ImageClassifier',
    'backbone': {
        'type': 'VisionTransformer',
        'arch': {
            'embed_dims': 16,
            'num_layers': 2,
            'num_heads': 2,
            'feedforward_channels': 32,
        },
        'img_size': SIDE,
        'patch_size': 16,
    },
    'head': {
        'type': 'LinearClsHead',
        'in_channels': 16,
        'num_classes': CLASSES,
    },
}
PIPELINE = [
    {'type': 'LoadImageFromFile'},
    {'type': 'ResizeEdge', 'scale': SIDE, 'edge': 'short'},
    {'type': 'CenterCrop', 'crop_size': SIDE},
    {'type': 'PackInputs'},
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'measured', choices=['speed', 'kills', 'parts', 'bare']
    )
    parser.add_argument('--photos', type=int, default=1536)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--folder', type=Path)
    args = parser.parse_args()
    if args.measured == 'bare':
        print(_bare(args.folder))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(exist_ok=True, parents=True)
        measure = {'speed': _speed, 'kills': _kills, 'parts': _parts}[
            args.measured
        ]
        print(record('predict_many', measure(folder, args), KEY))


def _write_model(file: Path, tiny: bool) -> None:
    import torch

    import flower_mm.engine  # noqa: F401
    from flower_mm.config import read_config
    from flower_mm.registry import MODELS
    from flower_mm.weights.best_checkpoint import write_best

    cfg = read_config(str(ROOT / 'configs/flower/mobilenet_v2_flower.py'))
    cfg.model.head.num_classes = CLASSES
    if tiny:
        cfg.model = TINY
        cfg.test_dataloader.dataset.pipeline = PIPELINE
    torch.manual_seed(0)
    model = MODELS.build(
        {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
    )
    classes = [f'class{i}' for i in range(CLASSES)]
    meta = {'cfg': cfg.to_dict(), 'dataset_meta': {'classes': classes}}
    write_best(file, model.state_dict(), meta | {'classes': classes})


def _command(folder: Path, workers: int, out: Path, *more: object) -> list:
    return [
        *(sys.executable, '-m', 'flower_mm', 'predict', folder / 'best.pth'),
        *(folder / 'photos.tar', '--out', out, '--device', 'cpu'),
        *('--workers', str(workers), *map(str, more)),
    ]


def _speed(folder: Path, args: argparse.Namespace) -> list[dict]:
    _write_model(folder / 'best.pth', tiny=False)
    write_photos(folder / 'photos', args.photos, (500, 375), 12.0)
    with tarfile.open(folder / 'photos.tar', 'w') as tar:
        tar.add(folder / 'photos', 'photos')
    speeds: dict[str, list[float]] = {'bare': [], '1': [], '2': []}
    for number in range(args.rounds):
        bare = [sys.executable, '-m', 'benchmarks.predict_many', 'bare']
        done = subprocess.run(
            [*bare, '--folder', folder],
            stdout=subprocess.PIPE,
            check=True,
            # As the command does, since torch is imported here at once.
            env=os.environ | {'OMP_WAIT_POLICY': 'PASSIVE'},
        )
        speeds['bare'].append(float(done.stdout.splitlines()[-1]))
        for workers in (1, 2):
            out = folder / f'out{workers}-{number}'
            sizes = ('--part-photos', PART, '--batch-size', BATCH)
            subprocess.run(_command(folder, workers, out, *sizes), check=True)
            ends = sorted(part.stat().st_mtime for part in out.glob('part-*'))
            # All workers have started when as many parts are finished.
            begin, count = ends[2 * workers - 1], len(ends) - 2 * workers
            speeds[str(workers)].append(count * PART / (ends[-1] - begin))
    return [
        {
            'measured': 'speed',
            'photos': args.photos,
            'workers': workers,
            'photos_per_second': f'{median(values):.1f}',
            'of_bare': f'{median(values) / median(speeds["bare"]):.2f}',
        }
        for workers, values in speeds.items()
    ]


def _bare(folder: Path) -> float:
    from flower_mm import Classifier
    from flower_mm.process_resources import keep_memory

    keep_memory()
    model = Classifier(folder / 'best.pth', device='cpu').model
    pixels = np.zeros((375, 500, 3), np.uint8)
    batch = [model.prepared(pixels) for _ in range(BATCH)]
    for number in range(24):
        if number == 4:
            begin = time.perf_counter()
        model.run(batch)
    return 20 * BATCH / (time.perf_counter() - begin)


def _kills(folder: Path, args: argparse.Namespace) -> list[dict]:
    _write_model(folder / 'best.pth', tiny=True)
    if not (folder / 'photos.tar').exists():
        _write_tar(folder / 'photos.tar', args.photos)
    out = folder / 'out'
    begin, peak, kills = time.monotonic(), 0, {'worker': 0, 'command': 0}
    while True:
        process = subprocess.Popen(_command(folder, 2, out))
        started, last = time.monotonic(), time.monotonic()
        while process.poll() is None:
            time.sleep(0.5)
            now, children = time.monotonic(), _children(process.pid)
            peak = max([peak, *map(_peak, [process.pid, *children])])
            if now - started > 150:
                kills['command'] += 1
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            elif now - last > 40 and children:
                kills['worker'] += 1
                last = now
                os.kill(children[0], signal.SIGKILL)
        if process.returncode >= 0:
            break
    seconds = time.monotonic() - begin
    return [
        {
            'measured': 'kills',
            'photos': args.photos,
            'workers': 2,
            'photos_per_second': f'{args.photos / seconds:.1f}',
            'exit_code': process.returncode,
            'worker_kills': kills['worker'],
            'command_kills': kills['command'],
            'peak_mb': round(peak / 1024),
            **_count_rows(out, args.photos),
        }
    ]


def _parts(folder: Path, args: argparse.Namespace) -> list[dict]:
    from flower_mm import Classifier
    from flower_mm.cluster import run_tasks
    from flower_mm.inference.listed_photos import bytes_of
    from flower_mm.inference.result_parts import Counts, Rows
    from flower_mm.inference.work_list import parts_of, write_list

    count, size = 200_000, 4096
    tar, listed = folder / 'many.tar', folder / 'photos.sqlite'
    _write_tar(tar, count)
    seconds = {}
    begin = time.process_time()
    write_list(listed, [str(tar)], '', '')
    seconds['listing 1,000,000 photos'] = _since(begin) / count * 1e6

    begin = time.process_time()
    parts = parts_of(listed, size, ())
    number = sum(1 for _ in run_tasks(_nothing, parts))
    seconds['giving out 1,000 parts'] = _since(begin) / number * 1000

    _write_model(folder / 'best.pth', tiny=False)
    write_photos(folder / 'photos', 256, (500, 375), 12.0)
    write_list(folder / 'few.sqlite', [str(folder / 'photos')], '', '')
    classifier = Classifier(folder / 'best.pth', device='cpu')
    ((_, photos),) = parts_of(folder / 'few.sqlite', size, ())
    begin = time.process_time()
    for photo in photos:
        classifier.prepared(bytes_of(photo, ''))
    seconds['reading 1,000 photos'] = _since(begin) / len(photos) * 1000

    scores = np.random.default_rng(0).dirichlet(np.ones(1000), 64)
    begin = time.process_time()
    rows = Rows([f'class{i}' for i in range(1000)], 5)
    for number in range(size):
        rows.add_row(f'photos/class{number % 10}/{number:07}.jpg')
        if number % 64 == 0:
            rows.add(scores.astype(np.float32), scores.astype(np.float32))
    rows.write(folder / 'part.parquet', Counts('', ''), 0.0, True)
    seconds['writing 1 part'] = _since(begin)
    return [
        {
            'measured': name,
            'photos': '',
            'workers': '',
            'cpu_seconds': f'{value:.3g}',
        }
        for name, value in seconds.items()
    ]


def _since(begin: float) -> float:
    return time.process_time() - begin


def _nothing(part: tuple) -> int:
    return part[0]


def _write_tar(file: Path, count: int) -> None:
    random = np.random.default_rng(0)
    photos = []
    for _ in range(256):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, 'JPEG', quality=50)
        photos.append(data.getvalue())
    with tarfile.open(file, 'w', format=tarfile.USTAR_FORMAT) as tar:
        for number in range(count):
            data = photos[number % 256]
            info = tarfile.TarInfo(f'{number:07}.jpg')
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            tar.members.clear()


def _count_rows(out: Path, count: int) -> dict:
    import pyarrow.parquet as pq

    rows, names = 0, set()
    for part in out.glob('part-*'):
        paths = pq.read_table(part, columns=['path'])['path'].to_pylist()
        rows += len(paths)
        names.update(path[-11:-4] for path in paths)
    manifest = json.loads((out / 'manifest.json').read_text())
    return {
        'lost': count - len(names),
        'doubled': rows - len(names),
        'errors': manifest['errors'],
    }


def _children(process: int) -> list[int]:
    try:
        file = Path(f'/proc/{process}/task/{process}/children')
        children = list(map(int, file.read_text().split()))
        return [
            child
            for child in children
            if b'spawn_main' in Path(f'/proc/{child}/cmdline').read_bytes()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _peak(process: int) -> int:
    """The peak memory in kB."""
    try:
        text = Path(f'/proc/{process}/status').read_text()
        return int(text.partition('VmHWM:')[2].split()[0])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


if __name__ == '__main__':
    main()
