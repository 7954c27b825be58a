"""What `pip install .` gives to somebody in another folder."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from helpers import ROOT

CHILD = """
_base_ = 'flower_mm::flower/demo_flower.py'
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked; Python finds it before the editable copy."""
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [
            *(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps'),
            *('--no-build-isolation', '--wheel-dir', folder, ROOT),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob('*.whl')
    with ZipFile(wheel) as archive:
        archive.extractall(folder / 'site')
    return folder / 'site'


def test_the_wheel_has_configs_and_tools(installed):
    mim = installed / 'flower_mm' / '.mim'
    for path in (
        'configs/_base_/flower.py',
        'configs/flower/resnet50_flower.py',
        'tools/train.py',
    ):
        assert (mim / path).is_file(), path
    for path in (
        'weights/table.json',
        'prepare/sources/flowers102_classes.txt',
        'serve/page.html',
        'share/card.md.j2',
        'report/templates/report.html.j2',
        'report/templates/page.css',
    ):
        assert (installed / 'flower_mm' / path).is_file(), path
    assert not list(mim.rglob('*.pth'))


def test_mmengine_alone_inherits_from_an_expression(installed, tmp_path):
    """In a process that has not imported us, from a wheel and a clone."""
    (tmp_path / 'mine.py').write_text(
        "_base_ = __import__('flower_mm').config_file("
        "'flower/demo_flower.py')\n"
        'train_cfg = dict(max_epochs=3)\n'
    )
    code = (
        'from mmengine.config import Config\n'
        "cfg = Config.fromfile('mine.py', import_custom_modules=False)\n"
        'print(cfg.train_cfg.max_epochs, cfg.data_root)'
    )
    for folder in (installed, ROOT):
        done = subprocess.run(
            [sys.executable, '-c', code],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == '3 data/demo\n', done.stderr


def test_the_wheel_installs_the_command(installed):
    (points,) = installed.glob('*.dist-info/entry_points.txt')
    assert 'flower-mm = flower_mm.cli.main:main' in points.read_text()


def test_a_config_inherits_from_an_unrelated_folder(
    installed, dataset, tmp_path
):
    child = tmp_path / 'mine.py'
    child.write_text(CHILD)
    train = installed / 'flower_mm' / '.mim' / 'tools' / 'train.py'
    done = subprocess.run(
        [sys.executable, train, child, '--data', dataset, '--from-scratch'],
        cwd=tmp_path,
        env={
            **os.environ,
            'PYTHONPATH': str(installed),
            'OMP_NUM_THREADS': '1',
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / 'work_dirs' / 'mine' / 'best.pth').is_file()
    assert (tmp_path / 'work_dirs' / 'mine' / 'report.html').is_file()
