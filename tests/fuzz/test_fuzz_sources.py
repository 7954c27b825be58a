"""Tables, lists, Parquet shards and MATLAB files that nobody vouches for."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepare.conftest import save
from prepare.test_flowers102 import make_flowers
from prepare.test_parquet import as_datasets_writes
from rubbish import damaged, damaged_lines, fuzz, only_ours

from flower_mm.links import is_inside
from flower_mm.plain_text import class_name_fault
from flower_mm.prepare.prepare_dataset import Options
from flower_mm.prepare.sources.read_source import read_source

PHOTOS = ['a/0.jpg', 'a/1.jpg', 'b/2.jpg', 'b/3.jpg', 'é/4.jpg']
PAIRS = [(path, path.partition('/')[0]) for path in PHOTOS]
LINES = {
    'labels.csv': ['path,label', *map(','.join, PAIRS)],
    'labels.tsv': [
        'id\tclass\tsplit',
        *(f'{path[2]}\t{name}\ttrain' for path, name in PAIRS),
    ],
    'metadata.jsonl': [
        json.dumps({'file_name': path, 'label': name}) for path, name in PAIRS
    ],
    'train.txt': [f'{path} {"abé".index(name)}' for path, name in PAIRS],
    '_classes.csv': [
        'filename, x, y',
        *(f'{p}, {int(name == "a")}, {int(name != "a")}' for p, name in PAIRS),
    ],
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Photos that no class folder names, and one outside."""
    for number, path in enumerate(PHOTOS):
        save(tmp_path / 'source' / 'photos' / path, number)
    save(tmp_path / 'x', 9, format='JPEG')
    return tmp_path / 'source'


def read(source: Path) -> None:
    work = source.with_name('work')
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with contextlib.redirect_stdout(io.StringIO()):
        listing = read_source(source, work, work / 'out', Options())
    assert {p.name for p in source.parent.iterdir()} == {
        'source', 'work', 'x',
    }  # fmt: skip
    for photo in listing.photos:
        assert is_inside(photo.file, source) or is_inside(photo.file, work)
        assert 0 <= photo.label < len(listing.classes)
        assert photo.split in ('', 'train', 'val', 'test')
        assert '/' not in photo.inside or listing.folders
    for name in listing.classes:
        assert not class_name_fault(name)
        assert not {'/', '\0'} & set(name)
        assert name not in ('', '.', '..')


@pytest.mark.parametrize('name', LINES)
def test_tables_and_lists(source, name):
    @fuzz(0.7)
    @given(damaged_lines(LINES[name]))
    def try_one(data: bytes) -> None:
        (source / 'photos' / name).write_bytes(data)
        with only_ours('tables of photos'):
            read(source)

    try_one()


def test_parquet(source):
    shard = as_datasets_writes(source / 'train-0.parquet', 0, 4)
    good = shard.read_bytes()

    @fuzz()
    @given(damaged(good, most=3))
    def try_one(data: bytes) -> None:
        shard.write_bytes(data)
        with only_ours('Parquet shards'):
            read(source)

    try_one()


@pytest.mark.parametrize('name', ['imagelabels.mat', 'setid.mat'])
def test_matlab_files(source, name):
    make_flowers(source / 'f', range(1, 4))
    file = source / 'f' / name
    good = file.read_bytes()

    @fuzz(0.5)
    @given(st.one_of(damaged(good, most=3), st.binary(max_size=200)))
    def try_one(data: bytes) -> None:
        file.write_bytes(data)
        with only_ours('MATLAB files'):
            read(source)

    try_one()
