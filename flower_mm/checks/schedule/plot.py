"""A small picture of the rate over the run."""

from pathlib import Path

import numpy as np

from flower_mm.checks.case import Case
from flower_mm.checks.schedule.rate import ImpossibleError, Rate, short
from flower_mm.errors import UserError
from flower_mm.files import replacing

BLUE = '#1f6fb4'


def draw_rate(case: Case, out: Path) -> None:
    """Draw the highest rate of all weights as a .png.

    With some weights slower than others, as layer decay has it, the curves
    are alike.
    """
    try:
        curve = Rate(case).curve(thorough=True)
    except ImpossibleError as error:
        raise UserError(f'there is no rate to draw: {error}') from error
    if curve is None:
        raise UserError(
            'there is no rate to draw: it follows a metric, or there are '
            'several optimizers'
        )
    # Half a second of import that only those who draw pay.
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3), layout='constrained')
    epochs = np.arange(len(curve.rates)) / curve.per_epoch
    axis.plot(epochs, curve.rates, color=BLUE)
    axis.set_title(
        f'learning rate: {short(curve.highest)} at most, '
        f'{short(curve.last)} at the end'
    )
    axis.set_xlabel('epoch')
    axis.set_xlim(0, len(curve.rates) / curve.per_epoch)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.spines[['top', 'right']].set_visible(False)
    with replacing(out) as file:
        figure.savefig(file, format='png', dpi=110)
    plt.close(figure)
