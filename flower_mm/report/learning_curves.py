"""Pictures that a run and a test leave: curves and confusion matrix."""

import json
from pathlib import Path

import numpy as np

from flower_mm.files import replacing

BLUE, ORANGE = '#1f6fb4', '#d1660a'
COUNTED, MOST = ('epoch', 'step'), 1e12
LARGEST = 1e30  # a loss; matplotlib adds and multiplies
TRAINED = ('loss', 'lr', 'epoch', 'step')  # in what training logs


def read_scalars(path: Path) -> list[dict]:
    """Return what a run logged, one dictionary a line of scalars.json.

    A run that was stopped and resumed has logged the broken epoch twice; the
    later lines hold. Lines that a kill cut short are passed over.
    """
    latest: dict[tuple, dict] = {}
    for line in path.read_text('utf-8', errors='replace').splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            record = {
                key: value
                for key, value in record.items()
                if _is_number(value, MOST if key in COUNTED else LARGEST)
            }
            kind = 'train' if 'loss' in record else 'val'
            latest[kind, record.get('step')] = record
    return list(latest.values())


def _is_number(value: object, most: float = LARGEST) -> bool:
    # No number fails every comparison.
    return type(value) in (int, float) and abs(value) <= most


def phases(records: list[dict]) -> tuple[list[dict], list[dict]]:
    """What training logged, and what validation did after each epoch."""
    train = [
        r for r in records if all(key in r for key in TRAINED) and r['epoch']
    ]
    val = [r for r in records if 'accuracy/top1' in r and 'step' in r]
    return train, val


def draw_curves(scalars: Path, out: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs."""
    train, val = phases(read_scalars(scalars))
    if not train:
        return
    plt = _pyplot()
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout='constrained')
    for axis, draw, title in zip(
        axes,
        (draw_loss, draw_accuracy, draw_rate),
        ('loss', best_epoch(val), 'learning rate'),
        strict=True,
    ):
        draw(axis, train, val)
        axis.set_title(title)
    _save(plt, figure, out)


def best_epoch(val: list[dict]) -> str:
    if not val:
        return 'accuracy, %'
    best = max(val, key=lambda r: r['accuracy/top1'])
    return (
        f'accuracy, % (best {best["accuracy/top1"]:.2f} '
        f'in epoch {best["step"]})'
    )


def draw_loss(axis, train: list[dict], val: list[dict]) -> None:
    _line(axis, epochs(train), [r['loss'] for r in train], 'training')
    _points(axis, val, 'cross_entropy')
    _finish(axis)


def draw_accuracy(axis, train: list[dict], val: list[dict]) -> None:
    if all('accuracy_top-1' in r for r in train):
        values = [r['accuracy_top-1'] for r in train]
        _line(axis, epochs(train), values, 'training')
    _points(axis, val, 'accuracy/top1')
    _finish(axis)


def draw_rate(axis, train: list[dict], val: list[dict]) -> None:
    axis.plot(epochs(train), [r['lr'] for r in train], color=BLUE)
    axis.set_ylim(bottom=0)
    _finish(axis)


def draw_confusion(matrix: np.ndarray, classes: list[str], out: Path) -> None:
    """Draw photos of each class (rows) by what they were taken for."""
    plt = _pyplot()
    count = len(classes)
    side = max(4.5, 0.55 * count + 2)
    figure, axis = plt.subplots(
        figsize=(min(side, 20), min(side, 20)), layout='constrained'
    )
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap='Blues', vmin=0, vmax=1)
    # A class may be called $x$, which is no formula.
    axis.set_xticks(
        range(count), classes, rotation=45, ha='right', parse_math=False
    )
    axis.set_yticks(range(count), classes, parse_math=False)
    axis.set_xlabel('predicted')
    axis.set_ylabel('true')
    if count <= 30:  # beyond that the figures are too small to read
        for row, column in np.ndindex(matrix.shape):
            axis.text(
                column,
                row,
                str(int(matrix[row, column])),
                ha='center',
                va='center',
                color='white' if share[row, column] > 0.5 else 'black',
            )
    _save(plt, figure, out)


def _pyplot():
    # Half a second of import that only those who draw pay.
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    return plt


def _save(plt, figure, out: Path) -> None:
    with replacing(out) as file:
        figure.savefig(file, format='png', dpi=110)
    plt.close(figure)


def epochs(train: list[dict]) -> list[float]:
    """Where each training record lies, in epochs.

    MMEngine logs the running iteration and the number of the epoch it is in;
    the last record of an epoch tells how many iterations one has.
    """
    last = {}
    for record in train:
        last[record['epoch']] = record['step']
    per_epoch = max(step / epoch for epoch, step in last.items()) or 1
    return [record['step'] / per_epoch for record in train]


def running_mean(values: list[float]) -> np.ndarray:
    """Over a twentieth of them; narrower at the ends."""
    kernel = np.ones(max(1, len(values) // 20))
    return np.convolve(values, kernel, 'same') / np.convolve(
        np.ones(len(values)), kernel, 'same'
    )


def _line(axis, x: list, y: list, label: str) -> None:
    """A faint line of all values and a clear one of their running mean."""
    axis.plot(x, y, color=BLUE, alpha=0.25, linewidth=1)
    axis.plot(x, running_mean(y), color=BLUE, label=label)


def _points(axis, val: list[dict], key: str) -> None:
    shown = [r for r in val if key in r]
    if shown:
        axis.plot(
            [r['step'] for r in shown],
            [r[key] for r in shown],
            color=ORANGE,
            marker='o',
            markersize=4,
            label='validation',
        )


def whole_epochs(axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel('epoch')
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _finish(axis) -> None:
    whole_epochs(axis)
    axis.grid(alpha=0.3)
    axis.spines[['top', 'right']].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False)
