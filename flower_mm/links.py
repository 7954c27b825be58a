"""Refuse symbolic links that lead out of a folder."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from flower_mm.errors import UserError, printable

# Photos of `--folds` can be links to another disk, where nothing is written.
LINKED_PHOTOS = {('folds', 'photos'), ('.folds.work', 'photos')}


def is_inside(path: str | Path, root: str | Path) -> bool:
    """Return whether `path` is in `root` after resolving links."""
    try:
        real, base = _real(path), _real(root)
    except ValueError:  # an invalid file name
        return False
    return real == base or real.startswith(base.rstrip(os.sep) + os.sep)


def read_file(path: Path) -> bytes:
    """Read a file; raise OSError for a pipe or a device, which may block."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, 'not a file', str(path))
    return path.read_bytes()


def _real(path: str | Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def refuse_links_out(
    folder: Path, root: Path | None = None, flag: str = '--work-dir'
) -> None:
    """Raise UserError if a write below `folder` could end outside `root`.

    `root` is by default `folder` itself, which may be a link because the user
    has named it. Pipes, sockets and devices are refused too, since opening one
    can block. `flag` is the flag that names another folder.
    """
    if root and not is_inside(folder, root):
        raise UserError(leads_out(folder, root, flag))
    root = root or folder
    todo = [folder] if folder.is_dir() else []
    while todo:
        # Another process may delete a folder meanwhile.
        with suppress(FileNotFoundError):
            todo += _folders_in(todo.pop(), root, flag)


def _folders_in(folder: Path, root: Path, flag: str) -> list[Path]:
    """Return the subfolders; raise UserError at a link out of `root`."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if _is_link(entry):
                if not is_inside(path, root):
                    raise UserError(leads_out(path, root, flag))
            elif entry.is_dir(follow_symlinks=False):
                if path.parts[-2:] not in LINKED_PHOTOS:
                    folders.append(path)
            elif not entry.is_file(follow_symlinks=False) and path.exists():
                raise UserError(
                    f'{_shown(path)} is a pipe, a socket or a device: '
                    f'expected a file.\nRemove it{_or_another(flag)}'
                )
    return folders


def _is_link(entry: os.DirEntry) -> bool:
    if os.name == 'nt' and entry.is_dir(follow_symlinks=False):
        # A junction; DirEntry.is_junction comes with Python 3.12.
        parent, name = os.path.split(entry.path)
        path = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118
        return os.path.realpath(entry.path) != path
    return entry.is_symlink()


def leads_out(path: Path, root: Path, flag: str) -> str:
    """Return the message about a link out of `root`."""
    return (
        f'{_shown(path)} is a symbolic link to '
        f'{_shown(Path(os.path.realpath(path)))}, outside of {_shown(root)}: '
        'files there would be overwritten.\n'
        f'Remove the link{_or_another(flag)}'
    )


def _or_another(flag: str) -> str:
    return ', or name another folder' + (f': {flag} FOLDER' if flag else '')


def _shown(path: Path) -> str:
    return printable(str(path), 500)
