"""scalars.json, and curves.png and confusion_matrix.png drawn from a run."""

import json
from pathlib import Path

import numpy as np

from flower_mm.files import replacing
from flower_mm.report.formatting import TOP1

BLUE, ORANGE = '#1f6fb4', '#d1660a'
COUNTS, MAX_COUNT = ('epoch', 'step'), 1e12
MAX_VALUE = 1e30  # matplotlib adds and multiplies
TRAIN_KEYS = ('loss', 'lr', 'epoch', 'step')  # of each training record
MAX_CLASSES_WITH_NUMBERS = 30  # in a confusion matrix


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


def _is_number(value: object, maximum: float) -> bool:
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
    titles = ('training loss', 'validation loss', _best_epoch(val))
    for axis, draw, title in zip(
        axes.flat, PANELS.values(), (*titles, 'learning rate'), strict=True
    ):
        draw(axis, train, val)
        axis.set_title(title)
    _save(plt, figure, out)


def _best_epoch(val: list[dict]) -> str:
    if not val:
        return 'accuracy, %'
    best = max(val, key=lambda record: record[TOP1])
    return f'accuracy, % (best {best[TOP1]:.2f} in epoch {best["step"]})'


# Training loss includes label smoothing and augmentation, validation loss is
# plain cross-entropy: two quantities, so two panels.


def draw_train_loss(axis, train: list[dict], val: list[dict]) -> None:
    _line(axis, epochs(train), [r['loss'] for r in train])
    _finish(axis)


def draw_val_loss(axis, train: list[dict], val: list[dict]) -> None:
    _points(axis, val, 'cross_entropy')
    _finish(axis)


def draw_accuracy(axis, train: list[dict], val: list[dict]) -> None:
    if all('accuracy_top-1' in r for r in train):
        _line(axis, epochs(train), [r['accuracy_top-1'] for r in train])
    _points(axis, val, TOP1)
    _finish(axis)


def draw_learning_rate(axis, train: list[dict], val: list[dict]) -> None:
    axis.plot(epochs(train), [r['lr'] for r in train], color=BLUE)
    axis.set_ylim(bottom=0)
    _finish(axis)


PANELS = {
    'Training loss': draw_train_loss,
    'Validation loss': draw_val_loss,
    'Accuracy, %': draw_accuracy,
    'Learning rate': draw_learning_rate,
}


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


def _line(axis, x: list, y: list) -> None:
    """A faint line of all values and a clear one of their running mean."""
    axis.plot(x, y, color=BLUE, alpha=0.25, linewidth=1)
    axis.plot(x, running_mean(y), color=BLUE, label='training')


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
    if len(axis.get_legend_handles_labels()[0]) > 1:
        axis.legend(frameon=False)
