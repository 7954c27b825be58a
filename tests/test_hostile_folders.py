"""Folders of strangers: nothing outside of them is written or deleted."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import forked
import pytest
from helpers import draw_photo
from hostile_folders import WORK_FOLDERS, outside, state

from flower_mm import files
from flower_mm.errors import UserError
from flower_mm.files import replacing, sweep, temporary_folder
from flower_mm.inference.photo_files import PhotoFile
from flower_mm.inference.sort_into_folders import Sorter
from flower_mm.links import refuse_links_out
from flower_mm.lock import LOCK, is_taken, only_run_in
from flower_mm.report.run_folder import read_run

pytestmark = pytest.mark.skipif(
    os.name == 'nt', reason='making links takes a privilege on Windows'
)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return outside(tmp_path)


@pytest.fixture
def run(plain_run: Path, tmp_path: Path) -> Path:
    """A copy of a run that a stranger has changed."""
    return shutil.copytree(plain_run, tmp_path / 'foreign')


def refused(log: Path, tool: str, *args: str | Path) -> str:
    """The one line with which a tool refuses; its exit code is 2."""
    done = forked.start(log, tool, *args)
    assert done.wait() == 2, done.text
    assert 'Traceback' not in done.text
    (line,) = [x for x in done.text.splitlines() if x.startswith('error: ')]
    return line


# --- links out of a work folder ----------------------------------------------


def enter(folder: Path) -> None:
    with only_run_in(folder):
        sweep(folder)


@pytest.mark.parametrize('door', [enter, read_run])
@pytest.mark.parametrize('name', WORK_FOLDERS)
def test_a_work_folder_that_leads_out_is_refused(name, door, run, private):
    before = state(private)
    WORK_FOLDERS[name](run, private)
    with pytest.raises(UserError, match=r'symbolic link|a pipe') as error:
        door(run)
    assert str(error.value).startswith(str(run))
    assert state(private) == before


TOOLS = {
    'train': ('CONFIG', '--data-root', 'DATA', '--work-dir', 'RUN'),
    'resume': ('CONFIG', '--data-root', 'DATA', '--work-dir', 'RUN'),
    'test': ('CONFIG', 'RUN/epoch_1.pth', '--data-root', 'DATA'),
    'report': ('RUN', '--data-root', 'DATA'),
    'share': ('RUN', 'OUT', '--data-root', 'DATA'),
    'compare': ('CONFIG', '--data-root', 'DATA', '--out', 'RUN'),
}


@pytest.mark.parametrize(
    ('name', 'tool'),
    [
        *(('links_test', tool) for tool in TOOLS),
        # test.py writes into RUN/test alone.
        *(('links_.lock', tool) for tool in TOOLS if tool != 'test'),
    ],
)
def test_each_tool_refuses_it(
    name, tool, run, private, config, dataset, tmp_path
):
    before = state(private)
    shutil.copy(run / 'epoch_2.pth', run / 'epoch_1.pth')
    WORK_FOLDERS[name](run, private)
    args = [
        part.replace('CONFIG', str(config))
        .replace('DATA', str(dataset))
        .replace('RUN', str(run))
        .replace('OUT', str(tmp_path / 'out'))
        for part in TOOLS[tool]
    ]
    if tool == 'resume':
        tool, args = 'train', [*args, '--resume']
    assert 'symbolic link' in refused(tmp_path / 'log', tool, *args)
    assert state(private) == before
    assert not (tmp_path / 'out').exists()


def test_a_link_that_the_user_names_is_followed(tmp_path):
    disk = tmp_path / 'large disk'
    disk.mkdir()
    (tmp_path / 'work').symlink_to(disk)
    with only_run_in(tmp_path / 'work'):
        assert (disk / LOCK).is_file()


def test_links_that_stay_inside_and_photos_of_folds_are_kept(tmp_path):
    photo = tmp_path / 'photo.jpg'
    draw_photo(photo, 0, 0)
    run = tmp_path / 'run'
    for folder in ('folds', '.folds.work', 'earlier/1/folds'):
        (run / folder / 'photos' / 'rose').mkdir(parents=True)
        (run / folder / 'photos' / 'rose' / '1.jpg').symlink_to(photo)
    (run / 'newest').symlink_to('folds')
    refuse_links_out(run)


def test_folder_that_another_process_deletes(tmp_path, monkeypatch):
    (tmp_path / 'gone').mkdir()
    (tmp_path / 'kept').mkdir()
    (tmp_path / 'kept' / 'link').symlink_to(tmp_path.parent)
    scandir = os.scandir

    def first_deletes(folder: Path) -> Iterator[os.DirEntry]:
        if Path(folder).name == 'gone':
            Path(folder).rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', first_deletes)
    with pytest.raises(UserError, match='link is a symbolic link'):
        refuse_links_out(tmp_path)
    (tmp_path / 'kept' / 'link').unlink()
    (tmp_path / 'gone').mkdir(exist_ok=True)
    refuse_links_out(tmp_path)
    assert not (tmp_path / 'gone').exists()


def test_the_lock_is_never_the_target_of_a_link(tmp_path):
    (tmp_path / 'best.pth').write_text('weights')
    (tmp_path / LOCK).symlink_to('best.pth')
    with pytest.raises(OSError, match='symbolic link'):
        enter(tmp_path)
    assert (tmp_path / 'best.pth').read_text() == 'weights'


def test_a_dataset_whose_decoded_photos_lie_elsewhere(
    dataset, private, config, tmp_path
):
    before = state(private)
    foreign = shutil.copytree(
        dataset,
        tmp_path / 'foreign',
        ignore=shutil.ignore_patterns('decoded'),
    )
    (foreign / 'decoded').symlink_to(private)
    line = refused(
        tmp_path / 'log',
        'train',
        config,
        *('--data-root', foreign, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', 'train_dataloader.dataset.decode_once=32'),
    )
    assert f'{foreign}/decoded is a symbolic link' in line
    assert state(private) == before


def test_sorting_does_not_follow_a_class_folder_out(private, tmp_path):
    before = state(private)
    draw_photo(tmp_path / 'a.jpg', 0, 0)
    (tmp_path / 'sorted').mkdir()
    (tmp_path / 'sorted' / 'rose').symlink_to(private)
    with pytest.raises(UserError, match='rose is a symbolic link'):
        Sorter(tmp_path / 'sorted', ['rose'])
    assert state(private) == before


def test_results_are_not_written_through_a_link(
    run, private, config, dataset, tmp_path
):
    before = state(private)
    (run / 'all.pkl').symlink_to(private / 'notes.txt')
    args = (config, run / 'best.pth', '--data-root', dataset)
    refused(tmp_path / 'log', 'test', *args, '--out', run / 'all.pkl')
    assert state(private) == before


def test_a_file_that_is_replaced_is_not_followed(private, tmp_path):
    before = state(private)
    (tmp_path / 'result').symlink_to(private / 'notes.txt')
    with replacing(tmp_path / 'result', 'w') as file:
        file.write('new')
    assert (tmp_path / 'result').read_text() == 'new'
    assert not (tmp_path / 'result').is_symlink()
    assert state(private) == before


# --- left-overs --------------------------------------------------------------


def left_over(folder: Path, name: str) -> Path:
    """What a killed share.py leaves of the folder `name`."""
    part = temporary_folder(folder / name)
    files._own_folders.discard(str(part))  # as of another process
    (part / 'examples').mkdir()
    (part / 'examples' / '1.jpg').write_bytes(b'photo')
    (part / LOCK).touch()
    return part


def test_training_goes_on_where_share_was_killed(run, config, dataset):
    part = left_over(run, 'for others')
    file = run / '.best.pth.abcd1234.part'
    file.write_bytes(b'half')
    log = run.with_name('log')
    forked.finish(
        log, 'train', config, '--data-root', dataset, '--work-dir', run,
        '--resume',
    )  # fmt: skip
    assert not part.exists()
    assert not file.exists()


def test_temporary_files_of_killed_processes(tmp_path):
    mine = tmp_path / '.result.csv.a_b1c2d3.part'
    others = [
        tmp_path / name
        for name in (
            '.other.csv.a_b1c2d3.part',
            '.result.csv.part',
            'result.csv.a_b1c2d3.part',
            '.result.csv.more.a_b1c2d3.part',
        )
    ]
    for path in (mine, *others):
        path.write_text('half')
    part = left_over(tmp_path, 'out')
    with replacing(tmp_path / 'result.csv') as file:
        file.write(b'whole')
    assert not mine.exists()
    assert all(path.exists() for path in others)
    assert part.exists()
    assert not any(temporary_folder(tmp_path / 'out').iterdir())
    assert not part.exists()


def test_temporary_files_of_running_processes(tmp_path):
    ready = tmp_path / 'ready'
    first = tmp_path / 'first.py'
    first.write_text(
        'import time\n'
        'from pathlib import Path\n'
        'from flower_mm.files import replacing, temporary_folder\n'
        'from flower_mm.lock import only_run_in\n'
        f'folder = Path({str(tmp_path)!r})\n'
        "part = temporary_folder(folder / 'out')\n"
        "with replacing(folder / 'a') as file, only_run_in(part):\n"
        f'    Path({str(ready)!r}).touch()\n'
        '    time.sleep(60)\n'
    )
    other = forked.start(tmp_path / 'log', 'doctor', first=str(first))
    while not ready.exists():
        assert other.process.is_alive(), other.text
        other.process.join(0.05)
    assert len(list(tmp_path.glob('.*.part'))) == 2
    (out,) = tmp_path.glob('.out.*.part')
    assert is_taken(out)
    sweep(tmp_path)
    assert len(list(tmp_path.glob('.*.part'))) == 2
    other.process.kill()
    other.process.join()
    sweep(tmp_path)
    assert list(tmp_path.glob('.*.part')) == []


def test_temporary_files_of_sorting(tmp_path):
    rose = tmp_path / 'rose'
    rose.mkdir()
    (rose / '.copy.abcd1234.part').write_text('half')
    (rose / '.mine.abcd1234.part').write_text('kept')
    draw_photo(tmp_path / 'a.jpg', 0, 0)
    photo = str(tmp_path / 'a.jpg')
    Sorter(tmp_path, ['rose']).copy(PhotoFile(photo, photo), 'rose')
    assert sorted(path.name for path in rose.iterdir()) == [
        '.mine.abcd1234.part',
        'a.jpg',
    ]


def test_a_left_over_that_is_a_link_is_unlinked(private, tmp_path):
    before = state(private)
    (tmp_path / '.a.12345678.part').symlink_to(private)
    (tmp_path / '.b.12345678.part').symlink_to(private / 'notes.txt')
    sweep(tmp_path)
    assert list(tmp_path.glob('.*.part')) == []
    assert state(private) == before
