"""How far raw pixels go on the demo photos: a linear classifier.

The photos are made hard enough that colours at places do not give the kind
away; this measures it. `python -m benchmarks.demo_pixels` needs scikit-learn.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.record import record
from flower_mm.cli.run_command import run

SEEDS = (0, 1, 2)
SIDES = (32, 64)
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # scikit-learn's C, small is smooth
PARTS = 5  # every fifth photo is for the test, every fifth of the rest for C


def parse() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=__doc__)


def main(args: argparse.Namespace) -> None:
    from flower_mm.demo import write_demo

    scores = {side: [] for side in SIDES}
    seconds = dict.fromkeys(SIDES, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            photos = Path(folder, str(seed))
            write_demo(photos, seed=seed)
            for side in SIDES:
                start = time.monotonic()
                scores[side].append(_top1(photos, side))
                seconds[side] += time.monotonic() - start
                print(f'seed {seed}, {side} px: {scores[side][-1]:.2f} %')
    rows = [
        {
            'name': f'demo, linear on {side}x{side} pixels',
            'config': 'none',
            'command': 'python -m benchmarks.demo_pixels',
            'data': 'demo photos, drawn with the seed',
            'split': f'1 of {PARTS} for the test',
            'epochs': '',
            'seeds': ' '.join(map(str, SEEDS)),
            'top1_mean': f'{sum(got) / len(got):.2f}',
            'top1_min': f'{min(got):.2f}',
            'top1_max': f'{max(got):.2f}',
            'seconds': f'{seconds[side] / len(SEEDS):.0f}',
        }
        for side, got in scores.items()
    ]
    print(record('accuracy', rows, key=('name', 'epochs')))


def _top1(photos: Path, side: int) -> float:
    """Percent right on the test part, with the C that did best before it."""
    import numpy as np
    from PIL import Image
    from sklearn.linear_model import LogisticRegression

    paths = sorted(photos.glob('*/*.jpg'))
    labels = np.array([path.parent.name for path in paths])
    pixels = np.stack(
        [
            np.asarray(Image.open(path).resize((side, side))).ravel() / 255
            for path in paths
        ]
    ).astype(np.float32)
    number = np.arange(len(paths))
    test = number % PARTS == 0
    choose = ~test & (number // PARTS % PARTS == 0)
    train = ~test & ~choose

    def fit(which: np.ndarray, strength: float) -> LogisticRegression:
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        return model.fit(pixels[which], labels[which])

    best = max(
        STRENGTHS,
        key=lambda c: fit(train, c).score(pixels[choose], labels[choose]),
    )
    return 100 * fit(~test, best).score(pixels[test], labels[test])


if __name__ == '__main__':
    run(main, parse())
