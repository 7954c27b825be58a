"""Charts as inline SVG with the colours of the page.

What matplotlib draws in the colours below becomes `var(--…)` of page.css, so
that one copy serves light, dark and print.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np

from flower_mm.report.formatting import TOP1
from flower_mm.report.learning_curves import (
    BLUE,
    ORANGE,
    PANELS,
    draw_panel,
    epochs,
    label_epochs,
    phases,
    running_mean,
)

INK, GREY = '#101112', '#808182'
GREEN, PURPLE, RED = '#2b8a3e', '#7b4bb3', '#b3364a'
RUNS = (BLUE, ORANGE, GREEN, PURPLE, RED)  # of compared runs
LINES = ('-', '--', ':')  # for more runs than colours
VARIABLES = {
    INK: 'var(--ink)',
    GREY: 'var(--grey)',
    BLUE: 'var(--blue)',
    ORANGE: 'var(--orange)',
    GREEN: 'var(--green)',
    PURPLE: 'var(--purple)',
    RED: 'var(--red)',
}
BINS, MAX_TICKS = 30, 8  # of a histogram
MAX_POINTS = 400  # of a training curve; more are invisible
STYLE = {
    'svg.fonttype': 'none',  # in the page's font
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans'],
    'font.size': 9,
    'text.parse_math': False,  # a run may be called $x$
    'text.color': INK,
    'axes.labelcolor': INK,
    'axes.edgecolor': GREY,
    'axes.facecolor': 'none',
    'figure.facecolor': 'none',
    'grid.color': GREY,
    'grid.alpha': 0.3,
    'xtick.color': GREY,
    'ytick.color': GREY,
    'xtick.labelcolor': INK,
    'ytick.labelcolor': INK,
    'legend.labelcolor': INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
}
NO_METADATA = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))


@dataclass(frozen=True)
class Chart:
    """A chart as SVG, with its title."""

    title: str
    svg: str
    values: tuple[float, ...] = ()  # for its description

    def __html__(self) -> str:
        """Mark the SVG as escaped for Jinja2."""
        return self.svg


def curves(records: list[dict]) -> list[Chart]:
    """Losses, accuracy and learning rate over the epochs of a run."""
    train, val = phases(records)
    if not train:
        return []
    train = train[:: 1 + len(train) // MAX_POINTS]
    charts = []
    for title, (train_key, val_key) in PANELS.items():
        values = [r[val_key] for r in val if val_key in r]
        values = values or [r[train_key] for r in train if train_key in r]
        if values:
            svg = draw(title, draw_panel, title, train, val)
            charts.append(Chart(title, svg, (values[0], values[-1])))
    return charts


def reliability(calibration: dict) -> Chart:
    """Accuracy by confidence."""
    title = 'Reliability diagram'
    return Chart(title, draw(title, _reliability, calibration))


def _reliability(axis, calibration: dict) -> None:
    rows = calibration['bins']
    x = [row['confidence'] for row in rows]
    y = [row['accuracy'] for row in rows]
    intervals = np.array([row['accuracy_interval'] for row in rows])
    low, high = intervals.T
    axis.plot([0, 100], [0, 100], color=GREY, linestyle='--', linewidth=1)
    axis.errorbar(
        x,
        y,
        yerr=np.maximum(0, [y - low, high - y]),
        color=BLUE,
        marker='o',
        markersize=4,
        elinewidth=0.8,
        linewidth=1,
    )
    axis.set_xlim(min(*x, 50) - 4, 102)
    axis.set_ylim(min(50, *low) - 2, 102)
    axis.set_xlabel('confidence, %')
    axis.set_ylabel('accuracy, %')
    axis.grid()


def selective_prediction(selective: dict) -> Chart:
    """Accuracy on the rest by the share that is not classified."""
    title = 'Selective prediction'
    return Chart(title, draw(title, _selective_prediction, selective))


def _selective_prediction(axis, selective: dict) -> None:
    # Beyond 60 % the accuracy of the few remaining photos is noise.
    shown = [point for point in selective['curve'] if point[0] <= 60]
    axis.plot(*zip(*shown, strict=True), color=BLUE)
    axis.plot(
        [row['abstention'] for row in selective['table']],
        [row['selective_accuracy'] for row in selective['table']],
        color=ORANGE,
        marker='o',
        markersize=5,
        linestyle='none',
    )
    axis.set_xlabel('left to a person, % of the photos')
    axis.set_ylabel('accuracy on the rest, %')
    axis.grid()


def size_histogram(sides: Sequence[float]) -> Chart:
    """Photos by their shorter side in pixels."""
    title = 'Shorter side, pixels'
    ticks = [2**power * part for power in range(5, 17) for part in (1, 1.5)]
    return Chart(title, draw(title, _histogram, sides, ticks))


def ratio_histogram(ratios: Sequence[float]) -> Chart:
    """Photos by width divided by height."""
    title = 'Width divided by height'
    ticks = (0.1, 0.2, 0.33, 0.5, 0.75, 1, 1.33, 2, 3, 5, 10)
    return Chart(title, draw(title, _histogram, ratios, ticks))


def _histogram(axis, values: Sequence[float], ticks: Sequence[float]) -> None:
    """Draw positive values on a logarithmic scale."""
    low, high = min(values) / 1.1, max(values) * 1.1
    axis.hist(values, np.geomspace(low, high, BINS + 1), color=BLUE)
    axis.set_xscale('log')
    axis.set_xlim(low, high)
    shown = [tick for tick in ticks if low <= tick <= high]
    shown = shown[:: 1 + len(shown) // MAX_TICKS]
    axis.set_xticks(shown, [f'{tick:g}' for tick in shown])
    axis.minorticks_off()
    axis.set_ylabel('photos')
    axis.grid(axis='y')


def compared_curves(runs: list[tuple[str, list[dict]]]) -> list[Chart]:
    """Validation accuracy and training loss of several runs."""
    curves = [phases(records) for _, records in runs]
    charts = []
    for title, function, phase in (
        ('Validation accuracy, %', _accuracies, 1),
        ('Training loss', _losses, 0),
    ):
        if any(records[phase] for records in curves):
            records = [records[phase] for records in curves]
            charts.append(Chart(title, draw(title, function, records)))
    return charts


def _accuracies(axis, runs: list[list[dict]]) -> None:
    for number, val in enumerate(runs):
        axis.plot(
            [record['step'] for record in val],
            [record[TOP1] for record in val],
            marker='o',
            markersize=3,
            **_pen(number),
        )
    label_epochs(axis)
    axis.grid()


def _losses(axis, runs: list[list[dict]]) -> None:
    for number, train in enumerate(runs):
        if train:
            loss = running_mean([record['loss'] for record in train])
            step = 1 + len(train) // MAX_POINTS
            axis.plot(epochs(train)[::step], loss[::step], **_pen(number))
    label_epochs(axis)
    axis.grid()


def _pen(number: int) -> dict:
    return {
        'color': RUNS[number % len(RUNS)],
        'linestyle': LINES[number // len(RUNS) % len(LINES)],
    }


def line_style(number: int) -> tuple[str, str]:
    """Colour and dashes of a run's line, for the legend in HTML."""
    pen = _pen(number)
    dashes = {'-': 'none', '--': '6 4', ':': '2 4'}[pen['linestyle']]
    return VARIABLES[pen['color']], dashes


