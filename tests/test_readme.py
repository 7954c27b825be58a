"""The README says what is so."""

import re

import pytest
from helpers import ROOT

from benchmarks import readme

TEXT = (ROOT / 'README.md').read_text(encoding='utf-8')


@pytest.mark.parametrize(
    'page', readme.PAGES, ids=lambda page: page.parent.name
)
def test_the_results_are_those_of_the_csv(page):
    assert readme.with_results(page) == page.read_text('utf-8'), (
        'write it anew: python -m benchmarks.readme'
    )


def test_every_path_in_the_map_is_there():
    where = TEXT.partition('## Where things are')[2]
    paths = re.findall(r'^\| `([^`]+)`', where, re.MULTILINE)
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists(), path


def test_every_tool_and_config_in_the_commands_is_there():
    named = set(re.findall(r'(?:tools|configs)/[\w/]+\.(?:py|sh)', TEXT))
    assert len(named) > 5
    for path in named:
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize('name', ['train', 'test', 'demo', 'lint', 'lock'])
def test_make_knows_the_targets(name):
    assert re.search(rf'^{name}:', (ROOT / 'Makefile').read_text(), re.M)
