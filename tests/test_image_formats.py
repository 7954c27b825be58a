"""Every picture is opened with a list of formats.

Without one Pillow takes EPS as well, for which it starts Ghostscript.
"""

import ast

import pytest
from helpers import ROOT

SOURCES = sorted(
    path
    for folder in ('flower_mm', 'tools', 'configs')
    for path in (ROOT / folder).rglob('*.py')
)


def without_formats(source: str) -> list[int]:
    """The lines that call `Image.open` with any format allowed."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ('Image.open', 'PIL.Image.open')
        and 'formats' not in {keyword.arg for keyword in node.keywords}
    ]


def test_all_sources_name_the_formats():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := without_formats(path.read_text('utf-8')))
    }
    assert found == {}


@pytest.mark.parametrize(
    ('source', 'lines'),
    [
        ('Image.open(path)', [1]),
        ('\nwith PIL.Image.open(path) as x: pass', [2]),
        ("Image.open(path, formats=('PNG',))", []),
        ('path.open()', []),
    ],
)
def test_a_call_without_formats_is_noticed(source, lines):
    assert without_formats(source) == lines
