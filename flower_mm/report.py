"""Pictures of a run: curves and confusion matrix."""

import json
from pathlib import Path

import numpy as np

from flower_mm.files import replacing

BLUE, ORANGE = '#1f6fb4', '#d1660a'


def read_scalars(path: Path) -> list[dict]:
    """Return what a run logged, one dictionary a line of scalars.json.

    A run that was stopped and resumed has logged the broken epoch twice; the
    later lines hold. Lines that a kill cut short are passed over.
    """
    records = []
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    latest: dict[tuple, dict] = {}
    for record in records:
        kind = 'train' if 'loss' in record else 'val'
        latest[kind, record.get('step')] = record
    return list(latest.values())


def draw_curves(scalars: Path, out: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs."""
    records = read_scalars(scalars)
    train = [r for r in records if 'loss' in r]
    val = [r for r in records if 'accuracy/top1' in r]
    if not train:
        return
    plt = _pyplot()
    figure, (loss, accuracy, rate) = plt.subplots(
        1, 3, figsize=(13, 3.8), layout='constrained'
    )
    epochs = _epochs(train)
    _line(loss, epochs, [r['loss'] for r in train], BLUE, 'training')
    _points(loss, val, 'cross_entropy', 'validation')
    loss.set_title('loss')
    if 'accuracy_top-1' in train[0]:
        values = [r['accuracy_top-1'] for r in train]
        _line(accuracy, epochs, values, BLUE, 'training')
    _points(accuracy, val, 'accuracy/top1', 'validation')
    if val:
        best = max(val, key=lambda r: r['accuracy/top1'])
        accuracy.set_title(
            f'accuracy, % (best {best["accuracy/top1"]:.2f} '
            f'in epoch {best["step"]})'
        )
    rate.plot(epochs, [r['lr'] for r in train], color=BLUE)
    rate.set_title('learning rate')
    rate.set_ylim(bottom=0)
    for axis in (loss, accuracy, rate):
        axis.set_xlabel('epoch')
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
    _save(plt, figure, out)


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
    axis.set_xticks(range(count), classes, rotation=45, ha='right')
    axis.set_yticks(range(count), classes)
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


def _epochs(train: list[dict]) -> list[float]:
    """Where each training record lies, in epochs.

    MMEngine logs the running iteration and the number of the epoch it is in;
    the last record of an epoch tells how many iterations one has.
    """
    last = {}
    for record in train:
        last[record['epoch']] = record['step']
    per_epoch = max(step / epoch for epoch, step in last.items())
    return [record['step'] / per_epoch for record in train]


def _line(axis, x: list, y: list, colour: str, label: str) -> None:
    """A faint line of all values and a clear one of their running mean."""
    axis.plot(x, y, color=colour, alpha=0.25, linewidth=1)
    width = max(1, len(y) // 20)
    kernel = np.ones(width)
    mean = np.convolve(y, kernel, 'same') / np.convolve(
        np.ones(len(y)), kernel, 'same'
    )
    axis.plot(x, mean, color=colour, label=label)


def _points(axis, val: list[dict], key: str, label: str) -> None:
    shown = [r for r in val if key in r]
    axis.plot(
        [r['step'] for r in shown],
        [r[key] for r in shown],
        color=ORANGE,
        marker='o',
        markersize=4,
        label=label,
    )
