"""Parquet shards, as Hugging Face datasets write them."""

import io
import json
import sys
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.sources import parquet_shards
from flower_mm.prepare.sources.listing import PARQUET

from .conftest import contents, picture, read_splits, save
from .test_archive import pack
from .test_csv_table import labels, listing

pa = pytest.importorskip('pyarrow')
pq = pytest.importorskip('pyarrow.parquet')

IMAGE = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
# The order is that of the dataset, not of the alphabet.
NAMES = ['tulip', 'daisy']
FEATURES = {
    'image': {'_type': 'Image'},
    'label': {'names': NAMES, '_type': 'ClassLabel'},
}


def photo_bytes(number: int, kind: str = 'JPEG') -> bytes:
    file = io.BytesIO()
    picture(number).save(file, kind)
    return file.getvalue()


def write_shard(
    path: Path,
    columns: dict,
    features: dict | None = None,
    types: dict | None = None,
    **options,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: pa.array(values, (types or {}).get(name))
        for name, values in columns.items()
    }
    table = pa.table(arrays)
    if features:
        text = json.dumps({'info': {'features': features}})
        table = table.replace_schema_metadata({'huggingface': text})
    pq.write_table(table, path, **options)
    return path


def as_datasets_writes(path: Path, start: int, count: int = 8) -> Path:
    """The schema and metadata of `Dataset.to_parquet`."""
    numbers = range(start, start + count)
    images = [
        {'bytes': photo_bytes(n), 'path': f'{n:04}.jpg'} for n in numbers
    ]
    return write_shard(
        path,
        {'image': images, 'label': [n % 2 for n in numbers]},
        FEATURES,
        {'image': IMAGE, 'label': pa.int64()},
    )


def test_shards_of_a_hub(tmp_path, out):
    root = tmp_path / 'hub'
    (root / 'data').mkdir(parents=True)
    (root / 'README.md').write_text('card')
    as_datasets_writes(root / 'data/train-00000-of-00002.parquet', 0)
    as_datasets_writes(root / 'data/train-00001-of-00002.parquet', 8)
    as_datasets_writes(root / 'data/validation-00000-of-00001.parquet', 16)
    found = listing(root)
    assert (found.format, found.classes) == (PARQUET, NAMES)
    assert found.other_files == ['README.md']
    assert prepare(root, out, Options())
    assert (out / 'classes.txt').read_text() == 'tulip\ndaisy\n'
    splits = read_splits(out)
    assert splits['daisy/0003.jpg'] == splits['tulip/0014.jpg'] == 'train'
    assert splits['tulip/0016.jpg'] == 'val'
    copy = out / 'train' / 'daisy' / '0003.jpg'
    assert copy.read_bytes() == photo_bytes(3)
    assert prepare(pack(root, tmp_path / 'a.zip'), tmp_path / 'b', Options())
    first, second = contents(out), contents(tmp_path / 'b')
    for name in ('dataset.json', 'report.txt'):  # with other paths
        del first[name], second[name]
    assert first == second


def test_one_shard_has_no_split(tmp_path):
    shard = as_datasets_writes(tmp_path / 'test-00000-of-00001.parquet', 0)
    found = listing(shard)
    assert {photo.split for photo in found.photos} == {''}
    assert len(found.photos) == 8


def test_folders_name_the_splits(tmp_path):
    as_datasets_writes(tmp_path / 'p/default/train/0000.parquet', 0)
    as_datasets_writes(tmp_path / 'p/default/test/0000.parquet', 8)
    found = listing(tmp_path / 'p')
    assert {photo.split for photo in found.photos} == {'train', 'test'}


def test_paths_of_photos(tmp_path):
    for number in range(4):
        save(tmp_path / 'p' / 'images' / f'{number}.jpg', number)
    paths = [f'images/{n}.jpg' for n in range(4)] + ['gone.jpg', None]
    columns = {'path': paths, 'label': ['rose', 'daisy'] * 3}
    write_shard(tmp_path / 'p' / 'x.parquet', columns)
    found = listing(tmp_path / 'p')
    assert labels(found) == {
        f'images/{n}.jpg': ['rose', 'daisy'][n % 2] for n in range(4)
    }
    assert found.rows_without_file == [
        'x.parquet row 4: gone.jpg',
        'x.parquet row 5: without bytes and path',
    ]
    assert found.other_files == []


def test_columns_of_pandas(tmp_path):
    """Plain bytes, labels that are categories or floats, no metadata."""
    photos = [photo_bytes(n, 'PNG') for n in range(6)]
    kinds = pa.array(['rose', 'daisy'] * 3).dictionary_encode()
    write_shard(
        tmp_path / 'a' / 'x.parquet', {'image': photos, 'class': kinds}
    )
    found = listing(tmp_path / 'a')
    assert found.classes == ['daisy', 'rose']
    assert next(iter(found.photos)).inside == 'x-0.png'
    floats = [10.0, 9.0, None] * 2
    write_shard(tmp_path / 'b' / 'x.parquet', {'jpg': photos, 'label': floats})
    found = listing(tmp_path / 'b')
    assert found.classes == ['9', '10']
    assert len(found.left_out) == 2


