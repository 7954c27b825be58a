"""`prepare` as users call it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import (
    ENV,
    TOOL,
    contents,
    make_photos,
    ok,
    picture,
    read_record,
    read_splits,
    refused,
    save,
)

RUN = 'runpy.run_path(sys.argv[0], run_name="__main__")'


def python(code: str, *args: object) -> str:
    done = subprocess.run(
        [sys.executable, '-c', code, TOOL, *args],
        capture_output=True,
        text=True,
        env=ENV,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_imports_neither_numpy_nor_torch():
    shown = python(
        'import sys, runpy; sys.argv = [sys.argv[1], "--help"]\n'
        f'try: {RUN}\n'
        'except SystemExit: pass\n'
        'print([m for m in ("numpy", "PIL", "torch") if m in sys.modules])'
    )
    assert '--on-conflict' in shown
    assert shown.endswith('[]\n')


def test_training_libraries_are_not_needed(photos, out):
    python(
        'import sys, runpy\n'
        'for m in ("torch", "mmengine", "cv2", "mmpretrain", "mmcv"):\n'
        '    sys.modules[m] = None\n'
        f'sys.argv = sys.argv[1:]\n{RUN}',
        *(photos, '--out', out),
    )
    assert (out / 'train.txt').exists()


def test_layout(photos, prepared):
    assert {p.name for p in prepared.iterdir()} == {
        'train', 'val', 'classes.txt', 'train.txt', 'val.txt', 'report.txt',
        'dataset.json',
    }  # fmt: skip
    assert (prepared / 'classes.txt').read_text() == 'daisy\nrose\n'
    photo_count = 0
    for split in ('train', 'val'):
        for line in (prepared / f'{split}.txt').read_text().splitlines():
            path, index = line.rsplit(' ', 1)
            assert index == str(['daisy', 'rose'].index(path.split('/')[0]))
            copy = (prepared / split / path).read_bytes()
            assert copy == (photos / path).read_bytes()
            photo_count += 1
    assert photo_count == len(read_splits(prepared)) == 22
    assert [p.name for p in prepared.parent.iterdir()] == [prepared.name]


def test_dataset_json(prepared):
    record = read_record(prepared)
    assert record['classes'] == ['daisy', 'rose']
    assert record['photos'] is None
    assert record['options']['seed'] == 0
    total = sum(n for c in record['counts'].values() for n in c.values())
    assert total == 22
    lines = sorted(  # of sha256sum
        f'{sha}  {split}/{path}\n'
        for split, files in record['files'].items()
        for path, sha in files.items()
    )
    whole = hashlib.sha256(''.join(lines).encode()).hexdigest()
    assert record['sha256'] == whole


def test_screen(photos, out):
    shown = ok(photos, '--out', out, '--test', '0.2')
    command = 'train.py configs/flower/resnet50_flower.py'
    assert f'{command} --data {out}' in shown
    (total,) = (line for line in shown.splitlines() if 'total' in line)
    assert sum(map(int, total.split()[1:])) == 22
    assert set(read_splits(out).values()) == {'train', 'val', 'test'}


def test_dataset_without_validation_photos(tmp_path):
    photos = tmp_path / 'photos'
    make_photos(photos, {'daisy': 1, 'rose': 1})
    for path in [*photos.rglob('*.jpg')]:
        for number in range(5):
            copy = Image.open(path).resize((90 + number, 90 + number))
            copy.save(path.with_name(f'{path.stem}_{number}.jpg'))
    shown = ok(photos, '--out', tmp_path / 'out')
    assert 'no validation photos' in shown
    assert 'is ready' not in shown


def test_second_run_changes_nothing(photos, prepared):
    before = contents(prepared)
    times = {p: p.stat().st_mtime_ns for p in prepared.rglob('*')}
    assert 'nothing to do' in ok(photos, '--out', prepared)
    assert contents(prepared) == before
    assert times == {p: p.stat().st_mtime_ns for p in prepared.rglob('*')}
    next((prepared / 'train').rglob('*.jpg')).write_bytes(b'?')
    assert '1 files changed' in refused(photos, '--out', prepared)


def test_result_is_independent_of_place_and_time(photos, prepared, tmp_path):
    other = tmp_path / 'other'
    for file in sorted(photos.rglob('*.jpg'), reverse=True):
        copy = other / file.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    ok(other, '--out', tmp_path / 'out2')
    first, second = contents(prepared), contents(tmp_path / 'out2')
    del first['dataset.json'], second['dataset.json']
    assert first == second


def test_other_files_are_never_replaced(photos, prepared, tmp_path):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'thesis.txt').write_text('years of work')
    for more in ([], ['--overwrite']):
        refused(photos, '--out', mine, *more)
    assert list(contents(mine)) == ['thesis.txt']
    make_photos(photos, {'daisy': 3}, start=100)
    before = contents(prepared)
    assert '--overwrite' in refused(photos, '--out', prepared)
    assert contents(prepared) == before
    (prepared / 'notes.txt').write_text('mine')
    assert 'notes.txt' in refused(photos, '--out', prepared, '--overwrite')
    assert contents(prepared) == before | {'notes.txt': b'mine'}


def test_old_photos_keep_their_split(photos, prepared, tmp_path):
    before = read_splits(prepared)
    make_photos(photos, {'daisy': 15, 'rose': 4, 'aster': 6}, start=100)
    fresh = tmp_path / 'fresh'
    ok(photos, '--out', fresh, '--splits-from', prepared)
    ok(photos, '--out', prepared, '--overwrite')
    after = read_splits(prepared)
    assert {path: after[path] for path in before} == before
    assert len(after) == 47
    assert read_splits(fresh) == after
    assert (prepared / 'classes.txt').read_text() == 'aster\ndaisy\nrose\n'


def test_new_near_duplicate_follows_the_old_photo(photos, prepared):
    before = read_splits(prepared)
    for path in before:
        with Image.open(photos / path) as image:
            image.save(photos / path.replace('.jpg', '_again.jpg'), quality=60)
    ok(photos, '--out', prepared, '--overwrite')
    after = read_splits(prepared)
    assert len(after) == 44
    for path, split in before.items():
        again = path.replace('.jpg', '_again.jpg')
        assert after[path] == after[again] == split


def test_another_seed_is_another_split(photos, prepared):
    before = read_splits(prepared)
    ok(photos, '--out', prepared, '--seed', 5, '--overwrite')
    assert read_splits(prepared) != before
    assert read_record(prepared)['options']['seed'] == 5


def test_near_duplicates_stay_in_one_split(tmp_path, out):
    photos = make_photos(tmp_path / 'p', {'a': 20, 'b': 20})
    for file in list(photos.rglob('*.jpg')):
        copy = file.with_name(f'{file.stem} copy.jpg')
        if int(file.stem) % 2:
            copy.write_bytes(file.read_bytes())
        else:
            with Image.open(file) as image:
                image.resize((128, 96)).save(copy, quality=70)
    ok(photos, '--out', out, '--val', '0.4', '--test', '0.2')
    splits = read_splits(out)
    assert len(splits) == 80
    for path, split in splits.items():
        if 'copy' not in path:
            assert splits[path.replace('.jpg', ' copy.jpg')] == split


def test_identical_photos_under_two_classes_are_left_out(photos, out):
    """Identical by their pixels; a near-duplicate of both stays."""
    first, second = (photos / c / 'same.png' for c in ('daisy', 'rose'))
    save(first, 500)
    save(second, 500, compress_level=1)
    assert first.read_bytes() != second.read_bytes()
    save(photos / 'rose' / 'near.jpg', 500, quality=50)
    pair = 'daisy/same.png = rose/same.png'
    assert pair in ok(photos, '--out', out)
    assert pair in (out / 'report.txt').read_text()
    assert len(read_splits(out)) == 23
    left_out = read_record(out)['left_out']
    assert set(left_out) == {'daisy/same.png', 'rose/same.png'}
    ok('--check', out)
    ok(photos, '--out', out, '--overwrite', '--on-conflict', 'keep')
    splits = read_splits(out)
    assert len(splits) == 25
    assert splits['daisy/same.png'] == splits['rose/same.png']
    assert pair in (out / 'report.txt').read_text()
    ok('--check', out)


def test_near_duplicates_under_two_classes_are_kept_and_listed(photos, out):
    save(photos / 'daisy' / 'same.png', 500)
    save(photos / 'rose' / 'same.jpg', 500, quality=50)
    pair = 'daisy/same.png = rose/same.jpg'
    assert pair in ok(photos, '--out', out)
    assert pair in (out / 'report.txt').read_text()
    splits = read_splits(out)
    assert len(splits) == 24
    assert splits['daisy/same.png'] == splits['rose/same.jpg']
    record = read_record(out)
    assert record['left_out'] == {}
    assert record['equal'] == [['daisy/same.png', 'rose/same.jpg']]
    ok('--check', out)


def test_unusable_photos(photos, out, tmp_path):
    """They stop the run before it writes anything, or are left out."""
    data = save(photos / 'daisy' / 'cut.jpg', 300).read_bytes()
    (photos / 'daisy' / 'cut.jpg').write_bytes(data[:-100])
    (photos / 'daisy' / 'empty.png').touch()
    (photos / 'rose' / 'page.jpg').write_text('<html>')
    picture(301, (8, 8)).save(photos / 'rose' / 'tiny.png')
    unusable = {
        'daisy/cut.jpg', 'daisy/empty.png', 'rose/page.jpg', 'rose/tiny.png',
    }  # fmt: skip
    before = set(tmp_path.rglob('*'))
    text = refused(photos, '--out', out)
    assert '--on-bad skip' in text
    assert all(f'{path}: ' in text for path in unusable)
    assert set(tmp_path.rglob('*')) == before
    shown = ok(photos, '--out', out, '--on-bad', 'skip')
    report = (out / 'report.txt').read_text(encoding='utf-8')
    assert all(f'{path}: ' in report and path in shown for path in unusable)
    assert set(read_record(out)['left_out']) == unusable
    assert len(read_splits(out)) == 22


def test_other_files_do_not_stop_the_rest(photos, out):
    for name in ('README.md', 'daisy/favicon.ico', 'daisy/a.json', 'rose/x'):
        (photos / name).write_text('text')
    (photos / 'empty').mkdir()
    save(photos / 'cover.jpg', 600)
    shown = ok(photos, '--out', out)
    assert '4 other files ignored' in shown
    assert 'Folders without photos: empty' in shown
    assert set(read_record(out)['left_out']) == {'cover.jpg'}
    assert (out / 'classes.txt').read_text() == 'daisy\nrose\n'
    assert len(read_splits(out)) == 22


def test_rare_formats_are_rewritten(photos, out):
    photo = picture(400)
    photo.convert('CMYK').save(photos / 'daisy' / 'print.jpg')
    hole = photo.transpose(Image.Transpose.ROTATE_90)
    hole.putalpha(0)
    hole.save(photos / 'rose' / 'hole.png')
    assert '2 photos rewritten' in ok(photos, '--out', out)
    splits = read_splits(out)
    for path, expected in (
        ('daisy/print.png', np.asarray(photo)),
        ('rose/hole.png', np.full((64, 48, 3), 255)),
    ):
        with Image.open(out / splits[path] / path) as image:
            assert image.mode == 'RGB'
            difference = np.abs(np.asarray(image).astype(int) - expected)
            assert difference.mean() < 4
    rewritten = read_record(out)['rewritten']
    assert rewritten['daisy/print.png']['path'] == 'daisy/print.jpg'
    ok('--check', out)
    assert 'nothing to do' in ok(photos, '--out', out)
    assert '--how copy' in refused(
        photos, '--out', out / '..' / 'x', '--how', 'none'
    )


def test_names(tmp_path, out):
    photos = make_photos(tmp_path / 'my photos', {'wild rose': 6, '薔薇': 6})
    names = ['a b.c.d.JPG', 'Ünï.jpeg', '花 1.PNG', "it's.Jpg"]
    for i, name in enumerate(names):
        file = photos / 'wild rose' / name
        picture(900 + i).save(file, 'PNG' if 'PNG' in name else 'JPEG')
    save(photos / 'wild rose' / 'trip' / 'x.jpg', 700)
    ok(photos, '--out', out)
    splits = read_splits(out)
    expected = {f'wild rose/{name}' for name in [*names, 'trip_x.jpg']}
    assert expected <= set(splits)
    for path, split in splits.items():
        assert (out / split / path).is_file()
    assert (out / 'classes.txt').read_text('utf-8') == 'wild rose\n薔薇\n'
    ok('--check', out)


def test_hard_links(photos, out):
    ok(photos, '--out', out, '--how', 'link')
    for path, split in read_splits(out).items():
        assert (out / split / path).samefile(photos / path)
    ok('--check', out)


def test_reference_to_the_photos(photos, out):
    save(photos / 'daisy' / 'trip' / 'x.jpg', 700)
    ok(photos, '--out', out, '--how', 'none')
    assert not (out / 'train').exists()
    root = Path(read_record(out)['photos'])
    assert 'daisy/trip/x.jpg' in read_splits(out)
    for path in read_splits(out):
        assert (root / path).samefile(photos / path)
    ok('--check', out)
    (photos / 'daisy' / '0000.jpg').write_bytes(b'?')
    assert 'daisy/0000.jpg' in refused('--check', out)


@pytest.mark.skipif(os.name == 'nt', reason='file names are text there')
def test_folder_name_that_is_not_utf8(photos, out):
    odd = photos.rename(photos.with_name(os.fsdecode(b'caf\xe9')))
    assert '--how copy' in refused(odd, '--out', out, '--how', 'none')
    ok(odd, '--out', out)
    assert read_record(out)['source'].endswith('/caf\\udce9')


def test_reference_needs_the_spelling_of_the_disk(photos, out):
    (photos / 'daisy').rename(photos / 'cafe\u0301')
    assert '--how copy' in refused(photos, '--out', out, '--how', 'none')
    ok(photos, '--out', out)
    assert read_record(out)['classes'] == ['caf\u00e9', 'rose']


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (['--val', '0'], 'above 0'),
        (['--val', '1.5'], 'below 1'),
        (['--val', 'nan'], 'above 0'),
        (['--val', '0.6', '--test', '0.4'], 'below 1'),
        (['--test', '-0.1'], 'got --val 0.2 --test -0.1'),
        (['--splits-from', 'nowhere'], 'not a prepared dataset'),
    ],
)
def test_invalid_options(photos, out, args, words):
    assert words in refused(photos, '--out', out, *args)
    assert not out.parent.exists()


@pytest.mark.parametrize('url', ['https://x.org/p.zip', 's3://bucket/p'])
def test_addresses_are_refused(url, out):
    assert f'{url} is a URL' in refused(url, '--out', out)


def test_invalid_photos(tmp_path, out):
    assert 'does not exist' in refused(tmp_path / 'none', '--out', out)
    one = make_photos(tmp_path / 'one', {'daisy': 3})
    assert 'one class' in refused(one, '--out', out)
    (one / 'rose').mkdir()
    assert 'one class (daisy)' in refused(one, '--out', out)
    (one / 'rose' / 'cut.jpg').touch()
    assert 'without a usable photo' in refused(
        one, '--out', out, '--on-bad', 'skip'
    )
    inside = make_photos(tmp_path / 'in', {'daisy': 2, 'rose': 2})
    assert 'contain each other' in refused(inside, '--out', inside / 'out')
    assert not out.parent.exists()


def test_class_of_one_photo(tmp_path, out):
    photos = make_photos(tmp_path / 'p', {'daisy': 5, 'rose': 1})
    assert 'too few different photos for val: rose' in ok(photos, '--out', out)
    assert [s for p, s in read_splits(out).items() if 'rose' in p] == ['train']


@pytest.mark.skipif(
    not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write'
)
def test_no_permission(photos, tmp_path):
    locked = tmp_path / 'locked'
    locked.mkdir(mode=0o500)
    assert 'Permission denied' in refused(photos, '--out', locked / 'out')
