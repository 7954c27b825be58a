"""Each check has a text, and each text a check."""

import sys

import pytest
from helpers import ROOT

sys.path.insert(0, str(ROOT / 'docs' / 'hooks'))
import check_pages

TABLE = ROOT / 'flower_mm' / 'checks' / 'codes.py'


def test_the_texts_are_those_of_the_table():
    if not TABLE.is_file():
        pytest.skip('the checks have no table of codes yet')
    titles = {title for title, _ in check_pages.codes(TABLE).values()}
    assert set(check_pages.texts()) == titles


def test_each_text_names_a_fix():
    for title, text in check_pages.texts().items():
        assert text.count('**Fix:**') == 1, title


def test_a_page_has_code_title_severity_and_text(tmp_path):
    table = tmp_path / 'codes.py'
    table.write_text(
        'CODES: dict = {\n'
        "    'LR001': ('long warm-up', _WARNING),\n"
        "    'HW001': ('unused GPUs', _NOTE),\n"
        '}\n'
    )
    pages = dict(check_pages.pages(table))
    assert set(pages) == {'checks/LR001.md', 'checks/HW001.md'}
    text = pages['checks/LR001.md']
    assert text.startswith('# LR001: long warm-up\n\nUsual severity: warning.')
    assert check_pages.texts()['long warm-up'].strip() in text
    overview = check_pages.overview(table)
    assert '| [HW001](checks/HW001.md) | unused GPUs | note |' in overview