def draw(
    title: str,
    function: Callable,
    *args: object,
    size: tuple[float, float] = (3.6, 2.5),
) -> str:
    """Return the SVG of what a function draws on an axis."""
    import matplotlib
    from matplotlib.figure import Figure

    text = StringIO()
    # With a salt of its own no id of a chart is in another one.
    with (
        # The stubs want literal keys.
        matplotlib.rc_context(
            STYLE | {'svg.hashsalt': title}  # type: ignore[arg-type]
        ),
        warnings.catch_warnings(),
    ):
        # matplotlib measures with its own font, which lacks some glyphs.
        warnings.filterwarnings('ignore', 'Glyph .* missing')
        figure = Figure(figsize=size, layout='constrained')
        function(figure.subplots(), *args)
        figure.savefig(text, format='svg', metadata=NO_METADATA)
    return _with_page_style(text.getvalue())


def _with_page_style(svg: str) -> str:
    svg = svg[svg.index('<svg ') :]
    svg = re.sub(r'<defs>\s*<style.*?</style>\s*</defs>', '', svg, count=1)
    view = re.findall(r'viewBox="([\d. ]+)"', svg)[0]
    # The element around it has the description.
    start = f'<svg aria-hidden="true" viewBox="{view}">'
    svg = re.sub('<svg [^>]*>', start, svg, count=1)
    # Ids of groups, which nothing refers to.
    svg = re.sub(r' id="[a-z0-9.]+_\d+"', '', svg)
    svg = re.sub(r"font-family: 'DejaVu Sans', sans-serif;? ?", '', svg)
    svg = svg.replace('xlink:href', 'href')
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r'\s+', ' ', svg)
