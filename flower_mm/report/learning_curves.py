"""scalars.json, and curves.png and confusion_matrix.png drawn from a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from flower_mm.files import replacing
from flower_mm.report.formatting import TOP1

BLUE, ORANGE = '#1f6fb4', '#d1660a'
COUNTS, MAX_COUNT = ('epoch', 'step'), 1e12
MAX_VALUE = 1e30  # matplotlib adds and multiplies
TRAIN_KEYS = ('loss', 'lr', 'epoch', 'step')  # of each training record
MAX_CLASSES_WITH_NUMBERS = 30  # in a confusion matrix
ACCURACY, LEARNING_RATE = 'Accuracy, %', 'Learning rate'
# The keys in the records of training and of validation. Training loss
# includes label smoothing and augmentation, validation loss is plain
# cross-entropy: two quantities, so two panels.
PANELS = {
    'Training loss': ('loss', None),
    'Validation loss': (None, 'cross_entropy'),
    ACCURACY: ('accuracy_top-1', TOP1),
    LEARNING_RATE: ('lr', None),
}


def read_scalars(path: Path) -> list[dict]:
    """Read scalars.json: one dictionary per line, the last one of each step.

    A resumed run has logged the interrupted epoch twice. Lines that a kill
    cut short are skipped, like values that are no finite numbers.
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
                if _is_number(value, MAX_COUNT if key in COUNTS else MAX_VALUE)
            }
            phase = 'train' if 'loss' in record else 'val'
            latest[phase, record.get('step')] = record
    return list(latest.values())


def _is_number(value: Any, maximum: float) -> bool:
    # NaN fails every comparison.
    return type(value) in (int, float) and abs(value) <= maximum


def phases(records: list[dict]) -> tuple[list[dict], list[dict]]:
    """The records of training, and those of validation after each epoch."""
    train = [
        r
        for r in records
        if all(key in r for key in TRAIN_KEYS) and r['epoch']
    ]
    val = [r for r in records if TOP1 in r and 'step' in r]
    return train, val


def draw_curves(scalars: Path, out: Path) -> None:
    """Draw losses, accuracy and learning rate over the epochs."""
    train, val = phases(read_scalars(scalars))
    if not train:
        return
    plt = _pyplot()
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout='constrained')
    for axis, title in zip(axes.flat, PANELS, strict=True):
        draw_panel(axis, title, train, val)
        axis.set_title(title)
        if title == ACCURACY and val:
            best = max(val, key=lambda record: record[TOP1])
            axis.set_title(
                f'{title} (best {best[TOP1]:.2f} in epoch {best["step"]})'
            )
    _save(plt, figure, out)


def draw_panel(axis, title: str, train: list[dict], val: list[dict]) -> None:
    """Draw the training and validation values of a panel."""
    train_key, val_key = PANELS[title]
    values = [record[train_key] for record in train if train_key in record]
    if title == LEARNING_RATE:
        axis.plot(epochs(train), values, color=BLUE)
        axis.set_ylim(bottom=0)
    elif values and len(values) == len(train):
        # A faint line of all values and a clear one of their running mean.
        axis.plot(epochs(train), values, color=BLUE, alpha=0.25, linewidth=1)
        mean = running_mean(values)
        axis.plot(epochs(train), mean, color=BLUE, label='training')
    if points := [record for record in val if val_key in record]:
        axis.plot(
            [record['step'] for record in points],
            [record[val_key] for record in points],
            color=ORANGE,
            marker='o',
            markersize=4,
            label='validation',
        )
    label_epochs(axis)
    axis.grid(alpha=0.3)
    axis.spines[['top', 'right']].set_visible(False)
    if len(axis.get_legend_handles_labels()[0]) > 1:
        axis.legend(frameon=False)


def draw_confusion(matrix: np.ndarray, classes: list[str], out: Path) -> None:
    """Draw a confusion matrix: rows are labels, columns predictions."""
    plt = _pyplot()
    count = len(classes)
    side = max(4.5, 0.55 * count + 2)
    figure, axis = plt.subplots(
        figsize=(min(side, 20), min(side, 20)), layout='constrained'
    )
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap='Blues', vmin=0, vmax=1)
    # A class name such as $x$ is no formula.
    axis.set_xticks(
        range(count), classes, rotation=45, ha='right', parse_math=False
    )
    axis.set_yticks(range(count), classes, parse_math=False)
    axis.set_xlabel('predicted')
    axis.set_ylabel('label')
    if count <= MAX_CLASSES_WITH_NUMBERS:
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
    # The import takes half a second.
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    return plt


def _save(plt, figure, out: Path) -> None:
    with replacing(out) as file:
        figure.savefig(file, format='png', dpi=110)
    plt.close(figure)


def epochs(train: list[dict]) -> list[float]:
    """The position of each training record in epochs.

    MMEngine logs the iteration and the number of the running epoch; the last
    record of an epoch gives the iterations per epoch.
    """
    last = {record['epoch']: record['step'] for record in train}
    per_epoch = max(step / epoch for epoch, step in last.items()) or 1
    return [record['step'] / per_epoch for record in train]


def running_mean(values: list[float]) -> np.ndarray:
    """Over a twentieth of the values; over fewer at the ends."""
    kernel = np.ones(max(1, len(values) // 20))
    return np.convolve(values, kernel, 'same') / np.convolve(
        np.ones(len(values)), kernel, 'same'
    )


def label_epochs(axis) -> None:
    """Label the x axis with whole epochs."""
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel('epoch')
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
