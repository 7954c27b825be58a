"""The table of formats in the documentation is that of the code."""

import re
from pathlib import Path

from helpers import ROOT

from flower_mm.prepare.sources import listing
from flower_mm.prepare.sources.recognise import FORMATS

SOURCES = Path(listing.__file__).parent


def rows() -> list[str]:
    page = (ROOT / 'docs' / 'photos.md').read_text('utf-8')
    table = page.partition('| format |')[2].partition('\n\n')[0]
    return re.findall(r'^\| ([^|]+) \|', table, re.MULTILINE)[1:]


def test_every_format_has_a_row():
    formats = {
        value
        for name, value in vars(listing).items()
        if name.isupper() and isinstance(value, str) and name != 'BAD_NAME'
    }
    assert set(rows()) == formats
    assert len(rows()) == len(formats) == len(FORMATS)


def test_every_refusal_of_a_format_names_a_row():
    plain = {
        path.name
        for path in SOURCES.glob('*.py')
        if 'raise UserError' in path.read_text('utf-8')
    }
    assert plain == set()
