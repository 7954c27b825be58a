"""Work folders and datasets that a stranger has made, one maker each."""

import os
from collections.abc import Callable
from pathlib import Path

# What a training, its report and the other tools write in a work folder.
FILES = (
    '.lock',
    'best.pth',
    'curves.png',
    'epoch_2.pth',
    'last_checkpoint',
    'predictions.csv',
    'report.html',
    'report.json',
    'run.json',
    'scalars.json',
    'tiny.py',
)
FOLDERS = ('earlier', 'fold_1', 'folds', 'tensorboard', 'test')


def state(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def outside(folder: Path) -> Path:
    """A folder of the user's, with what careless writers would destroy."""
    private = folder / 'private'
    (private / 'deep').mkdir(parents=True)
    for name in ('notes.txt', '.lock', 'test.json', '.a.12345678.part'):
        (private / name).write_text(f'{name} of the user')
        (private / 'deep' / name).write_text(f'{name} of the user')
    return private


def links_a_file(name: str) -> Callable[[Path, Path], None]:
    def make(run: Path, private: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(private / 'notes.txt')

    return make


def links_a_folder(name: str) -> Callable[[Path, Path], None]:
    def make(run: Path, private: Path) -> None:
        if (run / name).exists():
            (run / name).rename(run / f'{name}_before')
        (run / name).symlink_to(private)

    return make


def links_deep_below(run: Path, private: Path) -> None:
    (run / 'tensorboard' / 'more').mkdir(parents=True, exist_ok=True)
    (run / 'tensorboard' / 'more' / 'x').symlink_to(private)


def links_by_way_of_a_link(run: Path, private: Path) -> None:
    (run / 'tiny.py').unlink(missing_ok=True)
    (run / 'tiny.py').symlink_to(run / 'other')
    (run / 'other').symlink_to(private / 'notes.txt')


def links_to_a_new_file(run: Path, private: Path) -> None:
    (run / 'curves.png').unlink(missing_ok=True)
    (run / 'curves.png').symlink_to(private / 'new')


def has_a_pipe(run: Path, private: Path) -> None:
    (run / 'scalars.json').unlink(missing_ok=True)
    os.mkfifo(run / 'scalars.json')


WORK_FOLDERS = {
    **{f'links_{name}': links_a_file(name) for name in FILES},
    **{f'links_{name}': links_a_folder(name) for name in FOLDERS},
    **{
        make.__name__: make
        for make in (
            links_deep_below,
            links_by_way_of_a_link,
            links_to_a_new_file,
            has_a_pipe,
        )
    },
}
