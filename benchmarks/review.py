r"""Wrong labels that `review` finds, and what correcting them is worth.

flower-mm prepare PHOTOS --out data/flowers --val 0.2 --test 0.2 --seed 20
python -m benchmarks.review flowers data/flowers \
    --weights mobilenet_v2_in1k.pth --seeds 0 1 2

A share of the photos of all splits gets another label, drawn with the seed.
The queue of `review` is made with features of the weights, without training,
and its first photos get their true labels. `train --head-only` on the
clean, the noisy and the corrected dataset is then measured on the test photos
with their true labels. `--browser` also measures how many photos a minute a
headless Chromium gets through by the keyboard. The rows go to
results/review.csv.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.compared import ROOT, require_weights
from benchmarks.record import record
from flower_mm.layout import RunDir
from flower_mm.prepare.corrections import (
    EXCLUDE,
    KEEP,
    RELABEL,
    Correction,
    Corrections,
    now,
)
from flower_mm.report.predictions import read_predictions
from flower_mm.review.dataset_photos import ReviewedDataset, read_dataset

SIZES = (50, 100, 200)  # photos at the start of the queue
ANSWERED = 200
KEY = ('photos', 'share', 'weights', 'config', 'machine')


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='the photos, in the table')
    parser.add_argument('data', type=Path, help='a dataset with a test split')
    parser.add_argument('--weights', required=True)
    parser.add_argument('--config', default='mobilenet_v2_flower')
    parser.add_argument('--share', type=float, default=0.05)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--no-training', action='store_true')
    parser.add_argument('--browser', action='store_true')
    parser.add_argument('--note', default='', help='a remark for the row')
    parser.add_argument('--out', type=Path, default='work_dirs/review')
    args = parser.parse_args()
    require_weights(parser, args.weights)
    found: list[dict[str, float]] = []
    for number, seed in enumerate(args.seeds):
        found.append(_measured(args, seed, args.browser and not number))
        print(found[-1], flush=True)
        record('review', [_row(args, found)], KEY)
    return 0


def _row(args: argparse.Namespace, found: list[dict[str, float]]) -> dict:
    """The means over the seeds that are done."""
    seeds = ' '.join(map(str, args.seeds[: len(found)]))
    row = {
        'photos': args.name,
        'share': args.share,
        'seeds': seeds,
        'weights': Path(args.weights).name,
        'config': '' if args.no_training else args.config,
    }
    for column in found[0]:
        values = [each[column] for each in found if column in each]
        row[column] = f'{mean(values):.4g}'
    row['note'] = args.note
    row['command'] = (
        f'python -m benchmarks.review {args.name} {args.data.name} --weights '
        f'{Path(args.weights).name} --share {args.share} --seeds {seeds}'
        + ' --browser' * args.browser
        + ' --no-training' * args.no_training
    )
    return row


def _measured(
    args: argparse.Namespace, seed: int, in_browser: bool
) -> dict[str, float]:
    clean = read_dataset(args.data)
    out = args.out / f'{args.name}_{args.share}_{seed}'
    shutil.rmtree(out, ignore_errors=True)
    truth = inject(clean, out, args.share, seed)
    noisy = read_dataset(out / 'noisy')
    begun = time.monotonic()
    queue, suggested = queue_of(noisy, args.weights)
    row = {'queue_seconds': time.monotonic() - begun}
    wrong = np.array(
        [truth[photo.sha256] != photo.label for photo in noisy.photos]
    )
    row |= {'noisy_photos': len(wrong), 'wrong_labels': int(wrong.sum())}
    for size in SIZES:
        right = int(wrong[queue[:size]].sum())
        row[f'precision_{size}'] = 100 * right / len(queue[:size])
        row[f'recall_{size}'] = 100 * right / int(wrong.sum())
    hits = [i for i in queue[:ANSWERED] if wrong[i]]
    row['suggestion_right'] = 100 * mean(
        suggested[i] == truth[noisy.photos[i].sha256] for i in hits
    )
    if in_browser:
        row['photos_a_minute'] = photos_a_minute(out, args.weights)
    answer(noisy, queue[:ANSWERED], truth)
    _tool(
        'prepare_dataset', noisy.root, '--apply-corrections', '--out',
        out / 'corrected', '--how', 'link',
    )  # fmt: skip
    if not args.no_training:
        for name, data in (
            ('clean', args.data),
            ('noisy', noisy.root),
            ('corrected', out / 'corrected'),
        ):
            row[f'{name}_test_top1'] = _test_top1(
                args, data, out / f'run_{name}', seed
            )
    return row


def inject(
    clean: ReviewedDataset, out: Path, share: float, seed: int
) -> dict[str, int]:
    """Make out/noisy with wrong labels; return the true ones by sha256."""
    rng = np.random.default_rng(seed)
    count = len(clean.photos)
    classes = len(clean.classes)
    shift = np.zeros(count, int)
    drawn = rng.permutation(count)[: round(share * count)]
    shift[drawn] = rng.integers(1, classes, len(drawn))
    for photo, other in zip(clean.photos, shift, strict=True):
        label = clean.classes[(photo.label + other) % classes]
        name = Path(photo.name)
        path = out / 'photos' / label / name.name
        if path.exists():
            path = path.with_stem(f'{name.stem}-{name.parts[0]}')
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo.file, path)
    _tool(
        'prepare_dataset', out / 'photos', '--out', out / 'noisy',
        '--splits-from', clean.root, '--how', 'link', '--val', '0.2',
        '--test', '0.2', '--on-conflict', 'keep',
    )  # fmt: skip
    return {photo.sha256: photo.label for photo in clean.photos}


def queue_of(
    dataset: ReviewedDataset, weights: str
) -> tuple[list[int], dict[int, int | None]]:
    """Return the photos of the queue, and the class that each may have."""
    from flower_mm.review.evidence import evidence_of
    from flower_mm.review.queue import build_queue

    args = argparse.Namespace(run=None, weights=weights, device='auto')
    items, _ = build_queue(dataset, evidence_of(dataset, args), [])
    return (
        [item.photo for item in items],
        {item.photo: item.predicted for item in items},
    )


def answer(
    dataset: ReviewedDataset, photos: list[int], truth: dict[str, int]
) -> None:
    """Decide about photos as somebody who knows the truth."""
    corrections = []
    for i in photos:
        photo = dataset.photos[i]
        true = truth.get(photo.sha256)
        is_right = true == photo.label
        corrections.append(
            Correction(
                now(),
                'truth',
                photo.split,
                photo.name,
                photo.sha256,
                dataset.classes[photo.label],
                EXCLUDE if true is None else KEEP if is_right else RELABEL,
                '' if true is None or is_right else dataset.classes[true],
            )
        )
    Corrections(dataset.root).add(corrections)


def _test_top1(
    args: argparse.Namespace, data: Path, run: Path, seed: int
) -> float:
    """Train on a dataset; measure on the test photos of the clean one."""
    _tool(
        'train', args.config, '--head-only', '--data', data, '--work-dir',
        run, '--weights', args.weights, '--seed', seed, '--no-report',
        '--no-check',
    )  # fmt: skip
    out = run / 'test.csv'
    _tool(
        'test', args.config, run / RunDir.BEST, '--data', args.data, '--out',
        out,
    )  # fmt: skip
    return 100 * float(read_predictions(out).correct.mean())


def photos_a_minute(out: Path, weights: str) -> float:
    """Answer photos by the keyboard in a headless browser."""
    from benchmarks.review_keyboard import photos_a_minute as measure

    copy = out / 'browsed'
    shutil.copytree(out / 'noisy', copy)
    return measure(copy, weights, ANSWERED)


def _tool(name: str, *words: object) -> None:
    subprocess.run(
        [sys.executable, ROOT / 'tools' / f'{name}.py', *map(str, words)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )


if __name__ == '__main__':
    sys.exit(main())
