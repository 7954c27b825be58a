"""Files in class folders that CustomDataset passes over for their endings."""

import shlex
from pathlib import Path

import pytest
from examining import STOP, WARN, Examined, look_at, write
from making import FOLDERS, custom, make_dataset

PHOTOS = {'rose': 6, 'tulip': 6}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / 'mine', train=PHOTOS, val=PHOTOS)


@pytest.fixture
def examine(tmp_path: Path):
    def run(text: str, *words: str) -> Examined:
        return look_at(write(tmp_path, text), *words)

    return run


def folders(root: Path) -> str:
    return custom(root, f"classes='{root}/classes.txt',", FOLDERS)


def rename(root: Path, folder: str, ending: str, count: int = 6) -> None:
    for path in sorted((root / folder).iterdir())[:count]:
        path.rename(path.with_suffix(ending))


def test_a_class_of_files_that_are_not_read(examine, root):
    rename(root, 'train/rose', '.JPEG2')
    found = examine(folders(root)).one('No photo of rose is in train')
    assert found.level == STOP
    assert '6 file(s) with endings that are not read (.JPEG2)' in found.what
    words = shlex.split(found.mend)
    assert examine(folders(root), *words).about('of rose') == []


def test_a_class_of_notes(examine, root):
    for path in (root / 'train/rose').iterdir():
        path.unlink()
    (root / 'train/rose/notes.txt').write_text('none yet')
    found = examine(folders(root)).one('No photo of rose is in train')
    assert 'notes.txt' in found.what
    assert 'cfg-options' not in found.mend


def test_some_photos_of_a_class_are_not_read(examine, root):
    rename(root, 'val/tulip', '.jfif', 4)
    (root / 'val/tulip/notes.txt').write_text('usual')
    found = examine(folders(root)).one('folders of val have 4 file(s) with')
    assert found.level == WARN
    words = shlex.split(found.mend)
    seen = examine(folders(root), *words)
    assert seen.about('folders of val') == []
    assert len(seen.case.splits['val_dataloader'].photos) == 12


def test_files_that_are_no_photos_have_to_be_saved_as_such(examine, root):
    rename(root, 'train/tulip', '.heic', 1)
    (root / 'train/tulip/000.heic').write_bytes(b'    ftypheic')
    found = examine(folders(root)).one('folders of train have 1 file(s)')
    assert found.where == f'{root}/train/tulip'
    assert 'cfg-options' not in found.mend


def test_a_list_names_what_is_read(examine, root):
    """And clutter is none of the photos."""
    rename(root, 'val/tulip', '.jfif', 4)
    (root / 'train/rose/.DS_Store').write_text('')
    named = f"classes='{root}/classes.txt',"
    assert examine(custom(root, named)).about('with endings') == []
