"""`prepare --check` finds what changed in a dataset."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flower_mm.prepare import dataset_json

from .conftest import ok, read_record, read_splits, refused, save


def write_record(out: Path, record: dict) -> None:
    """Write dataset.json and the lists as prepare would."""
    record['files'] = {
        split: dict(sorted(files.items()))
        for split, files in record['files'].items()
    }
    record['sha256'] = dataset_json.digest(record['files'])
    record['counts'] = dataset_json.counts(record['files'], record['classes'])
    (out / 'dataset.json').write_text(json.dumps(record))
    for name, text in dataset_json.texts(record).items():
        (out / name).write_text(text)


def change_photo(out: Path) -> str:
    file = next((out / 'train').rglob('*.jpg'))
    file.write_bytes(file.read_bytes() + b'!')
    return f'{file.name}: changed'


def delete_photo(out: Path) -> str:
    file = next((out / 'val').rglob('*.jpg'))
    file.unlink()
    return f'{file.name}: cannot be opened'


def add_photo(out: Path) -> str:
    save(out / 'val' / 'daisy' / 'new.jpg', 999)
    return 'val/daisy/new.jpg: '


def change_label(out: Path) -> str:
    text = (out / 'train.txt').read_text()
    (out / 'train.txt').write_text(text.replace(' 0\n', ' 1\n', 1))
    return 'train.txt: changed'


def delete_classes(out: Path) -> str:
    (out / 'classes.txt').unlink()
    return 'classes.txt: cannot be read'


def change_record(out: Path) -> str:
    record = read_record(out)
    record['files']['train'].popitem()
    (out / 'dataset.json').write_text(json.dumps(record))
    return 'dataset.json: sha256'


def copy_photo_to_val(out: Path) -> str:
    """With dataset.json and the lists changed accordingly."""
    record = read_record(out)
    path = next(iter(record['files']['train']))
    data = (out / 'train' / path).read_bytes()
    (out / 'val' / path).write_bytes(data)
    record['files']['val'][path] = record['files']['train'][path]
    write_record(out, record)
    return 'identical photos in two splits'


@pytest.mark.parametrize(
    'damage',
    [
        change_photo,
        delete_photo,
        add_photo,
        change_label,
        delete_classes,
        change_record,
        copy_photo_to_val,
    ],
)
def test_damage_is_found(prepared, damage: Callable[[Path], str]):
    assert 'unchanged' in ok('--check', '--out', prepared)
    words = damage(prepared)
    assert words in refused(prepared, '--check')


def test_folder_that_is_not_a_dataset(tmp_path):
    assert 'not a prepared dataset' in refused('--check', tmp_path)


def test_near_duplicates_in_two_splits_are_a_note(photos, out):
    """Another version, which finds others, may have prepared them."""
    save(photos / 'daisy' / 'one.png', 500)
    ok(photos, '--out', out)
    split = {'train': 'val', 'val': 'train'}[read_splits(out)['daisy/one.png']]
    save(out / split / 'daisy' / 'two.jpg', 500, quality=50)
    data = (out / split / 'daisy' / 'two.jpg').read_bytes()
    record = read_record(out)
    record['files'][split]['daisy/two.jpg'] = hashlib.sha256(data).hexdigest()
    write_record(out, record)
    shown = ok('--check', out)
    assert 'daisy/one.png' in shown
    assert 'daisy/two.jpg' in shown
