"""A backbone and a transform of the user's own, allowed by his own word."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch
from helpers import ROOT, TINY, tool

from flower_mm import Classifier
from flower_mm.errors import UserError
from flower_mm.user_modules import import_modules, own_imports

PARTS = """
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import MODELS, TRANSFORMS


@MODELS.register_module()
class MyBackbone(torch.nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, width, 3, stride=4)

    def forward(self, x):
        return (self.conv(x),)


@TRANSFORMS.register_module()
class Inverted(BaseTransform):
    def __init__(self, top=255):
        self.top = top

    def transform(self, results):
        results['img'] = self.top - results['img']
        return results
"""
CONFIG = """
custom_imports = dict(
    imports=['flower_mm.engine', 'my_parts'], allow_failed_imports=False)
model['backbone'] = dict(type='MyBackbone', width=16)
model['head']['in_channels'] = 16
test_pipeline.insert(1, dict(type='Inverted', top=250))
train_pipeline.insert(1, dict(type='Inverted', top=250))
"""


@pytest.fixture(scope='module')
def own(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A run with parts of its own, and what its training printed."""
    folder = tmp_path_factory.mktemp('own')
    (folder / 'my_parts.py').write_text(PARTS)
    base = str(ROOT / 'configs' / '_base_' / 'flower.py')
    config = folder / 'own.py'
    config.write_text(TINY.format(base=base) + CONFIG)
    (folder / 'first.py').write_text(
        f'import sys\nsys.path.insert(0, {str(folder)!r})\n'
    )
    run = forked.finish(
        folder / 'log',
        'train',
        config,
        *('--data-root', dataset, '--work-dir', folder / 'run'),
        first=str(folder / 'first.py'),
        report=True,
    )
    return {'folder': folder, 'run': folder / 'run', 'text': run.text}


def test_the_report_is_there_and_the_next_command_works(own):
    assert (own['run'] / 'report.html').is_file()
    assert (own['run'] / 'predictions.csv').is_file()
    flag = f'--import {own["folder"] / "my_parts.py"}'
    serving = [line for line in own['text'].splitlines() if 'serve.py' in line]
    assert len(serving) == 1
    assert serving[0].endswith(flag)


def doors(own: dict, photo: Path, out: Path) -> dict[str, tuple]:
    run = own['run']
    return {
        'predict': ('predict', run / 'best.pth', photo),
        'export': (
            *('export', run / 'best.pth', '--to', 'torchscript'),
            *('--out', out),
        ),
        'share': ('share', run, out / 'shared'),
        'report': ('report', run),
    }


@pytest.mark.parametrize('door', ['predict', 'export', 'share', 'report'])
def test_every_tool_takes_the_flag_and_asks_for_it(
    door, own, photos, tmp_path
):
    photo = next(photos.rglob('*.jpg'))
    tool_name, *args = doors(own, photo, tmp_path)[door]
    if door == 'report':
        args[0] = tmp_path / 'run'
        shutil.copytree(own['run'], args[0])
        (args[0] / 'predictions.csv').unlink()
    run = forked.start(tmp_path / 'log', tool_name, *args)
    assert run.wait() == 2, run.text
    assert '--import MODULE' in run.text
    assert 'MyBackbone' in run.text
    forked.finish(
        tmp_path / 'log',
        tool_name,
        *args,
        *('--import', own['folder'] / 'my_parts.py'),
    )


