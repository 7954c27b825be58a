"""A small plot of the learning rate over the run."""

from pathlib import Path

import numpy as np

from flower_mm.checks.context import CheckContext
from flower_mm.checks.learning_rate import LearningRate, ScheduleError, short
from flower_mm.errors import UserError
from flower_mm.files import replacing

BLUE = '#1f6fb4'


def draw_learning_rate(ctx: CheckContext, out: Path) -> None:
    """Draw the highest learning rate of all parameters as a .png.

    With layer decay, the curves of the others have the same shape.
    """
    try:
        curve = LearningRate(ctx).curve()
    except ScheduleError as error:
        raise UserError(f'the schedule cannot be built: {error}') from error
    if curve is None:
        raise UserError(
            'the learning rate cannot be drawn: it follows a metric, or '
            'there are several optimizers'
        )
    # Half a second of import that only those who draw need.
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3), layout='constrained')
    epochs = np.arange(len(curve.values)) / curve.per_epoch
    axis.plot(epochs, curve.values, color=BLUE)
    axis.set_title(
        f'learning rate: {short(curve.highest)} at most, '
        f'{short(curve.last)} at the end'
    )
    axis.set_xlabel('epoch')
    axis.set_xlim(0, len(curve.values) / curve.per_epoch)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.spines[['top', 'right']].set_visible(False)
    with replacing(out) as file:
        figure.savefig(file, format='png', dpi=110)
    plt.close(figure)
