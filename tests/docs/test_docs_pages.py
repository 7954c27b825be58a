"""Links lead somewhere, and both languages say the same."""

import ast
import importlib
import json
import re
import subprocess
import sys

import pytest
from docs.pages import PAGES, blocks
from helpers import ROOT

LINK = re.compile(r'\]\((?!https?:|#)([^)#\s]+)')
README, CHINESE = ROOT / 'README.md', ROOT / 'README_zh-CN.md'
MADE_BY_MKDOCS = {'imports.svg'}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text(encoding='utf-8')):
        if target not in MADE_BY_MKDOCS:
            assert (page.parent / target).exists(), target


def test_what_python_examples_import_exists():
    for page in PAGES:
        for code in blocks(page, 'python'):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom):
                    module = importlib.import_module(node.module)
                    for alias in node.names:
                        assert hasattr(module, alias.name), (page, alias.name)


def test_every_page_is_in_the_navigation():
    nav = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
    for page in (ROOT / 'docs').glob('*.md'):
        assert f': {page.name}\n' in nav, page.name


def test_the_page_explains_each_section_of_the_report():
    page = (ROOT / 'docs' / 'report.md').read_text(encoding='utf-8')
    templates = ROOT / 'flower_mm' / 'report' / 'templates'
    report = (templates / 'report.html.j2').read_text(encoding='utf-8')
    sections = re.findall(r'<h2>([^:<]+)', report)
    assert len(sections) > 5
    for section in sections:
        assert f'\n## {section}\n' in page, section


def test_readme_is_short():
    assert len(README.read_text(encoding='utf-8').splitlines()) <= 120
    assert (ROOT / 'docs' / 'report.png').stat().st_size < 300_000


def test_both_readmes_have_the_same_code_links_and_sections():
    english, chinese = (
        page.read_text(encoding='utf-8') for page in (README, CHINESE)
    )
    for language in ('bash', 'python'):
        codes = [
            [re.sub('#.*', '', code) for code in blocks(page, language)]
            for page in (README, CHINESE)
        ]
        assert codes[0] == codes[1]
    others = {'README.md', 'README_zh-CN.md'}
    assert set(LINK.findall(english)) - others == (
        set(LINK.findall(chinese)) - others
    )
    assert english.count('\n## ') == chinese.count('\n## ')


def test_the_results_are_those_of_the_csv_files():
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.readme', '--check'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (
        f'outdated: {done.stdout}{done.stderr}'
        'update them: python -m benchmarks.readme'
    )


@pytest.mark.nightly
def test_mmengine_gives_the_error_that_its_page_answers(tmp_path):
    page = ROOT / 'docs' / 'errors.md'
    config = "_base_ = 'flower_mm::flower/resnet50_flower.py'\n"
    (tmp_path / 'my_config.py').write_text(config)
    solution, other_config = blocks(page, 'python')

    def run(code: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-c', code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    mmengine = (
        'from mmengine.config import Config\n'
        "cfg = Config.fromfile('my_config.py')"
    )
    alone = run(mmengine)
    message = alone.stderr.strip().splitlines()[-1]
    assert f'`{message}`' in page.read_text(encoding='utf-8')
    solved = run(f"{solution}\nassert cfg.model.type == 'ImageClassifier'")
    assert solved.returncode == 0, solved.stderr
    (tmp_path / 'my_config.py').write_text(other_config)
    solved = run(f"{mmengine}\nassert cfg.model.type == 'ImageClassifier'")
    assert solved.returncode == 0, solved.stderr


def test_the_notebook_has_no_outputs():
    path = ROOT / 'docs' / 'notebooks' / 'flowers.ipynb'
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        if cell['cell_type'] == 'code':
            assert not cell['outputs']
            assert cell['execution_count'] is None
