"""Oxford Flowers-102 in the layout of its authors."""

import sys
from pathlib import Path

import numpy as np
import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.sources import flowers102
from flower_mm.prepare.sources.listing import FLOWERS_102

from .conftest import read_splits, save
from .test_archive import pack
from .test_csv_table import labels, listing

io = pytest.importorskip('scipy.io')

SPLITS = {'trnid': 1020, 'valid': 1020, 'tstid': 6149}
PHOTOS = sum(SPLITS.values())


def write_labels(folder: Path, values: object, **options) -> None:
    io.savemat(folder / 'imagelabels.mat', {'labels': values}, **options)


def make_flowers(
    folder: Path, numbers: range, compressed: bool = True
) -> Path:
    """The shapes and types of the published files, and some of the photos.

    Photo N has the class N modulo 102, and the split that follows.
    """
    (folder / 'jpg').mkdir(parents=True)
    order = np.arange(1, PHOTOS + 1, dtype=np.uint16)
    write_labels(
        folder,
        (order[None] % 102 + 1).astype(np.uint8),
        do_compression=compressed,
    )
    # Each 102 photos in turn, so that all splits have all classes.
    kinds = (order // 102) % 8
    ids = {
        'trnid': order[kinds == 0][:1020],
        'valid': order[kinds == 1][:1020],
    }
    used = np.concatenate(list(ids.values()))
    ids['tstid'] = np.setdiff1d(order, used)
    assert {key: len(values) for key, values in ids.items()} == SPLITS
    io.savemat(
        folder / 'setid.mat',
        {key: values[None] for key, values in ids.items()},
        do_compression=compressed,
    )
    for number in numbers:
        save(folder / 'jpg' / f'image_{number:05}.jpg', number)
    return folder


@pytest.mark.parametrize('compressed', [True, False])
def test_official_split_and_names(tmp_path, compressed):
    numbers = (*range(1, 4), *range(103, 106), *range(205, 208))
    photos = make_flowers(tmp_path / 'flowers-102', numbers, compressed)
    (photos / '102flowers.tgz').touch()
    found = listing(tmp_path)
    assert found.format == FLOWERS_102
    # Numbers begin at 1: label 2 is the second name.
    assert labels(found)['flowers-102/jpg/image_00001.jpg'] == (
        'hard-leaved pocket orchid'
    )
    assert found.classes == [
        'hard-leaved pocket orchid', 'canterbury bells', 'sweet pea',
    ]  # fmt: skip
    assert [photo.split for photo in found.photos] == [
        *['train'] * 3, *['val'] * 3, *['test'] * 3,
    ]  # fmt: skip
    assert len(found.rows_without_file) == PHOTOS - 9


def test_the_dataset(tmp_path, out):
    numbers = [n for start in (1, 103, 205) for n in range(start, start + 3)]
    photos = make_flowers(tmp_path / 'f', numbers)
    assert prepare(photos, out, Options())
    assert prepare(
        pack(photos, tmp_path / 'f.tar.gz'), tmp_path / 'o', Options()
    )
    assert read_splits(tmp_path / 'o') == read_splits(out)
    assert (out / 'classes.txt').read_text().startswith('hard-leaved')


def test_the_names_are_those_of_torchvision():
    names = flowers102.NAMES.read_text('utf-8').splitlines()
    datasets = pytest.importorskip('torchvision.datasets')
    theirs = getattr(datasets.Flowers102, 'classes', None)
    if not isinstance(theirs, list):
        pytest.skip('this torchvision has no names')
    # A question mark is no part of a folder's name on Windows.
    assert names == [name.replace('?', '') for name in theirs]


def test_without_the_split_or_the_photos(tmp_path):
    photos = make_flowers(tmp_path / 'f', range(0))
    with pytest.raises(UserError, match=r'102flowers\.tgz'):
        listing(photos)
    (photos / 'setid.mat').unlink()
    with pytest.raises(UserError, match=r'without setid\.mat'):
        listing(photos)


@pytest.mark.parametrize(
    'values',
    [
        np.array([[{'a': 1}, 'x']], dtype=object),
        np.array(['text']),
        {'a': 1},
        np.ones((30, 30), np.uint8),
        np.array([[1.5, 2.0]]),
        np.array([[0, 1]], np.uint8),
        np.array([[1, 103]], np.uint8),
        np.zeros((1, 2_000_000), np.uint8),
        np.array([[1, 2]], np.complex128),
    ],
)
def test_other_contents_are_refused(tmp_path, values):
    photos = make_flowers(tmp_path / 'f', range(1, 3))
    write_labels(photos, values, do_compression=True)
    with pytest.raises(UserError, match=r'invalid imagelabels\.mat'):
        listing(photos)


def test_damaged_files(tmp_path):
    photos = make_flowers(tmp_path / 'f', range(1, 3))
    file = photos / 'imagelabels.mat'
    data = file.read_bytes()
    for broken in (
        b'',
        data[:100],
        data[:-40],
        data[:150] + bytes(20) + data[170:],
        b'MATLAB 7.3 MAT-file'.ljust(124) + b'\0\2IM' + bytes(1000),
        b'\x89HDF\r\n\x1a\n' + bytes(1000),
        bytes(300_000),
    ):
        file.write_bytes(broken)
        with pytest.raises(UserError, match=r'invalid imagelabels\.mat'):
            listing(photos)


def test_the_message_without_scipy(tmp_path, monkeypatch):
    photos = make_flowers(tmp_path / 'f', range(1, 3))
    monkeypatch.setitem(sys.modules, 'scipy', None)
    with pytest.raises(UserError, match=r'flower_mm\[flowers102\]'):
        listing(photos)
