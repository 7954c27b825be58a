"""The scan outlives a killed run, and is used only where it can be trusted."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.lock import only_run_in
from flower_mm.prepare import scan_photos, scan_store
from flower_mm.prepare.prepare_dataset import Options, prepare

from .conftest import ENV, contents, make_photos, refused, save

needs_sigkill = pytest.mark.skipif(os.name == 'nt', reason='no SIGKILL')
COUNT = 22  # photos of the fixture

KILLED = """
import os, signal, sys
from pathlib import Path
from flower_mm.prepare import scan_photos, scan_store
from flower_mm.prepare.prepare_dataset import Options, prepare
scan_store.COMMITTED = 5
inspect, photos = scan_photos.inspect_photo, []
def inspect_photo(file):
    photos.append(file)
    if len(photos) == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    return inspect(file)
scan_photos.inspect_photo = inspect_photo
prepare(Path(sys.argv[1]), Path(sys.argv[2]), Options())
"""


def kill_in_scan(source: Path, out: Path) -> Path:
    """Kill a run after ten photos are safe; return the folder it leaves."""
    done = subprocess.run(
        [sys.executable, '-c', KILLED, source, out],
        env=ENV,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    folder = out.with_name(f'.{out.name}.scan')
    assert (folder / scan_store.SCANS).is_file()
    return folder


@pytest.fixture
def read_files(monkeypatch) -> list[str]:
    """Return a list of the files that are read from now on."""
    files = []
    inspect = scan_photos.inspect_photo

    def inspect_photo(file: str) -> scan_photos.PhotoInfo:
        files.append(file)
        return inspect(file)

    monkeypatch.setattr(scan_photos, 'inspect_photo', inspect_photo)
    return files


def assert_like_a_fresh_run(source: Path, out: Path) -> None:
    fresh = out.with_name('fresh')
    prepare(source, fresh, Options())
    assert contents(out) == contents(fresh)
    assert {p.name for p in out.parent.iterdir()} == {out.name, 'fresh'}


@needs_sigkill
def test_killed_run_goes_on(photos, out, read_files):
    kill_in_scan(photos, out)
    prepare(photos, out, Options())
    assert len(read_files) == COUNT - 10
    assert len(set(read_files)) == COUNT - 10
    assert_like_a_fresh_run(photos, out)


@needs_sigkill
def test_changed_new_and_deleted_photos(photos, out, read_files):
    kill_in_scan(photos, out)
    daisies = sorted((photos / 'daisy').iterdir())
    save(daisies[0], 500)
    os.utime(daisies[1])
    daisies[2].unlink()
    new = save(photos / 'aster' / 'new.jpg', 600)
    save(photos / 'aster' / 'other.jpg', 601)
    prepare(photos, out, Options())
    assert {str(daisies[0]), str(daisies[1]), str(new)} <= set(read_files)
    assert len(read_files) == COUNT - 10 + 4
    assert_like_a_fresh_run(photos, out)


@needs_sigkill
def test_archive(photos, out, read_files, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / 'p'), 'zip', photos))
    kill_in_scan(archive, out)
    prepare(archive, out, Options())
    assert len(read_files) == COUNT - 10
    assert_like_a_fresh_run(archive, out)
    shutil.rmtree(out)
    kill_in_scan(archive, out)
    read_files.clear()
    os.utime(archive)
    prepare(archive, out, Options())
    assert len(read_files) == COUNT


def change(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / scan_store.SCANS) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def write(folder: Path, content: bytes) -> None:
    for file in folder.glob(f'{scan_store.SCANS}*'):
        file.unlink()
    (folder / scan_store.SCANS).write_bytes(content)


def tear(folder: Path) -> None:
    """Write zeros over a page of photos."""
    change(folder, 'SELECT * FROM scans')
    data = bytearray((folder / scan_store.SCANS).read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(4096)
    write(folder, data)


DAMAGE = {
    'torn': tear,
    'empty': lambda folder: write(folder, b''),
    'no database': lambda folder: write(folder, b'photos' * 1000),
    'cut': lambda folder: (
        change(folder, 'SELECT * FROM scans'),
        os.truncate(folder / scan_store.SCANS, 9000),
    ),
    'trigger': lambda folder: change(
        folder,
        'CREATE TRIGGER t AFTER INSERT ON scans BEGIN DELETE FROM scans; END',
    ),
    'view': lambda folder: change(
        folder,
        'ALTER TABLE made_by RENAME TO other',
        'CREATE VIEW made_by AS SELECT * FROM other',
    ),
    'other version': lambda folder: change(
        folder, "UPDATE made_by SET program = 'flower_mm 0.0'"
    ),
    'invalid sha256': lambda folder: change(
        folder,
        'PRAGMA ignore_check_constraints = ON',
        "UPDATE scans SET sha256 = x'00'",
    ),
    'text for a thumbnail': lambda folder: change(
        folder,
        'PRAGMA ignore_check_constraints = ON',
        "UPDATE scans SET thumb = 'thumb'",
    ),
}


@needs_sigkill
@pytest.mark.parametrize('damage', DAMAGE)
def test_damaged_or_foreign_scan_is_made_again(
    photos, out, read_files, damage
):
    folder = kill_in_scan(photos, out)
    DAMAGE[damage](folder)
    prepare(photos, out, Options())
    assert len(read_files) == COUNT
    assert_like_a_fresh_run(photos, out)


@pytest.mark.skipif(sys.platform == 'win32', reason='links need a privilege')
def test_links_are_not_followed(photos, out, tmp_path):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'thesis.txt').write_text('years of work')
    out.parent.mkdir()
    folder = out.with_name(f'.{out.name}.scan')
    folder.symlink_to(mine)
    prepare(photos, out, Options())
    assert list(contents(mine)) == ['thesis.txt']
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    shutil.rmtree(out)
    folder.mkdir()
    (folder / scan_store.SCANS).symlink_to(mine / 'thesis.txt')
    with pytest.raises(UserError, match='outside'):
        prepare(photos, out, Options())
    assert (mine / 'thesis.txt').read_text() == 'years of work'


@needs_sigkill
def test_files_that_a_journal_names_are_not_deleted(photos, out, tmp_path):
    folder = kill_in_scan(photos, out)
    thesis = tmp_path / 'thesis.txt'
    thesis.write_text('years of work')
    name = bytes(thesis)
    journal = folder / f'{scan_store.SCANS}-journal'
    pages = (folder / scan_store.SCANS).stat().st_size // 4096
    numbers = (0, 0, pages, 512, 4096)  # no pages of 4096 bytes
    header = b''.join(number.to_bytes(4) for number in numbers)
    header = (scan_store.SUPER_JOURNAL + header).ljust(512, b'\0')
    page = (2**30 // 4096 + 1).to_bytes(4)
    size, total = len(name).to_bytes(4), sum(name).to_bytes(4)
    tail = page + name + size + total + scan_store.SUPER_JOURNAL
    journal.write_bytes(header + tail)
    prepare(photos, out, Options())
    assert thesis.read_text() == 'years of work'
    assert_like_a_fresh_run(photos, out)


def test_two_runs_at_once(photos, out):
    with only_run_in(out.with_name(f'.{out.name}.scan')):
        text = refused(photos, '--out', out)
    assert f'process {os.getpid()}' in text


def test_scan_stays_after_unusable_photos(
    photos, out, read_files, monkeypatch
):
    """With a million photos, one of them is most often unusable."""
    monkeypatch.setattr(scan_store, 'COMMITTED', 5)
    (photos / 'daisy' / 'page.jpg').write_text('<html>')
    with pytest.raises(UserError, match='unusable'):
        prepare(photos, out, Options())
    read_files.clear()
    assert prepare(photos, out, Options(on_bad='skip'))
    # It could be readable by now.
    assert read_files == [str(photos / 'daisy' / 'page.jpg')]
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_full_disk(photos, out, monkeypatch):
    connect = scan_store._connect

    def connect_to_a_small_disk(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.execute('PRAGMA max_page_count = 10')
        return db

    monkeypatch.setattr(scan_store, '_connect', connect_to_a_small_disk)
    with pytest.raises(UserError, match='full'):
        prepare(photos, out, Options())
    assert not out.exists()


def test_photos_stay_on_the_disk(tmp_path, out, monkeypatch):
    """Few of them are in memory at a time, whatever their number."""
    from flower_mm.prepare import photo, stored_photos

    monkeypatch.setattr(stored_photos, 'ROWS', 10)
    counts = [0, 0]  # photos in memory now and at most

    class CountedPhoto(photo.Photo):
        def __init__(self, *args: object, **fields: object) -> None:
            super().__init__(*args, **fields)
            counts[0] += 1
            counts[1] = max(counts)

        def __del__(self) -> None:
            counts[0] -= 1

    monkeypatch.setattr(stored_photos, 'Photo', CountedPhoto)
    photos = make_photos(tmp_path / 'p', {'a': 100, 'b': 100})
    prepare(photos, out, Options())
    assert counts[0] == 0
    assert 0 < counts[1] < 20
