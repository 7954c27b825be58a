"""Do calibration, sets of classes and working points keep their promises?

python -m benchmarks.calibration flowers data/flowers work_dirs/mine/best.pth

The figures of best.pth come from its validation photos; here they are applied
to the test photos. Besides, the test photos are divided into random halves:
one gives the limit for the sets, the other is covered. The rows go to
results/calibration.csv.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.config_tables import markdown
from benchmarks.record import record, recorded
from flower_mm.annotations import (
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.inference.calibration import (
    Calibration,
    measure,
    set_of_classes,
)
from flower_mm.inference.temperature import nll
from flower_mm.report.confidence import ece
from flower_mm.report.predictor import Predictor

COVERAGES = (0.9, 0.95, 0.99)
PRECISIONS = (0.9, 0.95, 0.99)
HALVES = 200


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='the photos, in the table')
    parser.add_argument('data', type=Path, help='a dataset with a test split')
    parser.add_argument('best', type=Path, help='best.pth, trained on it')
    args = parser.parse_args()
    folder = photos_folder(args.data, 'test').absolute()
    listed = read_annotations(
        args.data / 'test.txt', folder, read_classes(args.data)
    )
    predictor = Predictor(args.best, 'cpu')
    predictor.calibrated = False
    found = predictor.predict(
        [str(folder / name) for name, _ in listed],
        [label for _, label in listed],
    )
    known, labels, raw = predictor.calibration, found.labels, found.scores
    scores = known.calibrated(raw)
    rows: list[dict[str, object]] = []

    def add(promise: str, promised: object, **measured: object) -> None:
        rows.append(
            {
                'photos': args.name,
                'promise': promise,
                'promised': promised,
                **measured,
                'test_photos': len(labels),
                'validation_photos': len(known.labels),
                'command': f'python -m benchmarks.calibration {args.name} '
                f'{args.data.name} {args.best.name}',
            }
        )

    correct = scores.argmax(1) == labels
    add(
        'calibration',
        '',
        kept=f'{ece(correct, scores.max(1).astype(float)):.2f}',
        raw=f'{ece(correct, raw.max(1).astype(float)):.2f}',
        detail=f'log loss {nll(labels, raw, 1):.4f} to '
        f'{nll(labels, scores, 1):.4f}, temperature {known.temperature}',
    )
    for coverage in COVERAGES:
        limit = known.mass_limit(coverage)
        covered, size = _covered(labels, scores, limit)
        halves = _halves(labels, scores, coverage)
        photos = len(labels) // 2
        add(
            'coverage',
            100 * coverage,
            kept=f'{100 * covered:.2f}',
            detail=f'{size:.2f} classes on average; {HALVES} random halves: '
            f'{100 * halves.mean():.2f} (theory: {100 * coverage:g} to '
            f'{100 * (coverage + 1 / (photos + 1)):.2f})',
        )
    for precision in PRECISIONS:
        point = known.working_point(precision)
        sure = scores.max(1) >= point.threshold
        add(
            'precision',
            100 * precision,
            kept=f'{100 * correct[sure].mean():.2f}',
            detail=f'{100 * sure.mean():.1f} % of the photos; lower bound '
            f'{100 * point.at_least:.1f}',
        )
    record('calibration', rows, ('photos', 'promise', 'promised', 'machine'))
    for row in rows:
        print(row['promise'], row['promised'], row['kept'], row['detail'])
    return 0


def table() -> str:
    """A row for each promise."""
    return markdown(
        ['photos', 'promise', 'on test photos', 'more'],
        [
            [
                f'{row["photos"]}, {row["test_photos"]} for the test, '
                f'{row["validation_photos"]} for validation',
                f'{row["promise"]} {row["promised"]} %'
                if row['promised']
                else 'expected calibration error',
                f'{row["kept"]} %'
                + (f', uncalibrated {row["raw"]} %' if row['raw'] else ''),
                row['detail'],
            ]
            for row in recorded('calibration')
        ],
    )


def _covered(
    labels: np.ndarray, scores: np.ndarray, limit: float
) -> tuple[float, float]:
    limits = np.full(scores.shape[1], limit)
    sets = [set_of_classes(row, limits) for row in scores]
    covered = [
        label in chosen for label, chosen in zip(labels, sets, strict=True)
    ]
    return float(np.mean(covered)), float(np.mean([len(s) for s in sets]))


def _halves(
    labels: np.ndarray, scores: np.ndarray, coverage: float
) -> np.ndarray:
    shares = []
    for seed in range(HALVES):
        order = np.random.default_rng(seed).permutation(len(labels))
        one, other = np.array_split(order, 2)
        values = Calibration.of(measure(labels[one], scores[one]))
        limit = values.mass_limit(coverage)
        shares.append(_covered(labels[other], scores[other], limit)[0])
    return np.array(shares)


if __name__ == '__main__':
    sys.exit(main())
