"""The next version of a dataset, with corrected labels."""

import hashlib
import shutil
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare.corrections import Correction, Corrections
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.verify_dataset import check

from .conftest import (
    contents,
    make_photos,
    ok,
    picture,
    read_record,
    read_splits,
    refused,
    save,
)

OPTIONS = Options(val=0.3, test=0.2, seed=3)


@pytest.fixture
def parent(photos: Path, tmp_path: Path) -> Path:
    out = tmp_path / 'mine'
    assert prepare(photos, out, OPTIONS)
    return out


def decide(root: Path, split: str, photo: str, action: str, label: str = ''):
    sha256 = hashlib.sha256((root / split / photo).read_bytes()).hexdigest()
    Corrections(root).add(
        [
            Correction(
                '2026-01-02T03:04:05Z', 'ann', split, photo, sha256,
                photo.partition('/')[0], action, label,
            )
        ]
    )  # fmt: skip


def apply(root: Path, name: str = 'new', **options) -> Path:
    out = root.with_name(name)
    assert prepare(root, out, Options(**options), corrects=True)
    check(out)
    return out


def refusal(source: Path, name: str, **options) -> str:
    with pytest.raises(UserError) as error:
        prepare(
            source, source.with_name(name), Options(**options), corrects=True
        )
    assert not source.with_name(name).exists()
    return str(error.value)


def of_split(root: Path, split: str, label: str) -> list[str]:
    return sorted(
        f'{label}/{path.name}' for path in (root / split / label).iterdir()
    )


def test_photos_move_leave_and_stay(parent):
    daisies = of_split(parent, 'train', 'daisy')
    roses = of_split(parent, 'val', 'rose')
    decide(parent, 'train', daisies[0], 'relabel', 'rose')
    decide(parent, 'train', daisies[1], 'exclude')
    decide(parent, 'train', daisies[2], 'keep')
    decide(parent, 'train', daisies[3], 'unsure')
    decide(parent, 'val', roses[0], 'relabel', 'daisy')
    before = read_splits(parent)
    old = contents(parent)
    new = apply(parent)
    assert contents(parent) == old
    expected = dict(before)
    del expected[daisies[0]], expected[daisies[1]], expected[roses[0]]
    expected[daisies[0].replace('daisy', 'rose')] = 'train'
    expected[roses[0].replace('rose', 'daisy')] = 'val'
    assert read_splits(new) == expected
    moved = new / 'train' / daisies[0].replace('daisy', 'rose')
    assert moved.read_bytes() == (parent / 'train' / daisies[0]).read_bytes()
    record = read_record(new)
    assert record['parent'] == {
        'name': 'mine',
        'sha256': read_record(parent)['sha256'],
        'earlier': [],
    }
    done = record['corrections']
    csv = parent / 'corrections.csv'
    assert done['sha256'] == hashlib.sha256(csv.read_bytes()).hexdigest()
    assert done['counts'] == {
        'train': {'relabel': 1, 'exclude': 1, 'keep': 1, 'unsure': 1},
        'val': {'relabel': 1},
        'test': {},
    }
    assert done['not_corrected'] == []
    assert len(record['reviewed']) == 3  # the others are still open
    assert record['options']['val'] == 0.3
    assert record['options']['seed'] == 3


def test_the_same_twice(parent):
    for photo in of_split(parent, 'train', 'daisy')[:3]:
        decide(parent, 'train', photo, 'relabel', 'rose')
    one, two = apply(parent, 'one'), apply(parent, 'two')
    assert contents(one) == contents(two)


def test_an_existing_version(parent, capsys):
    photo = of_split(parent, 'train', 'daisy')[0]
    decide(parent, 'train', photo, 'keep')
    new = apply(parent)
    apply(parent)
    assert 'up to date' in capsys.readouterr().out
    # The photos are the same, the corrections are not.
    decide(parent, 'train', of_split(parent, 'train', 'rose')[0], 'keep')
    with pytest.raises(UserError, match='--overwrite'):
        prepare(parent, new, Options(), corrects=True)
    assert prepare(parent, new, Options(), overwrite=True, corrects=True)
    assert len(read_record(new)['reviewed']) == 2