def test_the_shared_folder_says_what_it_needs(own, photos, tmp_path):
    """And its command works as it stands, with the module beside it."""
    module = own['folder'] / 'my_parts.py'
    shutil.copy(module, tmp_path)
    (tmp_path / 'unused.py').write_text('')
    imports = ('--import', module, '--import', tmp_path / 'unused.py')
    out = tmp_path / 'path' / 'to' / 'this' / 'folder'
    forked.finish(tmp_path / 'log', 'share', own['run'], out, *imports)
    text = (out / 'README.md').read_text('utf-8')
    top = text[: text.index('## ')]
    assert '`my_parts`' in top
    assert str(tmp_path) not in text
    assert 'unused' not in text
    python = "Classifier('path/to/this/folder', imports=['my_parts'])"
    assert python in top
    assert python in text[len(top) :]  # of the example
    command = re.search('`flower-mm predict (.+?)`', text)[1].split()
    shutil.copy(next(photos.rglob('*.jpg')), tmp_path / 'photo.jpg')
    move = tmp_path / 'move.py'
    move.write_text(f'import os\nos.chdir({str(tmp_path)!r})\n')
    forked.finish(tmp_path / 'log', 'predict', *command, first=str(move))


def test_a_module_in_the_current_folder(own, photos):
    photo = next(photos.rglob('*.jpg'))
    best = own['run'] / 'best.pth'
    done = tool(
        'predict', best, photo, '--import', 'my_parts', cwd=own['folder']
    )
    assert done.returncode == 0
    elsewhere = tool(
        *('predict', best, photo, '--import', 'my_parts'),
        cwd=own['run'],
        check=False,
    )
    assert elsewhere.returncode == 2
    assert "'my_parts'" in elsewhere.stderr
    assert str(own['run']) in elsewhere.stderr


def test_from_python(own, photos, monkeypatch):
    photo = next(photos.rglob('*.jpg'))
    best = own['run'] / 'best.pth'
    with pytest.raises(UserError, match=r'MyBackbone.*--import MODULE'):
        Classifier(best)
    monkeypatch.syspath_prepend(own['folder'])
    assert Classifier(best, imports=['my_parts'])(photo).label


@pytest.mark.parametrize('width', ['/etc/passwd', 10**9, {'type': 'os.x'}])
def test_the_arguments_come_from_the_file_all_the_same(
    width, own, tmp_path, monkeypatch
):
    found = torch.load(own['run'] / 'best.pth', weights_only=True)
    found['meta']['cfg']['model']['backbone']['width'] = width
    torch.save(found, tmp_path / 'best.pth')
    monkeypatch.syspath_prepend(own['folder'])
    with pytest.raises(UserError, match=r'model\.backbone\.width'):
        Classifier(tmp_path / 'best.pth', imports=['my_parts'])


@pytest.mark.parametrize(
    'name', ['', '../x', 'a-b', 'os; x', 'http://a', '.x', 'x.', 'no_such_one']
)
def test_what_is_no_module(name):
    with pytest.raises(UserError, match='--import'):
        import_modules([name])


def test_a_module_that_fails(tmp_path, monkeypatch):
    (tmp_path / 'broken_parts.py').write_text('1 / 0')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match='failed: ZeroDivisionError'):
        import_modules(['broken_parts'])


@pytest.mark.parametrize(
    ('imports', 'own'),
    [
        (None, []),
        ({'imports': ['flower_mm.engine', 'a.b']}, ['a.b']),
        ({'imports': ('mmpretrain.models', 'a')}, ['a']),
        ({'imports': 'a'}, ['a']),
    ],
)
def test_the_users_own_modules_in_a_config(imports, own):
    assert own_imports({'custom_imports': imports}) == own


def test_a_name_that_mmpretrain_has(tmp_path):
    """In a new process, which has not loaded MMPretrain's parts yet."""
    (tmp_path / 'taken.py').write_text(
        'from mmpretrain.registry import TRANSFORMS\n'
        '@TRANSFORMS.register_module()\n'
        'class Invert:\n    pass\n'
    )
    done = subprocess.run(
        [
            *(sys.executable, ROOT / 'tools' / 'predict.py'),
            *(tmp_path / 'best.pth', 'photo.jpg'),
            *('--import', tmp_path / 'taken.py'),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    named = ("'taken'", "'Invert'", 'mmpretrain.datasets', 'force=True')
    assert [word for word in named if word not in done.stderr] == []
    assert 'Traceback' not in done.stderr
