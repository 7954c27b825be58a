"""The report's drawings: SVG that takes its colours from the page.

Inline, so that one copy serves light, dark and paper: what matplotlib draws
in the colours below becomes `var(--…)` of the page's style.
"""

import html
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from flower_mm.report.learning_curves import (
    BLUE,
    ORANGE,
    draw_accuracy,
    draw_loss,
    draw_rate,
    epochs,
    phases,
    running_mean,
    whole_epochs,
)

INK, GREY = '#101112', '#808182'  # stand for the page's own
GREEN, PURPLE, RED = '#2b8a3e', '#7b4bb3', '#b3364a'
RUNS = (BLUE, ORANGE, GREEN, PURPLE, RED)  # of runs that are compared
LINES = ('-', '--', ':')  # when the colours are used up
VARIABLES = {
    INK: 'var(--ink)',
    GREY: 'var(--grey)',
    BLUE: 'var(--blue)',
    ORANGE: 'var(--orange)',
    GREEN: 'var(--green)',
    PURPLE: 'var(--purple)',
    RED: 'var(--red)',
}
POINTS = 400  # of a training curve; more are not to be seen
STYLE = {
    'svg.fonttype': 'none',  # text stays text, in the page's font
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans'],
    'font.size': 9,
    'text.parse_math': False,  # the name of a run is no formula
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
class Picture:
    title: str
    svg: str

    def __html__(self) -> str:
        """For Jinja2: all text in there is escaped already."""
        return self.svg


def curves(records: list[dict]) -> list[Picture]:
    """Loss, accuracy and rate over the epochs of a run."""
    train, val = phases(records)
    if not train:
        return []
    train = train[:: 1 + len(train) // POINTS]
    end = f'after {val[-1]["step"]} epochs' if val else 'of the training'
    loss = f'Loss of training, {train[0]["loss"]:.2f} at first and '
    loss += f'{train[-1]["loss"]:.2f} {end}'
    accuracy = 'Accuracy over the epochs'
    if val:
        tops = [record['accuracy/top1'] for record in val]
        accuracy += (
            f': validation {tops[0]:.1f} % in the first, {max(tops):.1f} % '
            f'at best, {tops[-1]:.1f} % in the last'
        )
    rates = [record['lr'] for record in train]
    rate = (
        f'Learning rate: {max(rates):.2g} at most, {rates[-1]:.2g} at the end'
    )
    return [
        _draw(title, alt, draw, train, val)
        for title, alt, draw in (
            ('Loss', loss, draw_loss),
            ('Accuracy, %', accuracy, draw_accuracy),
            ('Learning rate', rate, draw_rate),
        )
    ]


def reliability(calibration: dict) -> Picture:
    """Accuracy by stated confidence."""
    alt = 'Accuracy by stated confidence: ' + '; '.join(
        f'said {row["confidence"]:.0f} %, right {row["accuracy"]:.0f} %'
        for row in calibration['bins']
    )
    return _draw(
        'Stated confidence and accuracy, %', alt, _reliability, calibration
    )


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
    axis.set_xlabel('stated confidence, %')
    axis.set_ylabel('right, %')
    axis.grid()


def handed_over(found: dict) -> Picture:
    """Accuracy on the rest by the share that a person takes."""
    alt = 'Accuracy on the rest when a person takes ' + '; '.join(
        f'{row["share"]} %: {row["top1_of_the_rest"]:.1f} %'
        for row in found['table']
    )
    return _draw('Accuracy on the rest, %', alt, _handed_over, found)


def _handed_over(axis, found: dict) -> None:
    # The last few photos' accuracy jumps between 0 and 100.
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
    axis.set_xlabel('handed to a person, % of the photos')
    axis.set_ylabel('right on the rest, %')
    axis.grid()


def compared(runs: list[tuple[str, list[dict]]]) -> list[Picture]:
    """Validation accuracy and training loss of several runs."""
    found = [(name, *phases(records)) for name, records in runs]
    names = ', '.join(name for name, _ in runs)
    pictures = []
    if any(val for _, _, val in found):
        alt = f'Validation accuracy over the epochs of {names}'
        pictures.append(
            _draw('Validation accuracy, %', alt, _accuracies, found)
        )
    if any(train for _, train, _ in found):
        alt = f'Training loss over the epochs of {names}'
        pictures.append(_draw('Training loss', alt, _losses, found))
    return pictures


def _accuracies(axis, runs: list) -> None:
    for number, (_, _, val) in enumerate(runs):
        if val:
            axis.plot(
                [r['step'] for r in val],
                [r['accuracy/top1'] for r in val],
                marker='o',
                markersize=3,
                **_pen(number),
            )
    _finish(axis)


def _losses(axis, runs: list) -> None:
    for number, (_, train, _) in enumerate(runs):
        if train:
            loss = running_mean([r['loss'] for r in train])
            step = 1 + len(train) // POINTS
            axis.plot(epochs(train)[::step], loss[::step], **_pen(number))
    _finish(axis)


def _pen(number: int) -> dict:
    return {
        'color': RUNS[number % len(RUNS)],
        'linestyle': LINES[number // len(RUNS) % len(LINES)],
    }


def colour(number: int) -> tuple[str, str]:
    """Colour and dashes of a run's line, for the page's own key."""
    pen = _pen(number)
    dashes = {'-': 'none', '--': '6 4', ':': '2 4'}[pen['linestyle']]
    return VARIABLES[pen['color']], dashes


def _finish(axis) -> None:
    whole_epochs(axis)
    axis.grid()


def _draw(title: str, alt: str, draw: Callable, *facts: object) -> Picture:
    import matplotlib
    from matplotlib.figure import Figure

    text = StringIO()
    # Ids that come from the content would be the same in two pictures.
    with (
        matplotlib.rc_context(STYLE | {'svg.hashsalt': title}),
        warnings.catch_warnings(),
    ):
        # It measures with its own font; the page's has what that lacks.
        warnings.filterwarnings('ignore', 'Glyph .* missing')
        figure = Figure(figsize=(3.6, 2.5), layout='constrained')
        draw(figure.subplots(), *facts)
        figure.savefig(text, format='svg', metadata=NO_METADATA)
    return Picture(title, _for_the_page(text.getvalue(), alt))


def _for_the_page(svg: str, alt: str) -> str:
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
    # Names of groups; what is referred to has another form.
    svg = re.sub(r' id="[a-z0-9.]+_\d+"', '', svg)
    svg = re.sub(r"font-family: 'DejaVu Sans', sans-serif;? ?", '', svg)
    svg = svg.replace('xlink:href', 'href')
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r'\s+', ' ', svg)
