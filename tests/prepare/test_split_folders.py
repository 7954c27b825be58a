"""Folders that are split already keep their split."""

from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.sources.listing import SPLIT_FOLDERS

from .conftest import make_photos, ok, picture, read_record, read_splits, save
from .test_archive import pack

CLASSES = {'daisy': 6, 'rose': 7}


def make_split(folder: Path, *splits: str, classes: dict = CLASSES) -> Path:
    for number, split in enumerate(splits):
        make_photos(folder / split, classes, start=100 * number)
    return folder


def splits_of(folder: Path) -> dict[str, str]:
    """The split of each photo by its number, from the numbers above."""
    return {
        Path(path).stem: split for path, split in read_splits(folder).items()
    }


@pytest.mark.parametrize('val', ['val', 'Valid', 'validation'])
def test_the_published_split_is_kept(tmp_path, out, val):
    photos = make_split(tmp_path / 'p', 'train', val, 'test')
    assert prepare(photos, out, Options())
    expected = {
        f'{number:04}': split
        for start, split in ((0, 'train'), (100, 'val'), (200, 'test'))
        for number in range(start, start + 13)
    }
    assert splits_of(out) == expected
    assert (out / 'classes.txt').read_text() == 'daisy\nrose\n'
    assert read_record(out)['source_format'] == SPLIT_FOLDERS
    ok('--check', out)


@pytest.mark.parametrize('suffix', ['zip', 'tar.gz'])
def test_in_an_archive_with_a_wrapping_folder(tmp_path, out, suffix):
    photos = make_split(tmp_path / 'wrap' / 'deep', 'train', 'valid')
    (tmp_path / 'wrap' / 'README.roboflow.txt').write_text('text')
    assert prepare(photos.parent, tmp_path / 'direct', Options())
    path = pack(photos.parent, tmp_path / f'packed.{suffix}')
    assert prepare(path, out, Options())
    assert read_splits(out) == read_splits(tmp_path / 'direct')
    assert sorted(set(read_splits(out).values())) == ['train', 'val']


def test_a_missing_val_is_taken_from_train(tmp_path, out):
    photos = make_split(
        tmp_path / 'p', 'train', 'test', classes={'a': 10, 'b': 10}
    )
    assert prepare(photos, out, Options(val=0.2, test=0.3))
    splits = splits_of(out)
    assert [s for n, s in splits.items() if int(n) >= 100] == ['test'] * 20
    own = [s for n, s in splits.items() if int(n) < 100]
    assert (own.count('val'), own.count('train')) == (4, 16)
    report = (out / 'report.txt').read_text()
    assert '--test is ignored' in report
    # Photos that are added leave the others where they are.
    save(photos / 'train' / 'a' / 'new.jpg', 900)
    assert prepare(photos, out, Options(val=0.2, test=0.3), overwrite=True)
    after = splits_of(out)
    assert {n: s for n, s in after.items() if n != 'new'} == splits


def leaking_photos(folder: Path) -> Path:
    """Two train photos, one of val and one of test are near-duplicates."""
    photos = make_split(folder, 'train', 'val', 'test')
    for split, size in (('train', 90), ('val', 100), ('test', 120)):
        path = photos / split / 'rose' / f'again_{split}.jpg'
        picture(8).resize((size, size)).save(path, quality=85)
    data = (photos / 'train' / 'daisy' / '0001.jpg').read_bytes()
    (photos / 'test' / 'daisy' / 'same.jpg').write_bytes(data)
    return photos


def test_leaks_are_counted_and_kept(tmp_path, out, capsys):
    photos = leaking_photos(tmp_path / 'p')
    assert prepare(photos, out, Options())
    shown = capsys.readouterr().out
    assert '2 test and 1 val photos' in shown
    assert '--fix-leaks' in shown
    splits = splits_of(out)
    assert splits['again_val'] == 'val'
    assert splits['again_test'] == splits['same'] == 'test'
    assert (
        'each group within one split' not in (out / 'report.txt').read_text()
    )
    assert 'Near-duplicates in two splits (2)' in ok('--check', out)


def test_leaks_are_moved_to_train(tmp_path, out):
    photos = leaking_photos(tmp_path / 'p')
    assert prepare(photos, out, Options(fix_leaks=True))
    splits = splits_of(out)
    for name in ('again_val', 'again_test', 'again_train', 'same', '0001'):
        assert splits[name] == 'train'
    assert splits['0102'] == 'val'
    assert 'in two splits (' not in ok('--check', out)


def test_other_classes_are_named(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val')
    (photos / 'val' / 'rose').rename(photos / 'val' / 'roses')
    with pytest.raises(UserError, match='train lacks roses; val lacks rose'):
        prepare(photos, out, Options())
    assert not out.exists()


def test_an_empty_class_folder_of_val_is_no_error(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val')
    for path in (photos / 'val' / 'rose').iterdir():
        path.unlink()
    assert prepare(photos, out, Options())
    assert 'for val: rose' in (out / 'report.txt').read_text()


def test_a_class_without_training_photos(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val')
    for path in (photos / 'train' / 'rose').iterdir():
        path.unlink()
    with pytest.raises(
        UserError, match='no training photo of 1 classes: rose'
    ):
        prepare(photos, out, Options())


def test_two_folders_for_one_split(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val', 'valid')
    with pytest.raises(UserError, match='two folders for the split val'):
        prepare(photos, out, Options())


def test_splits_without_class_folders(tmp_path, out):
    for split in ('train', 'test'):
        save(tmp_path / 'p' / split / '1.jpg', 1)
    with pytest.raises(UserError, match='without class folders'):
        prepare(tmp_path / 'p', out, Options())


def test_test_photos_without_classes_are_left_out(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val')
    save(photos / 'test' / 'unknown.jpg', 900)
    assert prepare(photos, out, Options())
    assert set(read_record(out)['left_out']) == {'test/unknown.jpg'}


def test_equal_names_in_two_splits_stay_two_photos(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val')
    save(photos / 'train' / 'rose' / 'x.jpg', 800)
    save(photos / 'val' / 'rose' / 'x.jpg', 801)
    assert prepare(photos, out, Options())
    assert len(read_splits(out)) == 28


def test_photos_of_split_folders_are_not_referred_to(tmp_path, out):
    photos = make_split(tmp_path / 'p', 'train', 'val')
    with pytest.raises(UserError, match='--how link'):
        prepare(photos, out, Options(how='none'))
