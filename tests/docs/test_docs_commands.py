"""Every command and flag in the documentation exists."""

import argparse
import json
import os
import re
import runpy
from unittest import mock

import pytest
from docs.pages import PAGES, SCRIPTS, blocks, commands
from helpers import ROOT

NOTEBOOK = ROOT / 'docs' / 'notebooks' / 'flowers.ipynb'
OTHER_PAGES = {'coming_from.md'}  # names the flags of other projects


class ParserFound(BaseException):
    pass


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a script, at the moment when it reads its arguments."""

    def parse_known_args(parser: argparse.ArgumentParser, *_: object) -> None:
        raise ParserFound(parser)

    script = ROOT / 'tools' / f'{SCRIPTS[name]}.py'
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(
            argparse.ArgumentParser, 'parse_known_args', parse_known_args
        ),
    ):
        try:
            runpy.run_path(str(script), run_name='__main__')
        except ParserFound as found:
            return found.args[0]
    raise AssertionError(f'{script} reads no arguments')


PARSERS = {name: parser_of(name) for name in SCRIPTS}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_the_commands_can_be_parsed(page):
    for code in (*blocks(page, 'bash'), *blocks(page, '')):
        for name, words in commands(code):
            PARSERS[name].parse_args(words)


def test_the_commands_in_the_notebook_can_be_parsed():
    notebook = json.loads(NOTEBOOK.read_text(encoding='utf-8'))
    code = '\n'.join(''.join(cell['source']) for cell in notebook['cells'])
    found = commands(code.replace('{OPTIONS}', ''))
    assert len(found) == 4
    for name, words in found:
        PARSERS[name].parse_args(words)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_the_names_in_the_text_exist(page):
    text = page.read_text(encoding='utf-8')
    for name in re.findall(r'`flower-mm (\w+)', text):
        assert name in SCRIPTS, name
    if page.name in OTHER_PAGES:
        return
    known = {
        flag
        for parser in PARSERS.values()
        for action in parser._actions
        for flag in action.option_strings
    }
    named = set(re.findall(r'`(--[a-z-]+)', text))
    unknown = {f for f in named if not any(k.startswith(f) for k in known)}
    assert not unknown


def test_the_commands_of_make_exist():
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    for page in PAGES:
        for code in blocks(page, 'bash'):
            for target in re.findall(r'^make ([\w-]+)', code, re.MULTILINE):
                assert re.search(rf'^{target}:', makefile, re.M), target