def test_the_next_version_of_the_next_version(parent):
    daisy = of_split(parent, 'train', 'daisy')[0]
    decide(parent, 'train', daisy, 'relabel', 'rose')
    second = apply(parent, 'second')
    rose = daisy.replace('daisy', 'rose')
    decide(second, 'train', rose, 'relabel', 'daisy')
    third = apply(second, 'third')
    assert read_splits(third) == read_splits(parent)
    record = read_record(third)
    assert record['files'] == read_record(parent)['files']
    assert record['parent']['sha256'] == read_record(second)['sha256']
    assert record['parent']['earlier'] == [read_record(parent)['sha256']]
    assert len(record['reviewed']) == 1


def test_an_undone_decision_has_no_effect(parent):
    photo = of_split(parent, 'train', 'daisy')[0]
    decide(parent, 'train', photo, 'exclude')
    decide(parent, 'train', photo, 'undo')
    assert 'no corrections' in refusal(parent, 'new')
    decide(parent, 'train', of_split(parent, 'train', 'rose')[0], 'exclude')
    assert photo in read_splits(apply(parent))


def test_a_photo_that_changed_since_is_not_corrected(parent, capsys):
    photo = of_split(parent, 'train', 'daisy')[0]
    decide(parent, 'train', photo, 'relabel', 'rose')
    picture(900).save(parent / 'train' / photo)
    new = apply(parent)
    assert f'train/{photo}' in capsys.readouterr().out
    record = read_record(new)
    assert record['corrections']['not_corrected'] == [f'train/{photo}']
    assert record['corrections']['counts']['train'] == {}
    assert photo in read_splits(new)


def test_an_empty_photo_can_be_excluded(parent, capsys):
    rose = of_split(parent, 'train', 'rose')[0]
    (parent / 'train' / rose).write_bytes(b'')
    decide(parent, 'train', rose, 'exclude')
    new = apply(parent)
    assert not (new / 'train' / rose).exists()
    assert 'changed since' not in capsys.readouterr().out


def test_a_changed_photo_does_not_leak(parent, capsys):
    """It is now a copy of a validation photo, and follows it."""
    photo = of_split(parent, 'train', 'daisy')[0]
    held_out = of_split(parent, 'val', 'daisy')[0]
    decide(parent, 'train', of_split(parent, 'train', 'rose')[0], 'exclude')
    shutil.copy(parent / 'val' / held_out, parent / 'train' / photo)
    new = apply(parent)
    assert 'as new ones' in capsys.readouterr().out
    splits = read_splits(new)
    assert splits[photo] == splits[held_out] == 'val'


def test_a_name_that_the_class_has(tmp_path, photos):
    """The photo that was there keeps its name."""
    for number in range(8):
        save(photos / 'daisy' / f's{number}.jpg', 700 + number)
        save(photos / 'rose' / f's{number}.jpg', 800 + number)
    parent = tmp_path / 'mine'
    assert prepare(photos, parent, OPTIONS)
    splits = read_splits(parent)
    name = next(
        f's{i}.jpg' for i in range(8) if splits[f'daisy/s{i}.jpg'] == 'train'
    )
    decide(parent, 'train', f'daisy/{name}', 'relabel', 'rose')
    new = apply(parent)
    assert read_splits(new)[f'rose/{name}'] == splits[f'rose/{name}']
    split = splits[f'rose/{name}']
    assert (new / split / 'rose' / name).read_bytes() == (
        parent / split / 'rose' / name
    ).read_bytes()
    (moved,) = (new / 'train' / 'rose').glob(f'{name[:2]}-*.jpg')
    assert (
        moved.read_bytes() == (parent / 'train' / 'daisy' / name).read_bytes()
    )


def test_identical_photos_under_two_classes_are_left_out(tmp_path, photos):
    shutil.copy(photos / 'daisy' / '0000.jpg', photos / 'daisy' / 'copy.jpg')
    parent = tmp_path / 'mine'
    assert prepare(photos, parent, OPTIONS)
    split = read_splits(parent)['daisy/copy.jpg']
    decide(parent, split, 'daisy/copy.jpg', 'relabel', 'rose')
    new = apply(parent)
    assert not {'rose/copy.jpg', 'daisy/0000.jpg'} & read_splits(new).keys()
    assert len(read_record(new)['left_out']) == 2
    decide(parent, split, 'daisy/0000.jpg', 'relabel', 'rose')
    assert {'rose/copy.jpg', 'rose/0000.jpg'} <= read_splits(
        apply(parent, 'both')
    ).keys()


