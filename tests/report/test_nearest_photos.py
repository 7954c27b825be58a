"""The report shows training photos that are similar to errors."""

import json
import shutil
from pathlib import Path

import pytest
from made_up import Page

from flower_mm.errors import UserError
from flower_mm.report import nearest_photos
from flower_mm.report.nearest_photos import COUNT
from flower_mm.report.report_files import write_report


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def neighbours(page: Path) -> list[dict]:
    """The pictures of training photos on a page."""
    return [
        attrs
        for tag, attrs in Page(page.read_text('utf-8')).tags
        if tag == 'img' and '/train/' in (attrs.get('title') or '')
    ]


def test_each_error_has_its_neighbours(bare, root):
    page = write_report(bare, root)
    figures = json.loads((bare / 'report.json').read_text('utf-8'))
    errors = figures['errors']
    assert errors
    shown = neighbours(page)
    assert len(shown) == COUNT * len(errors[:24])
    for attrs in shown:
        assert Path(attrs['title']).is_file()
        assert attrs['src'].startswith('data:image/jpeg')
    named = {key for row in errors for key in (row['label'], row['predicted'])}
    assert {Path(attrs['title']).parent.name for attrs in shown} <= named


def test_the_copy_of_an_error_in_train_is_nearest(bare, root):
    write_report(bare, root)
    figures = json.loads((bare / 'report.json').read_text('utf-8'))
    error = figures['errors'][0]
    listed = (root / 'train.txt').read_text('utf-8').splitlines()
    other = next(line for line in listed if line.startswith(error['label']))
    name = other.rpartition(' ')[0]
    shutil.copy(error['photo'], root / 'train' / name)
    first = neighbours(write_report(bare, root))[0]
    assert first['title'] == str(root / 'train' / name)


def test_a_part_of_the_training_photos(bare, root, monkeypatch):
    monkeypatch.setattr(nearest_photos, 'MOST', 7)
    page = Page(write_report(bare, root).read_text('utf-8'))
    assert 'among 7 of 39 training photos' in page.text


@pytest.mark.parametrize('fault', ['list', 'time', 'memory', 'features'])
def test_the_report_is_written_without_them(fault, bare, root, monkeypatch):
    if fault == 'list':
        (root / 'train.txt').write_text('gone.jpg 0\n')
    elif fault == 'time':
        monkeypatch.setattr(nearest_photos, 'SECONDS', -1.0)
    else:
        from flower_mm.inference.features import FeatureModel

        def fail(self, batch):
            raise MemoryError if fault == 'memory' else UserError('no layer')

        monkeypatch.setattr(FeatureModel, '_compute', fail)
    page = write_report(bare, root)
    assert Page(page.read_text('utf-8')).pictures
    assert neighbours(page) == []
