"""classes.txt, train.txt, dataset.json and what lies beside weights."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from helpers import draw_photo
from hypothesis import given
from hypothesis import strategies as st
from rubbish import damaged, damaged_json, damaged_lines, fuzz, only_ours

from flower_mm.annotations import (
    describe,
    photos_folder,
    read_annotations,
    read_classes,
)
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.verify_dataset import check, find_damage
from flower_mm.weights import file_hash, pretrained_table

CLASSES = ['daisy', 'red rose', 'étoile']
LINES = [
    f'{name}/{number}.jpg {label}'
    for label, name in enumerate(CLASSES)
    for number in range(3)
]


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('photos')
    for label, name in enumerate(CLASSES):
        for number in range(3):
            draw_photo(folder / name / f'{number}.jpg', label, number)
    return folder


@pytest.fixture(scope='module')
def made(photos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('made') / 'dataset'
    prepare(photos, out, Options(val=0.3))
    return out


@fuzz()
@given(data=st.binary(max_size=60) | damaged_lines(CLASSES))
def test_classes(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    (folder / 'classes.txt').write_bytes(data)
    with only_ours('classes.txt'):
        classes = read_classes(folder)
        assert len(set(classes)) == len(classes) >= 2
        assert all(name and name == name.strip() for name in classes)


def test_two_hundred_thousand_classes(tmp_path):
    names = '\n'.join(map(str, range(200_000)))
    (tmp_path / 'classes.txt').write_text(names)
    with only_ours('classes.txt'):
        assert len(read_classes(tmp_path)) == 200_000


@fuzz()
@given(data=st.binary(max_size=60) | damaged_lines(LINES))
def test_annotations(photos, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / 'train.txt'
    path.write_bytes(data)
    with only_ours('annotations'):
        found = read_annotations(path, photos, CLASSES, root=photos)
        assert found
        files = [(photos / photo.name).resolve() for photo in found]
        assert len(set(files)) == len(files)
        for file, photo in zip(files, found, strict=True):
            assert file.is_file()
            assert file.parent == photos / CLASSES[photo.label]


@fuzz()
@given(data=st.data())
def test_description(made, tmp_path_factory, data):
    good = json.loads((made / 'dataset.json').read_text('utf-8'))
    folder = tmp_path_factory.getbasetemp()
    text = data.draw(damaged_json(good))
    (folder / 'dataset.json').write_bytes(text)
    with only_ours('dataset.json, training'):
        photos = photos_folder(folder, 'train')
        sha256 = describe(folder).get('sha256')
        assert sha256 is None or re.fullmatch('[0-9a-f]{64}', sha256)
        read_annotations(made / 'train.txt', photos, CLASSES)


@pytest.fixture(scope='module')
def copy(made, tmp_path_factory):
    """The same dataset, of which the tests change single files."""
    folder = tmp_path_factory.mktemp('copy') / 'dataset'
    for path in made.rglob('*.*'):
        target = folder / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


@contextlib.contextmanager
def quiet():
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield


@fuzz(0.5)
@given(data=st.data())
def test_record_of_a_dataset(photos, made, copy, data):
    """What `--check`, `--overwrite` and `--splits-from` make of it."""
    good = json.loads((made / 'dataset.json').read_text('utf-8'))
    text = data.draw(damaged_json(good))
    (copy / 'dataset.json').write_bytes(text)
    with quiet():
        with only_ours('dataset.json, --check'):
            check(copy)
        with only_ours('dataset.json, again'):
            find_damage(copy)
        with only_ours('dataset.json, --out'):
            prepare(photos, copy, Options(val=0.3))
        with only_ours('dataset.json, --splits-from'):
            prepare(photos, made, Options(val=0.3), splits_from=copy)


@fuzz(0.5)
@given(data=st.data())
def test_files_of_a_dataset(made, copy, data):
    """What `--check` makes of all the others; it never calls them whole."""
    files = sorted(p for p in made.rglob('*.*') if p.name != 'dataset.json')
    path = data.draw(st.sampled_from(files)).relative_to(made)
    (copy / 'dataset.json').write_bytes((made / 'dataset.json').read_bytes())
    good = (made / path).read_bytes()
    bad = data.draw(damaged(good))
    (copy / path).write_bytes(bad)
    with quiet(), only_ours('dataset, --check'):
        check(copy)
        assert bad == good or path.name == 'report.txt'
    (copy / path).write_bytes(good)


@fuzz()
@given(data=st.binary(max_size=80) | damaged(b'f' * 64 + b'  x.pth\n'))
def test_recorded_hash(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / 'x.pth'
    path.with_name('x.pth.sha256').write_bytes(data)
    with only_ours('recorded hash'):
        assert re.fullmatch('[0-9a-f]{64}', file_hash.recorded(path))


ROWS = {
    'thing': {
        'architecture': 'A thing',
        'parameters': 1,
        'homes': [
            {
                'source': 'here',
                'url': 'https://here/a-01234567.pth',
                'licence': 'MIT',
                'sha256': '01234567',
                'megabytes': 1.5,
            },
            {
                'source': 'there',
                'url': 'http://there/b.pth',
                'licence': 'MIT',
                'expired': '2026-06-06',
            },
        ],
    }
}


@fuzz()
@given(data=damaged_json(ROWS))
def test_table_of_weights(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / 'table.json'
    path.write_bytes(data)
    with only_ours('table of weights'):
        for entry in pretrained_table.read_table(path).values():
            assert isinstance(entry.architecture, str)
            for home in entry.homes:
                assert home.url.startswith(('http://', 'https://'))
                assert Path(home.file).name == home.file != ''
                assert len(home.sha256) in (0, 8, 64)
                assert home.megabytes is None or home.megabytes > 0
