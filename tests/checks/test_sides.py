"""One photo in train and in val: the same file, its bytes, or nearly."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from examining import NOTE, WARN, Examined, look_at, write
from helpers import tool
from making import TINY_ON_BASE, custom, lines_of, make_dataset, write_lines
from PIL import Image

PHOTOS = {'rose': 6, 'tulip': 6}
FEW = {'rose': 3, 'tulip': 3}
SAYINGS = ('as well, such as', 'photos: what it measures', 'nearly', 'nobody')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / 'mine', train=PHOTOS, val=FEW)


@pytest.fixture
def examine(tmp_path: Path, root: Path):
    def run(text: str = TINY_ON_BASE, *words: str, **how) -> Examined:
        path = write(tmp_path, text)
        return look_at(path, '--data-root', root, *words, **how)

    return run


def blamed(seen: Examined) -> list:
    return [
        finding
        for finding in seen.found
        if any(saying in finding.what for saying in SAYINGS)
    ]


# --- mistakes 4 and 7, as people had them ------------------------------------


def test_train_photos_in_val(examine, root):
    """A split drawn twice, each time from all photos."""
    for name in ('rose/001.jpg', 'tulip/002.jpg'):
        shutil.copy(root / 'train' / name, root / 'val' / name)
    found = examine().one('as well, such as')
    assert found.level == WARN
    assert '2 of the 6 photos of val are in train' in found.what
    assert f'{root}/val/rose/001.jpg' in found.what
    assert found.where == str(root / 'val.txt')
    assert 'prepare PHOTOS' in found.mend


def test_val_is_a_copy_of_train(examine, root):
    """Lists were copied for want of a split."""
    shutil.rmtree(root / 'val')
    shutil.copytree(root / 'train', root / 'val')
    shutil.copy(root / 'train.txt', root / 'val.txt')
    found = examine().one('12 of the 12 photos of val are in train')
    assert found.level == WARN


def test_val_reads_the_split_train(examine):
    text = TINY_ON_BASE + "val_dataloader['dataset']['split'] = 'train'\n"
    found = examine(text).one('val is train, the same 12 photos')
    assert found.level == WARN
    assert found.where == 'val_dataloader.dataset.split'
    words = shlex.split(found.mend)
    assert examine(text, *words).about('what it measures') == []


def test_val_lists_photos_of_train(examine, root):
    """The prefix of train for val, where names are the same."""
    text = custom(root, f"classes='{root}/classes.txt',")
    seen = examine(text.replace("data_prefix='val'", "data_prefix='train'"))
    found = seen.one('6 of the 6 photos of val are in train')
    assert f'such as {root}/train/rose/000.jpg' in found.what
    assert examine(text).about('as well, such as') == []


def test_nobody_looked_for_duplicates(examine):
    found = examine().one('This dataset was made by hand')
    assert found.level == NOTE
    assert 'nobody has looked for nearly equal ones among 18' in found.what
    assert 'prepare PHOTOS' in found.mend


def test_what_is_in_val_and_in_test(examine, root, tmp_path):
    make_dataset(tmp_path / 'more', train=PHOTOS, val=FEW, test=FEW)
    shutil.copytree(tmp_path / 'more' / 'test', root / 'test')
    shutil.copy(tmp_path / 'more' / 'test.txt', root / 'test.txt')
    shutil.copy(root / 'val/rose/000.jpg', root / 'test/rose/001.jpg')
    found = examine().one('1 of the 6 photos of test are in val')
    assert found.where == str(root / 'test.txt')


def test_different_photos_are_not_blamed(examine):
    assert [f for f in blamed(examine()) if f.level > NOTE] == []


def test_not_validating_is_no_fault(examine):
    seen = examine(TINY_ON_BASE, '--no-validate')
    assert [f for f in blamed(seen) if f.level > NOTE] == []


# --- nearly the same, for the doctor -----------------------------------------


def paint(
    path: Path, number: int, size: tuple[int, int], quality: int
) -> None:
    """Smooth colours, different for each number."""
    colours = np.random.default_rng(number).integers(0, 256, (6, 6, 3))
    picture = Image.fromarray(colours.astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((96, 72)).resize(size).save(path, quality=quality)


@pytest.fixture
def smooth(root: Path) -> Path:
    """The same dataset with photos that have something to see."""
    for number, path in enumerate(sorted(root.rglob('*.jpg'))):
        paint(path, number, (96, 72), 95)
    return root


def test_the_same_photo_re_encoded_and_smaller(examine, smooth):
    paint(smooth / 'val/tulip/001.jpg', 3, (80, 60), 60)
    paint(smooth / 'train/rose/000.jpg', 3, (96, 72), 95)
    assert examine().about('are nearly') == []  # that takes time
    seen = examine(thorough=True)
    found = seen.one('1 held-out photo(s) are nearly those of train')
    assert found.level == WARN
    assert 'val/tulip/001.jpg' in found.what
    assert 'train/rose/000.jpg' in found.what
    assert seen.one('in two classes').level == WARN


def test_looked_and_found_nothing(examine, smooth):
    found = examine(thorough=True).one('was made by hand')
    assert found.level == NOTE
    assert 'no photo of 18 is nearly that of another side' in found.what


def test_a_photo_that_shows_nothing(examine, smooth):
    path = smooth / 'train/rose/002.jpg'
    Image.new('RGB', (20, 20)).save(path)
    seen = examine(thorough=True)
    found = seen.one('of no use')
    assert found.level == WARN
    assert str(path) in found.what
    assert seen.about('cannot be loaded') == []


def test_a_photo_that_is_none_is_told_once(examine, smooth):
    path = smooth / 'train/rose/002.jpg'
    path.write_bytes(path.read_bytes()[:300])
    seen = examine(thorough=True)
    assert seen.one(str(path)) == seen.one('cannot be loaded')


def test_one_file_in_two_classes(examine, root):
    """The file is the same; it is the lines that differ."""
    write_lines(
        root / 'val.txt',
        [*lines_of(root / 'val.txt'), '../train/rose/000.jpg 1'],
    )
    text = custom(root, f"classes='{root}/classes.txt',")
    found = examine(text, thorough=True).one('in two classes')
    assert '(rose)' in found.what
    assert '(tulip)' in found.what


# --- what prepare_dataset.py made --------------------------------------------


@pytest.fixture
def prepared(photos: Path, tmp_path: Path) -> Path:
    out = tmp_path / 'prepared'
    tool('prepare_dataset', photos, '--out', out, '--val', '0.3')
    return out


def test_a_prepared_dataset_is_taken_at_its_word(prepared, tmp_path):
    config = write(tmp_path, TINY_ON_BASE)
    seen = look_at(config, '--data-root', prepared, thorough=True)
    assert blamed(seen) == []


def test_lists_changed_by_hand_since(prepared, tmp_path):
    """A photo was moved from train to val, and another left in both."""
    lines = lines_of(prepared / 'train.txt')
    for line in lines[:2]:
        name = line.rsplit(' ', 1)[0]
        shutil.copy(prepared / 'train' / name, prepared / 'val' / name)
    write_lines(
        prepared / 'val.txt', [*lines_of(prepared / 'val.txt'), *lines[:2]]
    )
    write_lines(prepared / 'train.txt', lines[1:])
    config = write(tmp_path, TINY_ON_BASE)
    seen = look_at(config, '--data-root', prepared)
    assert seen.one('not those that were prepared').level == NOTE
    held = len(lines_of(prepared / 'val.txt'))
    found = seen.one(f'1 of the {held} photos of val are in train')
    assert found.level == WARN


def test_a_dataset_json_that_cannot_be_read_is_no_hindrance(
    prepared, tmp_path
):
    (prepared / 'dataset.json').write_text('{"format": 99}')
    config = write(tmp_path, TINY_ON_BASE)
    seen = look_at(config, '--data-root', prepared)
    assert seen.one('made by hand').level == NOTE
