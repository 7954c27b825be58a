"""Photos a second from files to classes, one at a time and 32 at a time.

python -m benchmarks.prediction

eager: flower_mm.Classifier in float32. bf16: the same with amp. onnx and int8:
what tools/export.py writes, in ONNX Runtime; one at a time the file that
takes photos as they are, read by Pillow; of 32 the file that takes tensors,
prepared by flower_mm. inferencer: MMPretrain's ImageClassificationInferencer
with the same best.pth. timm: the loop of timm's inference.py, which its
package leaves out, with timm's own model and transforms and two processes that
load. Random weights, photos of 500x375 with grain, all on the CPU; each system
in a process of its own, in turns. The first batches do not count, and behind
those that do come as many as are read ahead: who reads ahead is then as far
ahead at the clock's end as at its start. The inferencer reads none ahead.
Medians of all rounds go to results/prediction.csv.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.generated import CLASSES, write_photos
from benchmarks.record import record
from flower_mm.registry import MODELS as BUILDERS

ROOT = Path(__file__).parents[1]
# Of each our config and timm's name.
MODELS = {
    'MobileNetV2': ('mobilenet_v2', 'mobilenetv2_100'),
    'ResNet-50': ('resnet50', 'resnet50'),
}
SIZE = (500, 375)
GRAIN = 12.0
# At a time: photos that warm up, photos that count.
COUNTS = {1: (8, 48), 32: (64, 160)}
# Batches behind those that count: timm's two processes have four ahead.
AHEAD = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--models', nargs='+', choices=MODELS, default=MODELS)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--measure', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(*args.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        needed = sum(COUNTS[32]) + AHEAD * 32
        write_photos(folder / 'photos', needed, SIZE, GRAIN)
        for model in args.models:
            make_files(model, folder)
            rounds = [_round(model, folder) for _ in range(args.rounds)]
            print(record('prediction', _rows(model, rounds), KEY))


def make_files(model: str, folder: Path) -> None:
    """best.pth of random weights, and its files of ONNX."""
    import numpy as np
    import onnx
    import torch

    import flower_mm.engine  # noqa: F401
    from flower_mm.config import read_config
    from flower_mm.export.int8 import int8_model
    from flower_mm.export.onnx_model import tensor_model
    from flower_mm.export.preprocessing import with_preprocessing
    from flower_mm.export.source_model import Source
    from flower_mm.weights.best_checkpoint import write_best

    config = ROOT / 'configs' / 'flower' / f'{MODELS[model][0]}_flower.py'
    cfg = read_config(str(config))
    cfg.model.head.num_classes = CLASSES
    torch.manual_seed(0)
    classes = [f'class{i}' for i in range(CLASSES)]
    best = folder / f'{model}.pth'
    write_best(
        best,
        BUILDERS.build(
            {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
        ).state_dict(),
        {
            'cfg': cfg.to_dict(),
            'dataset_meta': {'classes': classes},
            'classes': classes,
        },
    )
    source = Source(best)
    tensors = tensor_model(source.model, source.size)
    random = np.random.default_rng(0)
    inputs = (
        random.normal(size=(1, 3, *source.size)).astype(np.float32)
        for _ in range(8)
    )
    for name, graph in (
        ('onnx', tensors),
        ('int8', int8_model(tensors, inputs)),
    ):
        onnx.save(graph, folder / f'{model}_{name}_32.onnx')
        photos = with_preprocessing(graph, source.steps, source.preprocessor)
        onnx.save(photos, folder / f'{model}_{name}_1.onnx')


# --- the systems -------------------------------------------------------------
# Each takes what was made, photos, and how many at a time, and yields after
# each batch how many photos it had; the inferencer after each call.


def eager(
    model: str, folder: Path, photos: list[str], size: int, amp: bool = False
) -> Iterator[int]:
    from flower_mm import Classifier
    from flower_mm.process_resources import keep_memory

    best = folder / f'{model}.pth'
    keep_memory()
    classifier = Classifier(best, device='cpu', batch_size=size, amp=amp)
    for _ in classifier.each(photos):
        yield 1


def bf16(*task) -> Iterator[int]:
    return eager(*task, amp=True)


def onnx(
    model: str, folder: Path, photos: list[str], size: int, kind: str = 'onnx'
) -> Iterator[int]:
    import numpy as np
    import onnxruntime
    import torch
    from PIL import Image

    from flower_mm import Classifier
    from flower_mm.inference.photo_reader import PhotoReader

    session = onnxruntime.InferenceSession(
        folder / f'{model}_{kind}_{size}.onnx',
        providers=['CPUExecutionProvider'],
    )
    trained = Classifier(folder / f'{model}.pth', device='cpu').model
    reader = PhotoReader(trained.first)
    preprocess = trained.model.data_preprocessor
    for start in range(0, len(photos), size):
        some = photos[start : start + size]
        if size == 1:
            with Image.open(some[0]) as image:
                pixels = np.asarray(image.convert('RGB'))[None]
            session.run(None, {'photos': pixels})
        else:
            inputs = [
                trained.prepared(reader.read(photo))['inputs']
                for photo in some
            ]
            inputs = preprocess({'inputs': torch.stack(inputs)})['inputs']
            session.run(None, {'inputs': inputs.numpy()})
        yield len(some)


def int8(*task) -> Iterator[int]:
    return onnx(*task, kind='int8')


def inferencer(
    model: str, folder: Path, photos: list[str], size: int
) -> Iterator[int]:
    from mmpretrain import ImageClassificationInferencer

    import flower_mm.engine  # noqa: F401  reads best.pth as data
    from flower_mm.weights.checked_config import config_of

    best = folder / f'{model}.pth'
    predict = ImageClassificationInferencer(
        config_of(best), pretrained=str(best), device='cpu'
    )
    warm, count = COUNTS[size]
    for some in (photos[:warm], photos[warm : warm + count]):
        predict(some, batch_size=size)
        yield len(some)


def timm(
    model: str, folder: Path, photos: list[str], size: int
) -> Iterator[int]:
    import timm as library
    import torch
    from PIL import Image
    from timm.data import create_loader, resolve_data_config

    class Photos(torch.utils.data.Dataset):
        transform = None  # create_loader sets it

        def __len__(self) -> int:
            return len(photos)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            with Image.open(photos[index]) as image:
                return self.transform(image.convert('RGB')), -1

    net = library.create_model(MODELS[model][1], num_classes=CLASSES).eval()
    loader = create_loader(
        Photos(),
        batch_size=size,
        use_prefetcher=False,
        num_workers=2,
        device=torch.device('cpu'),
        **resolve_data_config(model=net),
    )
    with torch.inference_mode():
        for inputs, _ in loader:
            net(inputs).softmax(1).topk(5)
            yield len(inputs)


SYSTEMS = {
    system.__name__: system
    for system in (eager, bf16, onnx, int8, inferencer, timm)
}
OURS = ('eager', 'bf16', 'onnx', 'int8')
KEY = ('model', 'at_a_time', 'machine')


def measure(model: str, system: str, folder: str) -> None:
    """Say on stdout how many photos a second; in a process of its own."""
    import torch

    files = sorted(map(str, Path(folder, 'photos').rglob('*.jpg')))
    found = {'threads': torch.get_num_threads()}
    for size, (warm, count) in COUNTS.items():
        photos = files[: warm + count + AHEAD * size]
        task = (model, Path(folder), photos, size)
        with closing(SYSTEMS[system](*task)) as batches:
            done, start = 0, 0.0
            while done < warm + count:
                done += next(batches)
                if done == warm:
                    start = time.perf_counter()
            found[str(size)] = count / (time.perf_counter() - start)
    print(f'RATES {json.dumps(found)}', flush=True)


def _round(model: str, folder: Path) -> dict[str, dict]:
    """Measure each system once."""
    found = {}
    for system in SYSTEMS:
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'benchmarks.prediction'),
                *('--measure', model, system, str(folder)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=os.environ | {'PYTHONPATH': str(ROOT)},
        )
        rates = [
            line.removeprefix('RATES ')
            for line in done.stdout.splitlines()
            if line.startswith('RATES ')
        ]
        if done.returncode or not rates:
            raise SystemExit(f'{model}, {system}:\n{done.stderr[-3000:]}')
        found[system] = json.loads(rates[0])
        print(f'{model}, {system}: {found[system]}', flush=True)
    return found


def _rows(model: str, rounds: list[dict]) -> list[dict]:
    rows = []
    for size in COUNTS:
        rates = {
            system: median(found[system][str(size)] for found in rounds)
            for system in SYSTEMS
        }
        ratios = {
            f'{name}_to_inferencer': f'{rates[name] / rates["inferencer"]:.2f}'
            for name in OURS
        }
        rows.append(
            {
                'model': model,
                'at_a_time': size,
                'threads': rounds[0]['eager']['threads'],
                'photos': f'generated, {SIZE[0]}x{SIZE[1]}',
                'rounds': len(rounds),
                **{name: f'{rate:.1f}' for name, rate in rates.items()},
                **ratios,
                'command': 'python -m benchmarks.prediction',
            }
        )
    return rows


if __name__ == '__main__':
    main()
