"""The picture of `pick`: accuracy against speed."""

from pathlib import Path

from flower_mm.files import replacing
from flower_mm.pick.results import Result
from flower_mm.report.charts import GREY, STYLE
from flower_mm.report.learning_curves import BLUE, ORANGE

SPACING = 0.24  # inches between two names


def draw_picture(ranked: list[Result], out: Path) -> None:
    """Draw accuracies with intervals, and a column of names at the right.

    Those that are worse than the best one beyond chance are orange.
    """
    import matplotlib
    from matplotlib.figure import Figure

    lows, highs = zip(*(result.interval for result in ranked), strict=True)
    bottom, top = min(lows) - 0.5, min(max(highs) + 0.5, 100.5)
    inches = max(3.5, 1 + SPACING * len(ranked))
    place = 1 + SPACING / inches
    # The stubs want literal keys.
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure((8, inches), layout='constrained', facecolor='white')
        axis = figure.subplots()
        for number, result in enumerate(ranked):
            x, y = result.photos_per_second, result.accuracy
            low, high = result.interval
            axis.errorbar(
                *(x, y, [[y - low], [high - y]]),
                color=ORANGE if result.is_worse else BLUE,
                marker='o',
                elinewidth=0.8,
            )
            # Beside its point, unless names above need the place.
            place = min(
                place - SPACING / inches, (y - bottom) / (top - bottom)
            )
            least = (len(ranked) - 1 - number) * SPACING / inches
            place = max(place, least)
            axis.annotate(
                f'{result.name}  {y:.1f}',
                *((x, y), (1.03, place)),
                textcoords='axes fraction',
                va='center',
                arrowprops={'arrowstyle': '-', 'color': GREY, 'lw': 0.4},
            )
        axis.set_xscale('log')
        axis.xaxis.set_major_formatter('{x:g}')
        axis.xaxis.set_minor_formatter('{x:g}')
        axis.set_ylim(bottom, top)
        axis.set_xlabel('images per second in the network')
        axis.set_ylabel('accuracy and 95 % interval, linear probe')
        axis.grid(which='both')
        if any(result.is_worse for result in ranked):
            axis.set_title('orange: worse than the best one beyond chance')
        with replacing(out) as file:
            figure.savefig(file, format='png', dpi=110)
