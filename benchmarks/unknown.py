r"""How well are photos found that are unlike the training photos?

python -m benchmarks.unknown flowers data/flowers work_dirs/mine/best.pth \
    --others waste=data/waste/train wallpapers=/usr/share/backgrounds

Each measure is fitted on training photos and gets its threshold from
validation photos, of which 95 % pass. The test photos are then told from
folders of other photos, from noise and plain frames, and from the photos of
each class in turn: for that the last layer and the measure are fitted without
it. (If best.pth is of a fine-tuned network, its features have seen the class,
so that only `--head-only` gives honest figures for this row.) The rows go to
results/unknown.csv.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.config_tables import markdown
from benchmarks.record import record, recorded
from flower_mm.annotations import (
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.console import progress
from flower_mm.engine.hooks.known_photos import last_layer_of
from flower_mm.engine.linear_probe import fit
from flower_mm.inference.known_photos import (
    KEY,
    PASS,
    energy_of,
    known_photos_of,
    most_photos,
    remember,
)
from flower_mm.inference.model import TrainedModel

SUFFIXES = {'.jpg', '.jpeg', '.png', '.webp'}
MADE = 40  # frames of noise, and plain ones
OURS = 'nearest photos or energy'
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
Split = tuple[np.ndarray, np.ndarray, np.ndarray]  # features, logits, labels


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='the photos, in the table')
    parser.add_argument('data', type=Path, help='a dataset with a test split')
    parser.add_argument('best', type=Path, help='best.pth, trained on it')
    parser.add_argument('--others', nargs='+', default=[], metavar='NAME=DIR')
    args = parser.parse_args()
    model = TrainedModel(args.best, 'cpu')
    splits = {
        name: _split(model, args.data, name)
        for name in ('train', 'val', 'test')
    }
    others = dict(made(), **dict(map(_folder, args.others)))
    strange = {
        name: _features(model, photos) for name, photos in others.items()
    }
    rows = []
    for name, measure in measures(splits['train'], splits['val']).items():
        for other, (features, logits) in strange.items():
            rows.append(
                _row(measure, splits, name, other, measure(features, logits))
            )
        rows.append(_unseen_classes(splits, name))
    for row in rows:
        row['photos'] = args.name
        row['command'] = f'python -m benchmarks.unknown {args.name}'
        print(*row.values())
    record('unknown', rows, ('photos', 'measure', 'others', 'machine'))
    return 0


def _folder(text: str) -> tuple[str, list]:
    name, _, folder = text.partition('=')
    found = sorted(Path(folder).rglob('*'))
    return name, [str(p) for p in found if p.suffix.lower() in SUFFIXES]


def made() -> dict[str, list]:
    """Noise of four grain sizes, and plain frames with a little noise."""
    rng = np.random.default_rng(0)
    noise, plain = [], []
    for i in range(MADE):
        side = (8, 32, 128, 400)[i % 4]
        grain = rng.integers(0, 256, (side, side, 3), np.uint8)
        noise.append(Image.fromarray(grain).resize((400, 400)))
        colour = rng.integers(0, 256, 3) if i > 10 else np.full(3, 25 * i)
        frame = colour + rng.normal(0, i % 5, (400, 400, 3))
        plain.append(Image.fromarray(frame.clip(0, 255).astype(np.uint8)))
    return {'noise': noise, 'plain frames': plain}


def _split(model: TrainedModel, data: Path, name: str) -> Split:
    folder = photos_folder(data, name).absolute()
    listed = read_annotations(data / f'{name}.txt', folder, read_classes(data))
    found = _features(model, [str(folder / photo) for photo, _ in listed])
    return *found, np.array([label for _, label in listed])


def _features(
    model: TrainedModel, photos: list
) -> tuple[np.ndarray, np.ndarray]:
    with progress(len(photos), 'computing features') as advance:
        return last_layer_of(model, photos, advance)


def measures(train: Split, val: Split) -> dict[str, Measure]:
    """The measures, larger for photos that are more unlike."""
    features, logits, labels = train
    chosen = _in_turn(labels)[: most_photos(features.shape[1])]
    values = remember(features[chosen], *val[:2])
    known = known_photos_of({KEY: values}, features.shape[1], '')
    assert known is not None
    mahalanobis, apart = _mahalanobis(features, labels)
    return {
        OURS: known.unlikeness,
        'nearest photos': lambda x, _: 1 - _nearest(known.vectors, x),
        'energy': lambda _, z: energy_of(z),
        'maximum logit': lambda _, z: -z.max(1),
        'Mahalanobis': lambda x, _: mahalanobis(x),
        'relative Mahalanobis': lambda x, _: mahalanobis(x) - apart(x),
        'ViM': _vim(features, logits),
    }


def _in_turn(labels: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(labels))
    rank = np.zeros(len(labels), int)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        rank[own] = np.arange(len(own))
    return order[np.argsort(rank[order], kind='stable')]


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _nearest(vectors: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.sort(_unit(x) @ vectors.T, axis=1)[:, -5:].mean(1)


def _mahalanobis(features: np.ndarray, labels: np.ndarray):
    """Distances of unit features to the nearest class, and to all."""
    x = _unit(features).astype(float)
    means = np.stack([x[labels == c].mean(0) for c in np.unique(labels)])
    within = np.concatenate(
        [
            x[labels == c] - m
            for c, m in zip(np.unique(labels), means, strict=True)
        ]
    )

    def inverse(rows: np.ndarray) -> np.ndarray:
        cov = rows.T @ rows / len(rows)
        ridge = 0.05 * np.trace(cov) / len(cov)
        return np.linalg.inv(0.95 * cov + ridge * np.eye(len(cov)))

    shared, whole = inverse(within), inverse(x - x.mean(0))

    def distance(x: np.ndarray, mean: np.ndarray, p: np.ndarray) -> np.ndarray:
        apart = _unit(x) - mean
        return ((apart @ p) * apart).sum(1)

    return (
        lambda y: np.min([distance(y, m, shared) for m in means], axis=0),
        lambda y: distance(y, x.mean(0), whole),
    )


def _vim(features: np.ndarray, logits: np.ndarray) -> Measure:
    mean = features.mean(0)
    _, _, axes = np.linalg.svd(features - mean, full_matrices=False)
    axes = axes[: min(256, features.shape[1] // 2)]

    def residual(x: np.ndarray) -> np.ndarray:
        y = x - mean
        return np.linalg.norm(y - y @ axes.T @ axes, axis=1)

    scale = logits.max(1).mean() / residual(features).mean()
    return lambda x, z: scale * residual(x) + energy_of(z)


def _row(
    measure: Measure, splits: dict[str, Split], name: str, other: str, found
) -> dict:
    val, own = (measure(*splits[split][:2]) for split in ('val', 'test'))
    place = math.ceil((len(val) + 1) * PASS - 1e-9)
    threshold = np.sort(val)[place - 1]
    return {
        'measure': name,
        'others': other,
        'auroc': f'{auroc(own, found):.4f}',
        'missed_percent': f'{100 * (found <= threshold).mean():.1f}',
        'test_passed_percent': f'{100 * (own <= threshold).mean():.1f}',
        'test_photos': len(own),
        'other_photos': len(found),
    }


def auroc(own: np.ndarray, others: np.ndarray) -> float:
    """The chance that one of the others scores higher, ties count half."""
    own = np.sort(own)
    below = np.searchsorted(own, others, 'left')
    until = np.searchsorted(own, others, 'right')
    return float((below + until).mean() / 2 / len(own))


def _unseen_classes(splits: dict[str, Split], name: str) -> dict:
    """The mean over the classes, each left out of everything once."""
    rows = []
    for label in np.unique(splits['train'][2]):
        without: dict[str, Split] = {}
        layer = None
        for split, (features, _, labels) in splits.items():
            keep = (labels != label) | (split == 'test')
            if layer is None:
                layer = fit(
                    torch.from_numpy(features[keep]),
                    torch.from_numpy(labels[keep] - (labels[keep] > label)),
                    len(np.unique(labels)) - 1,
                    0,
                )
            logits = features[keep] @ layer.weight.numpy().T
            logits = logits + layer.bias.numpy()
            without[split] = features[keep], logits, labels[keep]
        measure = measures(without['train'], without['val'])[name]
        features, logits, labels = without['test']
        unseen = labels == label
        without['test'] = (
            features[~unseen], logits[~unseen], labels[~unseen]
        )  # fmt: skip
        found = measure(features[unseen], logits[unseen])
        rows.append(_row(measure, without, name, 'unseen class', found))
    mean = {
        key: f'{np.mean([float(row[key]) for row in rows]):.{digits}f}'
        for key, digits in (
            ('auroc', 4), ('missed_percent', 1), ('test_passed_percent', 1)
        )
    }  # fmt: skip
    photos = [row['other_photos'] for row in rows]
    return rows[0] | mean | {'other_photos': sum(photos)}


def table() -> str:
    """A row for each measure, a column for each kind of other photos."""
    rows = recorded('unknown')
    kinds = list(dict.fromkeys(row['others'] for row in rows))
    names = list(
        dict.fromkeys((row['photos'], row['measure']) for row in rows)
    )
    found = {
        (row['photos'], row['measure'], row['others']): f'{row["auroc"]}, '
        f'{row["missed_percent"]} %'
        for row in rows
    }
    return markdown(
        ['photos', 'measure', *kinds],
        [
            [*name, *(found.get((*name, kind), '') for kind in kinds)]
            for name in names
        ],
    )


if __name__ == '__main__':
    sys.exit(main())
