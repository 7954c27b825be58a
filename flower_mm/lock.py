"""Locks that are released when their process ends."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from flower_mm.errors import UserError
from flower_mm.links import refuse_links_out

LOCK = '.lock'


@contextmanager
def only_run_in(folder: Path, flag: str = '--work-dir') -> Iterator[None]:
    """Lock `folder` until this block or process ends.

    A folder with links that lead out of it is refused. `flag` is the flag that
    names another folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f'{folder} is a file: expected a folder.\nName one: {flag} FOLDER'
        )
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links_out(folder, flag=flag)
    with open_unlinked(folder / LOCK, 'a+') as file:
        if not take_lock(file):
            file.seek(0)
            raise UserError(
                f'another run is writing to {folder}: '
                f'{file.read(200).strip() or "it has just started"}.\n'
                f'Wait for it, or name another folder: {flag} FOLDER'
            )
        file.truncate(0)
        file.write(
            f'process {os.getpid()} on {socket.gethostname()}, since '
            f'{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}\n'
        )
        file.flush()
        yield


@contextmanager
def one_at_a_time_in(folder: Path, work: str) -> Iterator[None]:
    """Wait until no other process is in such a block with this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_unlinked(folder / LOCK, 'a') as file:
        if not take_lock(file):
            print(f'waiting for another process that is {work}', flush=True)
            while not take_lock(file):
                time.sleep(0.1)
        yield


def is_taken(folder: Path) -> bool:
    """Return whether another process has locked `folder`."""
    if not (folder / LOCK).is_file():
        return False
    with open_unlinked(folder / LOCK, 'a') as file:
        return not take_lock(file)


def open_unlinked(path: Path, mode: str) -> IO:
    """Open a file to append to it; refuse a symbolic link."""

    def opener(name: str, flags: int) -> int:
        # Windows lacks this flag; links need a privilege there.
        return os.open(name, flags | getattr(os, 'O_NOFOLLOW', 0), 0o666)

    encoding = None if 'b' in mode else 'utf-8'
    return open(path, mode, encoding=encoding, opener=opener)


def take_lock(file: IO) -> bool:
    """Lock a file that is open for writing; False if another process has."""
    return try_lock(file) is not False


def try_lock(file: IO) -> bool | None:
    """Lock a file that is open for writing.

    A record lock, since the children of a killed process would keep a flock.

    Returns:
        False if another process has it, None if the file system lacks locks.
    """
    if os.name == 'nt':
        return _try_lock_on_windows(file)
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _try_lock_on_windows(file: IO) -> bool:
    import msvcrt

    # Far behind any text, since others cannot read a locked byte.
    file.seek(1 << 20)
    try:
        # typeshed declares these for Windows only.
        msvcrt.locking(  # type: ignore[attr-defined]
            file.fileno(),
            msvcrt.LK_NBLCK,  # type: ignore[attr-defined]
            1,
        )
    except OSError:
        return False
    return True