def test_photos_without_a_label_are_left_out(tmp_path):
    images = [{'bytes': photo_bytes(n), 'path': None} for n in range(4)]
    columns = {'image': images, 'label': [0, 1, -1, None]}
    types = {'image': IMAGE, 'label': pa.int64()}
    write_shard(tmp_path / 'p' / 'x.parquet', columns, FEATURES, types)
    found = listing(tmp_path / 'p')
    assert len(found.photos) == len(found.left_out) == 2


def test_columns_are_chosen(tmp_path):
    """As in CIFAR-100, which has fine and coarse classes."""
    images = [{'bytes': photo_bytes(n), 'path': None} for n in range(2)]
    label = {'names': NAMES, '_type': 'ClassLabel'}
    shard = write_shard(
        tmp_path / 'x.parquet',
        {'img': images, 'fine_label': [0, 1], 'coarse_label': [1, 0]},
        {
            'img': {'_type': 'Image'},
            'fine_label': label,
            'coarse_label': label,
        },
        {'img': IMAGE},
    )
    with pytest.raises(UserError, match='--label-column fine_label'):
        listing(shard)
    found = listing(shard, label_column='coarse_label')
    assert list(labels(found).values()) == ['daisy', 'tulip']
    with pytest.raises(UserError, match="no column 'x'"):
        listing(shard, path_column='x')


def shard_of(folder: Path, name: str | None, label: object) -> Path:
    images = [{'bytes': photo_bytes(n), 'path': name} for n in range(2)]
    return write_shard(
        folder / 'x.parquet',
        {'image': images, 'label': [label, 'rose']},
        types={'image': IMAGE},
    )


@pytest.mark.parametrize(
    'name',
    ['../../x.jpg', '/etc/passwd', 'a\\..\\..\\x', '.bashrc', 'x\n.jpg', '..'],
)
def test_names_of_photos_never_lead_out(tmp_path, out, name):
    shard = shard_of(tmp_path / 'p', name, 'daisy')
    assert prepare(shard, out, Options(val=0.5)) is not None
    written = {path for path in tmp_path.rglob('*') if path.is_file()}
    assert all(p.is_relative_to(out) or p == shard for p in written)
    for path in read_splits(out):
        assert path.count('/') == 1
        assert not path.partition('/')[2].startswith('.')


@pytest.mark.parametrize('label', ['../x', '..', 'a/b', '\x1b[2J'])
def test_classes_never_lead_out(tmp_path, label):
    with pytest.raises(UserError, match='invalid class name'):
        listing(shard_of(tmp_path, None, label))


def test_several_labels_are_refused(tmp_path):
    images = [{'bytes': photo_bytes(n), 'path': None} for n in range(2)]
    columns = {'image': images, 'label': [[0], [0, 1]]}
    shard = write_shard(tmp_path / 'x.parquet', columns)
    with pytest.raises(UserError, match='Multi-label'):
        listing(shard)


def test_columns_that_hold_no_photos(tmp_path):
    kind = pa.struct([('bytes', pa.list_(pa.uint8())), ('path', pa.int64())])
    images = [{'bytes': [1, 2], 'path': 7}, None]
    columns = {'image': images, 'label': ['a', 'b']}
    shard = write_shard(tmp_path / 'x.parquet', columns, types={'image': kind})
    with pytest.raises(UserError, match='no photos with a class'):
        listing(shard)


def test_labels_outside_the_names(tmp_path):
    images = [{'bytes': photo_bytes(n), 'path': None} for n in range(2)]
    columns = {'image': images, 'label': [0, 7]}
    shard = write_shard(tmp_path / 'x.parquet', columns, FEATURES)
    with pytest.raises(UserError, match='invalid label 7'):
        listing(shard)


def test_damaged_shards(tmp_path):
    shard = as_datasets_writes(tmp_path / 'x.parquet', 0)
    data = shard.read_bytes()
    for broken in (b'', b'PAR1', data[:-100], data[:4] + data[2000:]):
        shard.write_bytes(broken)
        with pytest.raises(UserError, match='cannot be read'):
            listing(shard)


@pytest.mark.parametrize(
    'features', [{'label': 7}, {'label': {'names': 3}}, [], 'x', None]
)
def test_odd_metadata_is_ignored(tmp_path, features):
    images = [{'bytes': photo_bytes(n), 'path': None} for n in range(2)]
    columns = {'image': images, 'label': ['a', 'b']}
    shard = write_shard(tmp_path / 'x.parquet', columns, features)
    assert listing(shard).classes == ['a', 'b']


def test_a_repeated_photo_is_a_bomb(tmp_path, monkeypatch):
    """A dictionary holds a photo once for any number of rows."""
    photo = photo_bytes(0) + bytes(400_000)
    columns = {'image': [photo] * 500, 'label': ['a', 'b'] * 250}
    shard = write_shard(tmp_path / 'x.parquet', columns)
    assert shard.stat().st_size < 1_000_000
    with pytest.raises(UserError, match='times its size'):
        listing(shard)
    monkeypatch.setattr(parquet_shards, 'MAX_MEMBERS', 499)
    with pytest.raises(UserError, match='more than 499 rows'):
        listing(shard)


def test_the_message_without_pyarrow(tmp_path, monkeypatch):
    shard = as_datasets_writes(tmp_path / 'x.parquet', 0)
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    monkeypatch.delitem(sys.modules, 'pyarrow.parquet')
    with pytest.raises(UserError, match=r"pip install 'flower_mm\[parquet\]'"):
        listing(shard)
