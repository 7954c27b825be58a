"""Numbers, units and metric names as the terminal and the pages show them."""

import re
import shlex
from datetime import datetime

NBSP = '\u00a0'
TOP1 = 'accuracy/top1'
BALANCED_ACCURACY = 'single-label/recall'  # the mean over the classes
PLAIN_NAMES = {
    TOP1: 'accuracy',
    BALANCED_ACCURACY: 'balanced accuracy',
    'single-label/precision': 'mean precision',
    'single-label/f1-score': 'macro F1',
}
# MMPretrain's metrics in percent, by the beginnings of their names.
IN_PERCENT = ('accuracy/', 'single-label/', 'multi-label/')


def name_of(metric: str) -> str:
    return PLAIN_NAMES.get(metric, metric)


def value_of(metric: str, score: float) -> str:
    is_count = metric.rpartition('/')[2].startswith('support')
    if metric.startswith(IN_PERCENT) and not is_count:
        return f'{score:.2f} %'
    return f'{score:.4g}'


def one_decimal(value: float) -> str:
    """One decimal; a value below 100 is never rounded up to 100."""
    if 99.95 <= value < 100:
        return f'{int(value * 100) / 100:.2f}'
    return '100' if value == 100 else f'{value:.1f}'


def whole(value: float) -> str:
    return f'{99 if 99 < value < 100 else value:.0f}'


def percent(value: float) -> str:
    return f'{one_decimal(value)}{NBSP}%'


def signed(value: float) -> str:
    # A small difference is never rounded to 0.0.
    places = 2 if 0 < abs(value) < 0.05 else 1
    return f'{value:+.{places}f}'.replace('-', '\u2212')


def plural(count: int, noun: str) -> str:
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


def duration(seconds: float) -> str:
    if seconds < 100:
        return f'{seconds:.0f}{NBSP}s'
    minutes = round(seconds / 60)
    if minutes < 100:
        return f'{minutes}{NBSP}min'
    return f'{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min'


def date(text: str) -> str:
    """An ISO date in words; any other text as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f'{when.day} {when:%B %Y}, {when:%H:%M}'


def command_lines(text: str) -> str:
    """Put each option of a long command on a line of its own."""
    if len(text) < 72:
        return text
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith('--') and lines[-1]:
            lines.append([])
        lines[-1].append(shlex.quote(word))
    return ' \\\n  '.join(' '.join(line) for line in lines)


def best_metric(run: dict) -> str:
    """The metric that chose the best epoch; empty for accuracy."""
    result = run['result']
    metric, score = result.get('best_metric'), result.get('best_score')
    if metric in (None, TOP1) or score is None:
        return ''
    return f'{metric} {value_of(metric, score)}'


def paragraphs(text: str) -> list[str]:
    """Split at blank lines; within a paragraph lines are joined.

    Escaped text (Jinja2's Markup) stays escaped.
    """
    parts = re.split(r'\n\s*\n', str(text))
    joined = [re.sub(r'[ \n]+', ' ', part).strip(' ') for part in parts]
    kind = type(text)
    return [kind(part) for part in joined if part]