def test_near_duplicates_stay_in_one_split(parent):
    """As does a photo that is relabelled away from them."""
    groups = read_record(parent)['equal']
    decide(
        parent, 'train', of_split(parent, 'train', 'daisy')[0], 'relabel',
        'rose',
    )  # fmt: skip
    assert read_record(apply(parent))['equal'] == groups


def test_a_published_split_is_kept(tmp_path):
    for i, split in enumerate(('train', 'val', 'test')):
        make_photos(
            tmp_path / 'photos' / split, {'daisy': 6, 'rose': 6}, 100 * i
        )
    # A leak, which stays and is counted.
    shutil.copy(
        tmp_path / 'photos/train/daisy/0000.jpg',
        tmp_path / 'photos/test/daisy/leak.jpg',
    )
    parent = tmp_path / 'mine'
    assert prepare(tmp_path / 'photos', parent, Options())
    decide(parent, 'train', 'daisy/0001.jpg', 'relabel', 'rose')
    decide(parent, 'test', 'daisy/0200.jpg', 'exclude')
    before = read_splits(parent)
    new = apply(parent)
    del before['daisy/0200.jpg'], before['daisy/0001.jpg']
    assert read_splits(new) == before | {'rose/0001.jpg': 'train'}
    assert read_record(new)['published_splits'] == ['test', 'train', 'val']
    fixed = apply(parent, 'fixed', fix_leaks=True)
    assert read_splits(fixed)['daisy/leak.jpg'] == 'train'


def test_photos_outside_the_dataset(tmp_path, photos):
    parent = tmp_path / 'mine'
    assert prepare(photos, parent, Options(how='none'))
    splits = read_splits(parent)
    photo = next(p for p in splits if splits[p] == 'train' and 'daisy' in p)
    sha256 = hashlib.sha256((photos / photo).read_bytes()).hexdigest()
    Corrections(parent).add(
        [Correction('', 'ann', 'train', photo, sha256, 'daisy', 'relabel',
                    'rose')]
    )  # fmt: skip
    new = apply(parent)
    assert read_splits(new)[photo.replace('daisy', 'rose')] == 'train'
    assert read_record(new)['photos'] is None
    assert 'how none' in refusal(parent, 'other', how='none')


def test_mistakes(parent, photos):
    assert 'not a prepared dataset' in refusal(photos, 'new')
    assert 'review' in refusal(parent, 'new')
    photo = of_split(parent, 'train', 'daisy')[0]
    decide(parent, 'train', photo, 'relabel', 'tulip')
    assert "'tulip'" in refusal(parent, 'new')
    # The decisions would be lost.
    with pytest.raises(UserError, match=r'corrections\.csv'):
        prepare(photos, parent, Options(seed=9), overwrite=True)


def test_the_command(parent):
    photo = of_split(parent, 'train', 'daisy')[0]
    decide(parent, 'train', photo, 'exclude')
    assert '_corrected' in refused(parent, '--apply-corrections')
    new = parent.with_name('new')
    for flag in ('--splits-from', '--images', '--label-column'):
        options = '--apply-corrections', '--out', new, flag, parent
        assert f'{flag} ' in refused(parent, *options)
        assert not new.exists()
    assert '1 excluded' in ok(parent, '--apply-corrections', '--out', new)
    assert photo not in read_splits(new)


def test_a_dataset_that_review_has_opened_can_be_replaced(parent, photos):
    Corrections(parent).require_writable()
    assert prepare(photos, parent, Options(seed=9), overwrite=True)


def test_all_photos_of_a_class(parent):
    for split in ('train', 'val', 'test'):
        for photo in of_split(parent, split, 'daisy'):
            decide(parent, split, photo, 'exclude')
    message = refusal(parent, 'new')
    assert 'daisy' in message
    assert 'review' in message
