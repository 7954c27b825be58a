"""The notebook goes from photos to a shared model."""

import json
import re
import sys
from pathlib import Path

import pytest
from docs.pages import SCRIPTS
from helpers import ROOT, tool

NOTEBOOK = ROOT / 'docs' / 'notebooks' / 'flowers.ipynb'
SETTINGS = """
CONFIG = {config!r}
OPTIONS = '--epochs 1 --from-scratch'
PHOTOS = {photos!r}
"""


def run_shell(line: str) -> None:
    """Run a line that begins with `!`, which has to succeed."""
    name, *words = line.removeprefix('flower-mm ').split()
    assert name in SCRIPTS
    print(tool(SCRIPTS[name], *words).stdout)


@pytest.mark.nightly
def test_the_cells_run_on_the_demo_photos(tmp_path, monkeypatch):
    """Without Colab, network and Jupyter, whose cells are left out."""
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / 'demo_photos'
    tool('make_demo', '--out', photos, '--per-class', '20')
    shown = type('Display', (), {})()
    shown.IFrame, shown.display = lambda *_, **__: None, lambda *_: None
    monkeypatch.setitem(sys.modules, 'IPython', shown)
    monkeypatch.setitem(sys.modules, 'IPython.display', shown)
    scope = {'run_shell': run_shell}
    for cell in json.loads(NOTEBOOK.read_text('utf-8'))['cells']:
        tags = set(cell['metadata'].get('tags', []))
        if cell['cell_type'] != 'code' or tags & {'colab', 'network'}:
            continue
        code = ''.join(cell['source'])
        if 'parameters' in tags:
            config = str(ROOT / 'configs' / 'flower' / 'demo_flower.py')
            code = SETTINGS.format(config=config, photos=str(photos))
        code = re.sub('^!(.*)$', r"run_shell(f'\1')", code, flags=re.MULTILINE)
        exec(code, scope)
    assert Path('my_model.zip').stat().st_size > 1_000_000
    assert scope['prediction'].confidence > 0.2
