"""Jinja2 environments for the pages and for the model card."""

from importlib import resources
from typing import TYPE_CHECKING

from flower_mm.report import formatting

if TYPE_CHECKING:
    import jinja2

TEMPLATES = resources.files('flower_mm.report') / 'templates'


def environment(*, autoescape: bool, **templates: str) -> 'jinja2.Environment':
    """An environment with our templates and filters.

    Args:
        autoescape: Whether values are escaped as HTML.
        templates: Further templates, by name.
    """
    import jinja2  # not needed by runs without a report

    def source(name: str) -> str:
        if name in templates:
            return templates[name]
        return (TEMPLATES / name).read_text(encoding='utf-8')

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters |= {
        'one': formatting.one_decimal,
        'whole': formatting.whole,
        'percent': formatting.percent,
        'signed': formatting.signed,
        'plural': formatting.plural,
        'duration': formatting.duration,
        'date': formatting.date,
        'paragraphs': formatting.paragraphs,
        'css': lambda value: f'{value:.2f}',
    }
    return made
