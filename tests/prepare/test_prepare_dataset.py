"""The tool as people call it."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flower_mm.prepare import dataset_json, write_dataset

from .conftest import (
    ENV,
    TOOL,
    everything,
    make_photos,
    picture,
    run,
    save,
    sides,
)


def record(out: Path) -> dict:
    return json.loads((out / 'dataset.json').read_text(encoding='utf-8'))


def seal(out: Path, said: dict) -> None:
    """Write dataset.json and the lists as if prepare had done it."""
    said['files'] = {
        side: dict(sorted(files.items()))
        for side, files in said['files'].items()
    }
    said['sha256'] = dataset_json.digest(said['files'])
    said['counts'] = dataset_json.counts(said['files'], said['classes'])
    (out / 'dataset.json').write_text(json.dumps(said))
    for side, files in said['files'].items():
        lines = dataset_json.annotation(files, said['classes'])
        (out / f'{side}.txt').write_text(''.join(f'{x}\n' for x in lines))


def ok(*args: object) -> subprocess.CompletedProcess:
    done = run(*args)
    assert done.returncode == 0, done.stderr
    return done


def refused(*args: object) -> str:
    """The error, which has to be short and no traceback."""
    done = run(*args)
    assert done.returncode == 2, done.stdout + done.stderr
    error = done.stderr[done.stderr.index('error: ') :].strip()
    assert len(error.splitlines()) <= 3
    return done.stdout + error


def test_help_is_fast_and_loads_nothing():
    code = (
        'import sys, runpy; sys.argv = [sys.argv[1], "--help"]\n'
        'try: runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit: pass\n'
        'print([m for m in ("numpy", "PIL", "torch") if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, TOOL],
        capture_output=True,
        text=True,
        env=ENV,
    )
    assert '--on-conflict' in done.stdout
    assert done.stdout.endswith('[]\n')


def test_training_libraries_are_not_needed(photos, out):
    code = (
        'import sys, runpy\n'
        'for m in ("torch", "mmengine", "cv2", "mmpretrain", "mmcv"):\n'
        '    sys.modules[m] = None\n'
        'sys.argv = sys.argv[1:]\n'
        'runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, TOOL, photos, '--out', out],
        capture_output=True,
        env=ENV,
    )
    assert done.returncode == 0, done.stderr
    assert (out / 'train.txt').exists()


def test_layout(photos, prepared):
    names = {p.name for p in prepared.iterdir()}
    assert names == {
        'train', 'val', 'classes.txt', 'train.txt', 'val.txt', 'report.txt',
        'dataset.json',
    }  # fmt: skip
    assert (prepared / 'classes.txt').read_text() == 'daisy\nrose\n'
    seen = set()
    for side in ('train', 'val'):
        for line in (prepared / f'{side}.txt').read_text().splitlines():
            path, index = line.rsplit(' ', 1)
            assert index == str(['daisy', 'rose'].index(path.split('/')[0]))
            copy = (prepared / side / path).read_bytes()
            assert copy == (photos / path).read_bytes()
            seen.add(path)
    assert len(seen) == 22
    assert [p.name for p in prepared.parent.iterdir()] == [prepared.name]


def test_dataset_json(photos, prepared):
    said = record(prepared)
    assert said['classes'] == ['daisy', 'rose']
    assert said['photos'] is None
    assert said['options']['seed'] == 0
    total = sum(n for c in said['counts'].values() for n in c.values())
    assert total == 22
    # `sha256` is that of the lines which sha256sum would print.
    lines = sorted(
        f'{sha}  {side}/{path}\n'
        for side, files in said['files'].items()
        for path, sha in files.items()
    )
    whole = hashlib.sha256(''.join(lines).encode()).hexdigest()
    assert said['sha256'] == whole


def test_screen(photos, out):
    done = ok(photos, '--out', out, '--test', '0.2')
    command = 'train.py configs/flower/resnet50_flower.py'
    assert f'{command} --data-root {out}' in done.stdout
    total = [line for line in done.stdout.splitlines() if 'total' in line]
    assert sum(map(int, total[0].split()[1:])) == 22
    assert set(sides(out).values()) == {'train', 'val', 'test'}


def test_a_dataset_without_validation_is_not_called_ready(tmp_path):
    photos = tmp_path / 'photos'
    make_photos(photos, {'daisy': 1, 'rose': 1})
    for path in [*photos.rglob('*.jpg')]:
        for number in range(5):
            copy = Image.open(path).resize((90 + number, 90 + number))
            copy.save(path.with_name(f'{path.stem}_{number}.jpg'))
    shown = ok(photos, '--out', tmp_path / 'out').stdout
    assert 'no photos for validation' in shown
    assert 'is ready' not in shown


def test_again_is_nothing_to_do(photos, prepared):
    before = everything(prepared)
    times = {p: p.stat().st_mtime_ns for p in prepared.rglob('*')}
    assert 'nothing to do' in ok(photos, '--out', prepared).stdout
    assert everything(prepared) == before
    assert times == {p: p.stat().st_mtime_ns for p in prepared.rglob('*')}


def test_again_on_a_damaged_dataset(photos, prepared):
    next((prepared / 'train').rglob('*.jpg')).write_bytes(b'?')
    assert 'not whole' in refused(photos, '--out', prepared)


def test_result_does_not_depend_on_where_or_when(photos, prepared, tmp_path):
    other = tmp_path / 'other'
    files = sorted(photos.rglob('*.jpg'), reverse=True)
    for file in files:
        copy = other / file.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    out = tmp_path / 'out2'
    ok(other, '--out', out)
    one, two = everything(prepared), everything(out)
    del one['dataset.json'], two['dataset.json']
    assert one == two


def test_other_dataset_is_not_touched(photos, prepared):
    before = everything(prepared)
    make_photos(photos, {'daisy': 3}, start=100)
    assert '--overwrite' in refused(photos, '--out', prepared)
    assert everything(prepared) == before


def test_foreign_folder_is_never_touched(photos, tmp_path):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'thesis.txt').write_text('years of work')
    before = everything(mine)
    for more in ([], ['--overwrite']):
        assert 'not a prepared dataset' in refused(
            photos, '--out', mine, *more
        )
        assert everything(mine) == before


def test_overwrite_keeps_what_others_put_there(photos, prepared):
    (prepared / 'notes.txt').write_text('mine')
    before = everything(prepared)
    args = (photos, '--out', prepared, '--seed', 1, '--overwrite')
    assert 'notes.txt' in refused(*args)
    assert everything(prepared) == before


def test_old_photos_keep_their_side(photos, prepared, tmp_path):
    before = sides(prepared)
    make_photos(photos, {'daisy': 15, 'rose': 4, 'aster': 6}, start=100)
    fresh = tmp_path / 'fresh'
    ok(photos, '--out', fresh, '--sides-from', prepared)
    ok(photos, '--out', prepared, '--overwrite')
    after = sides(prepared)
    assert {path: after[path] for path in before} == before
    assert len(after) == 47
    assert sides(fresh) == after
    assert (prepared / 'classes.txt').read_text() == 'aster\ndaisy\nrose\n'


def test_new_twin_follows_the_old_photo(photos, prepared):
    before = sides(prepared)
    for path in before:
        with Image.open(photos / path) as image:
            image.save(photos / path.replace('.jpg', '_again.jpg'), quality=60)
    ok(photos, '--out', prepared, '--overwrite')
    after = sides(prepared)
    assert len(after) == 44
    for path, side in before.items():
        assert after[path] == after[path.replace('.jpg', '_again.jpg')] == side


def test_another_seed_is_another_split(photos, prepared):
    before = sides(prepared)
    ok(photos, '--out', prepared, '--seed', 5, '--overwrite')
    assert sides(prepared) != before
    assert record(prepared)['options']['seed'] == 5


def test_twins_are_on_one_side(tmp_path, out):
    photos = make_photos(tmp_path / 'p', {'a': 20, 'b': 20})
    for file in list(photos.rglob('*.jpg')):
        twin = file.with_name(f'{file.stem} copy.jpg')
        if int(file.stem) % 2:
            twin.write_bytes(file.read_bytes())
        else:
            with Image.open(file) as image:
                image.resize((128, 96)).save(twin, quality=70)
    ok(photos, '--out', out, '--val', '0.4', '--test', '0.2')
    found = sides(out)
    assert len(found) == 80
    for path, side in found.items():
        if 'copy' not in path:
            assert found[path.replace('.jpg', ' copy.jpg')] == side


def test_identical_photos_under_two_classes_are_left_out(photos, out):
    """By their pixels: the files may differ."""
    first, second = (photos / c / 'same.png' for c in ('daisy', 'rose'))
    save(first, 500)
    save(second, 500, compress_level=1)
    assert first.read_bytes() != second.read_bytes()
    done = ok(photos, '--out', out)
    assert 'daisy/same.png = rose/same.png' in done.stdout
    assert 'daisy/same.png = rose/same.png' in (out / 'report.txt').read_text()
    assert len(sides(out)) == 22
    assert set(record(out)['left_out']) == {'daisy/same.png', 'rose/same.png'}
    ok('--check', out)
    ok(photos, '--out', out, '--overwrite', '--on-conflict', 'keep')
    found = sides(out)
    assert len(found) == 24
    assert found['daisy/same.png'] == found['rose/same.png']
    assert 'daisy/same.png = rose/same.png' in (out / 'report.txt').read_text()
    ok('--check', out)


def test_near_duplicates_under_two_classes_are_kept_and_listed(photos, out):
    save(photos / 'daisy' / 'same.png', 500)
    save(photos / 'rose' / 'same.jpg', 500, quality=50)
    done = ok(photos, '--out', out)
    pair = 'daisy/same.png = rose/same.jpg'
    assert pair in done.stdout
    assert pair in (out / 'report.txt').read_text()
    found = sides(out)
    assert len(found) == 24
    assert found['daisy/same.png'] == found['rose/same.jpg']
    assert record(out)['left_out'] == {}
    assert record(out)['equal'] == [['daisy/same.png', 'rose/same.jpg']]
    ok('--check', out)


def test_only_the_identical_photos_of_a_group_are_left_out(photos, out):
    save(photos / 'daisy' / 'same.png', 500)
    save(photos / 'rose' / 'same.png', 500)
    save(photos / 'rose' / 'near.jpg', 500, quality=50)
    ok(photos, '--out', out)
    assert set(record(out)['left_out']) == {'daisy/same.png', 'rose/same.png'}
    assert 'rose/near.jpg' in sides(out)
    ok('--check', out)


def test_check_of_near_duplicates_on_two_sides_is_a_note(photos, out):
    """A version that searched otherwise may have put them there."""
    save(photos / 'daisy' / 'one.png', 500)
    ok(photos, '--out', out)
    side = {'train': 'val', 'val': 'train'}[sides(out)['daisy/one.png']]
    save(out / side / 'daisy' / 'two.jpg', 500, quality=50)
    data = (out / side / 'daisy' / 'two.jpg').read_bytes()
    said = record(out)
    said['files'][side]['daisy/two.jpg'] = hashlib.sha256(data).hexdigest()
    seal(out, said)
    done = ok('--check', out)
    assert 'daisy/one.png' in done.stdout
    assert 'daisy/two.jpg' in done.stdout


def spoil(photos: Path) -> set[str]:
    whole = save(photos / 'daisy' / 'cut.jpg', 300).read_bytes()
    (photos / 'daisy' / 'cut.jpg').write_bytes(whole[:-100])
    (photos / 'daisy' / 'empty.png').touch()
    (photos / 'rose' / 'page.jpg').write_text('<html>')
    (photos / 'rose' / 'notes.txt').write_text('buy milk')
    picture(301, (8, 8)).save(photos / 'rose' / 'tiny.png')
    return {
        'daisy/cut.jpg', 'daisy/empty.png', 'rose/page.jpg', 'rose/notes.txt',
        'rose/tiny.png',
    }  # fmt: skip


def test_bad_photos_stop_the_run(photos, out, tmp_path):
    bad = spoil(photos)
    before = set(tmp_path.rglob('*'))
    text = refused(photos, '--out', out)
    assert '--on-bad skip' in text
    assert all(f'{path}: ' in text for path in bad)
    assert set(tmp_path.rglob('*')) == before


def test_bad_photos_are_skipped_when_told(photos, out):
    bad = spoil(photos)
    done = ok(photos, '--out', out, '--on-bad', 'skip')
    report = (out / 'report.txt').read_text(encoding='utf-8')
    for path in bad:
        assert f'{path}: ' in report
        assert f'{path}: ' in done.stdout
    assert set(record(out)['left_out']) == bad
    assert len(sides(out)) == 22


def test_odd_photos_train_as_they_look(photos, out):
    photo = picture(400)
    photo.convert('CMYK').save(photos / 'daisy' / 'print.jpg')
    hole = photo.transpose(Image.Transpose.ROTATE_90)
    hole.putalpha(0)
    hole.save(photos / 'rose' / 'hole.png')
    done = ok(photos, '--out', out)
    assert '2 photos rewritten' in done.stdout
    found = sides(out)
    for path, expected in (
        ('daisy/print.png', np.asarray(photo)),
        ('rose/hole.png', np.full((64, 48, 3), 255)),
    ):
        with Image.open(out / found[path] / path) as image:
            assert image.mode == 'RGB'
            apart = np.abs(np.asarray(image).astype(int) - expected)
            assert apart.mean() < 4
    fixes = record(out)['rewritten']
    assert fixes['daisy/print.png']['path'] == 'daisy/print.jpg'
    ok('--check', out)
    assert 'nothing to do' in ok(photos, '--out', out).stdout
    assert 'use --how copy' in refused(
        photos, '--out', out / '..' / 'x', '--how', 'none'
    )


def test_odd_names(tmp_path, out):
    photos = make_photos(tmp_path / 'my photos', {'wild rose': 6, '薔薇': 6})
    names = ['a b.c.d.JPG', 'Ünï.jpeg', '花 1.PNG', "it's.Jpg"]
    for i, name in enumerate(names):
        # As a photo: the ending need not be in small letters.
        file = photos / 'wild rose' / name
        picture(900 + i).save(file, 'PNG' if 'PNG' in name else 'JPEG')
    ok(photos, '--out', out)
    found = sides(out)
    assert {f'wild rose/{name}' for name in names} <= set(found)
    for path, side in found.items():
        assert (out / side / path).is_file()
    assert (out / 'classes.txt').read_text('utf-8') == 'wild rose\n薔薇\n'
    ok('--check', out)


def test_photos_in_folders_inside_a_class(photos, out):
    save(photos / 'daisy' / 'trip' / 'x.jpg', 700)
    ok(photos, '--out', out)
    assert 'daisy/trip_x.jpg' in sides(out)


def test_hard_links(photos, out):
    ok(photos, '--out', out, '--how', 'link')
    for path, side in sides(out).items():
        assert (out / side / path).samefile(photos / path)
    ok('--check', out)


def test_pointing_into_photos(photos, out):
    save(photos / 'daisy' / 'trip' / 'x.jpg', 700)
    ok(photos, '--out', out, '--how', 'none')
    assert not (out / 'train').exists()
    root = Path(record(out)['photos'])
    assert 'daisy/trip/x.jpg' in sides(out)
    for path in sides(out):
        assert (root / path).samefile(photos / path)
    ok('--check', out)
    (photos / 'daisy' / '0000.jpg').write_bytes(b'?')
    assert 'daisy/0000.jpg' in refused('--check', out)


@pytest.mark.skipif(os.name == 'nt', reason='names are text there')
def test_a_folder_whose_name_is_no_text(photos, out):
    odd = photos.rename(photos.with_name(os.fsdecode(b'caf\xe9')))
    assert 'cannot stand' in refused(odd, '--out', out, '--how', 'none')
    ok(odd, '--out', out)
    assert record(out)['source'].endswith('/caf\\udce9')


def test_pointing_needs_the_spelling_of_the_disk(photos, out):
    (photos / 'daisy').rename(photos / 'cafe\u0301')
    assert 'use --how copy' in refused(photos, '--out', out, '--how', 'none')
    ok(photos, '--out', out)
    assert record(out)['classes'] == ['caf\u00e9', 'rose']


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (['--val', '0'], 'training needs validation'),
        (['--val', '1.5'], 'between 0 and 1'),
        (['--val', 'nan'], 'between 0 and 1'),
        (['--val', '0.6', '--test', '0.4'], 'no photo to train on'),
        (['--test', '-0.1'], 'between 0 and 1'),
        (['--sides-from', 'nowhere'], 'not a prepared dataset'),
    ],
)
def test_wrong_options(photos, out, args, words):
    assert words in refused(photos, '--out', out, *args)
    assert not out.parent.exists()


def test_wrong_photos(tmp_path, out):
    assert 'does not exist' in refused(tmp_path / 'none', '--out', out)
    one = make_photos(tmp_path / 'one', {'daisy': 3})
    assert 'one class only' in refused(one, '--out', out)
    (one / 'rose').mkdir()
    assert 'no usable photo' in refused(one, '--out', out)
    split = make_photos(tmp_path / 's', {'train/daisy': 2, 'val/daisy': 2})
    assert 'already split' in refused(split, '--out', out)
    inside = make_photos(tmp_path / 'in', {'daisy': 2, 'rose': 2})
    assert 'lie in each other' in refused(inside, '--out', inside / 'out')
    assert not out.parent.exists()


def test_class_of_one_photo(tmp_path, out):
    photos = make_photos(tmp_path / 'p', {'daisy': 5, 'rose': 1})
    assert (
        'Too few different photos to have any in val: rose'
        in ok(photos, '--out', out).stdout
    )
    assert [s for p, s in sides(out).items() if 'rose' in p] == ['train']


@pytest.mark.skipif(
    not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write'
)
def test_no_permission(photos, tmp_path):
    locked = tmp_path / 'locked'
    locked.mkdir(mode=0o500)
    assert 'Permission denied' in refused(photos, '--out', locked / 'out')


def damage_bytes(out: Path) -> str:
    file = next((out / 'train').rglob('*.jpg'))
    file.write_bytes(file.read_bytes() + b'!')
    return f'{file.name}: changed'


def damage_lost(out: Path) -> str:
    file = next((out / 'val').rglob('*.jpg'))
    file.unlink()
    return f'{file.name}: cannot be opened'


def damage_extra(out: Path) -> str:
    save(out / 'val' / 'daisy' / 'new.jpg', 999)
    return 'val/daisy/new.jpg: not ours'


def damage_lines(out: Path) -> str:
    text = (out / 'train.txt').read_text()
    (out / 'train.txt').write_text(text.replace(' 0\n', ' 1\n', 1))
    return 'train.txt: changed'


def damage_classes(out: Path) -> str:
    (out / 'classes.txt').unlink()
    return 'classes.txt: cannot be read'


def damage_record(out: Path) -> str:
    said = record(out)
    said['files']['train'].popitem()
    (out / 'dataset.json').write_text(json.dumps(said))
    return 'its sha256 is not that of its files'


@pytest.mark.parametrize(
    'damage',
    [
        damage_bytes,
        damage_lost,
        damage_extra,
        damage_lines,
        damage_classes,
        damage_record,
    ],
)
def test_check(prepared, damage):
    assert 'unchanged' in ok('--check', '--out', prepared).stdout
    words = damage(prepared)
    assert words in refused(prepared, '--check')


def test_check_of_nothing(tmp_path):
    assert 'not a prepared dataset' in refused('--check', tmp_path)


def test_check_finds_twins_on_two_sides(prepared):
    """Somebody mended dataset.json by hand, and the texts with it."""
    said = record(prepared)
    path = next(iter(said['files']['train']))
    data = (prepared / 'train' / path).read_bytes()
    (prepared / 'val' / path).write_bytes(data)
    said['files']['val'][path] = said['files']['train'][path]
    seal(prepared, said)
    assert 'identical photos on two sides' in refused('--check', prepared)


@pytest.mark.skipif(os.name == 'nt', reason='there is no SIGKILL')
def test_killed_while_writing(photos, prepared):
    """The old dataset stays whole, and the next run cleans up."""
    before = everything(prepared)
    # Large enough that the copy takes a while.
    rng = np.random.default_rng(0)
    for i in range(60):
        noise = rng.integers(0, 256, (500, 500, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / 'daisy' / f'big{i}.bmp')
    args = [photos, '--out', prepared, '--overwrite']
    process = subprocess.Popen(
        [sys.executable, TOOL, *args], env=ENV, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if list(prepared.parent.glob('.*.part/dataset/*/daisy/big*')):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(list(prepared.parent.iterdir())) == 2  # it was writing
    assert everything(prepared) == before
    ok('--check', prepared)
    ok(*args)
    assert len(sides(prepared)) == 82
    assert [p.name for p in prepared.parent.iterdir()] == [prepared.name]


KILLED = """
import os, signal, socket, sys
from pathlib import Path
me = os.getpid()
os.getpid, socket.gethostname = lambda: int(sys.argv[2]), lambda: sys.argv[3]
from flower_mm.prepare.write_dataset import workspace
with workspace(Path(sys.argv[1])) as work:
    (work / 'photo.jpg').write_bytes(b'pixels')
    os.kill(me, signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == 'nt', reason='there is no SIGKILL')
@pytest.mark.parametrize(
    ('process', 'host'),
    [(os.getpid(), socket.gethostname()), (1, 'an earlier container')],
    ids=['restarted container', 'new container'],
)
def test_killed_in_a_container(tmp_path, process, host):
    """Each of its processes has the same number, or the host another name."""
    out = tmp_path / 'dataset'
    command = [sys.executable, '-c', KILLED, out, str(process), host]
    done = subprocess.run(command, env=ENV)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert (left / 'photo.jpg').is_file()
    with write_dataset.workspace(out) as work:
        assert not left.exists()
        assert list(tmp_path.iterdir()) == [work]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('new_in_place', [False, True])
def test_killed_between_the_renames(photos, prepared, new_in_place):
    before = everything(prepared)
    old = prepared.with_name(f'.{prepared.name}.old')
    if new_in_place:
        shutil.copytree(prepared, old)
    else:
        prepared.rename(old)
    done = ok(photos, '--out', prepared)
    assert ('put' in done.stdout) == (not new_in_place)
    assert 'nothing to do' in done.stdout
    assert everything(prepared) == before
    assert not old.exists()
