"""Charts as inline SVG with the colours of the page.

What matplotlib draws in the colours below becomes `var(--…)` of page.css, so
that one copy serves light, dark and print.
"""

import html
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from flower_mm.report.formatting import TOP1
from flower_mm.report.learning_curves import (
    BLUE,
    ORANGE,
    PANELS,
    epochs,
    phases,
    running_mean,
    whole_epochs,
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
    title: str
    svg: str

    def __html__(self) -> str:
        """Mark the SVG as escaped for Jinja2."""
        return self.svg


def curves(records: list[dict]) -> list[Chart]:
    """Losses, accuracy and learning rate over the epochs of a run."""
    train, val = phases(records)
    if not train:
        return []
    train = train[:: 1 + len(train) // MAX_POINTS]
    losses = [record['loss'] for record in train]
    rates = [record['lr'] for record in train]
    values = {
        'Training loss': f'from {losses[0]:.2f} to {losses[-1]:.2f}',
        'Learning rate': f'maximum {max(rates):.2g}, last {rates[-1]:.2g}',
    }
    if entropies := [r['cross_entropy'] for r in val if 'cross_entropy' in r]:
        first, last = entropies[0], entropies[-1]
        values['Validation loss'] = f'from {first:.2f} to {last:.2f}'
    tops = [record[TOP1] for record in val]
    values['Accuracy, %'] = 'of training'
    if tops:
        values['Accuracy, %'] = (
            f'validation from {tops[0]:.1f} % to {tops[-1]:.1f} %, best '
            f'{max(tops):.1f} %'
        )
    return [
        _draw(
            title,
            f'{title} over the epochs: {values[title]}',
            draw,
            train,
            val,
        )
        for title, draw in PANELS.items()
        if title in values
    ]


def reliability(calibration: dict) -> Chart:
    """Accuracy by confidence."""
    alt = 'Accuracy by confidence: ' + '; '.join(
        f'confidence {row["confidence"]:.0f} %, accuracy '
        f'{row["accuracy"]:.0f} %'
        for row in calibration['bins']
    )
    return _draw('Reliability diagram', alt, _reliability, calibration)


def _reliability(axis, found: dict) -> None:
    rows = found['bins']
    x = [row['confidence'] for row in rows]
    y = [row['accuracy'] for row in rows]
    low = [max(0, row['accuracy'] - row['interval'][0]) for row in rows]
    high = [max(0, row['interval'][1] - row['accuracy']) for row in rows]
    axis.plot([0, 100], [0, 100], color=GREY, linestyle='--', linewidth=1)
    axis.errorbar(
        x,
        y,
        yerr=[low, high],
        color=BLUE,
        marker='o',
        markersize=4,
        elinewidth=0.8,
        linewidth=1,
    )
    axis.set_xlim(min(*x, 50) - 4, 102)
    axis.set_ylim(min(50, *(row['interval'][0] for row in rows)) - 2, 102)
    axis.set_xlabel('confidence, %')
    axis.set_ylabel('accuracy, %')
    axis.grid()


def selective_prediction(found: dict) -> Chart:
    """Accuracy on the rest by the share that a person classifies."""
    alt = 'Accuracy on the rest when a person classifies ' + '; '.join(
        f'{row["share"]} %: {row["top1_of_the_rest"]:.1f} %'
        for row in found['table']
    )
    return _draw('Selective prediction', alt, _selective_prediction, found)


def _selective_prediction(axis, found: dict) -> None:
    # Beyond 60 % the accuracy of the few remaining photos is noise.
    shown = [point for point in found['curve'] if point[0] <= 60]
    axis.plot(*zip(*shown, strict=True), color=BLUE)
    axis.plot(
        [row['share'] for row in found['table']],
        [row['top1_of_the_rest'] for row in found['table']],
        color=ORANGE,
        marker='o',
        markersize=5,
        linestyle='none',
    )
    axis.set_xlabel('left to a person, % of the photos')
    axis.set_ylabel('accuracy on the rest, %')
    axis.grid()


def compared_curves(runs: list[tuple[str, list[dict]]]) -> list[Chart]:
    """Validation accuracy and training loss of several runs."""
    found = [(name, *phases(records)) for name, records in runs]
    names = ', '.join(name for name, _ in runs)
    charts = []
    if any(val for _, _, val in found):
        alt = f'Validation accuracy over the epochs of {names}'
        charts.append(_draw('Validation accuracy, %', alt, _accuracies, found))
    if any(train for _, train, _ in found):
        alt = f'Training loss over the epochs of {names}'
        charts.append(_draw('Training loss', alt, _losses, found))
    return charts


def _accuracies(axis, runs: list) -> None:
    for number, (_, _, val) in enumerate(runs):
        if val:
            axis.plot(
                [r['step'] for r in val],
                [r[TOP1] for r in val],
                marker='o',
                markersize=3,
                **_pen(number),
            )
    _finish(axis)


def _losses(axis, runs: list) -> None:
    for number, (_, train, _) in enumerate(runs):
        if train:
            loss = running_mean([r['loss'] for r in train])
            step = 1 + len(train) // MAX_POINTS
            axis.plot(epochs(train)[::step], loss[::step], **_pen(number))
    _finish(axis)


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


def _finish(axis) -> None:
    whole_epochs(axis)
    axis.grid()


def _draw(title: str, alt: str, draw: Callable, *facts: object) -> Chart:
    import matplotlib
    from matplotlib.figure import Figure

    text = StringIO()
    # With a salt of its own no id of a chart is in another one.
    with (
        matplotlib.rc_context(STYLE | {'svg.hashsalt': title}),
        warnings.catch_warnings(),
    ):
        # matplotlib measures with its own font, which lacks some glyphs.
        warnings.filterwarnings('ignore', 'Glyph .* missing')
        figure = Figure(figsize=(3.6, 2.5), layout='constrained')
        draw(figure.subplots(), *facts)
        figure.savefig(text, format='svg', metadata=NO_METADATA)
    return Chart(title, _with_page_style(text.getvalue(), alt))


def _with_page_style(svg: str, alt: str) -> str:
    svg = svg[svg.index('<svg ') :]
    svg = re.sub(r'<defs>\s*<style.*?</style>\s*</defs>', '', svg, count=1)
    view = re.search(r'viewBox="([\d. ]+)"', svg).group(1)
    label = html.escape(alt, quote=True)
    svg = re.sub(
        '<svg [^>]*>',
        lambda _: f'<svg role="img" aria-label="{label}" viewBox="{view}">',
        svg,
        count=1,
    )
    # Ids of groups, which nothing refers to.
    svg = re.sub(r' id="[a-z0-9.]+_\d+"', '', svg)
    svg = re.sub(r"font-family: 'DejaVu Sans', sans-serif;? ?", '', svg)
    svg = svg.replace('xlink:href', 'href')
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r'\s+', ' ', svg)
