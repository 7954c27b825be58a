"""Locks that die with their process, however it ends."""

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
    """Keep other runs out of `folder` until this block or process ends.

    `flag` is the one that names another folder. A folder with links that
    lead out of it is refused before anything is written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f'{folder} is a file; name a folder: {flag} FOLDER')
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links_out(folder, flag=flag)
    with open_unlinked(folder / LOCK, 'a+') as file:
        if not taken(file):
            file.seek(0)
            raise UserError(
                f'another run is writing to {folder}: '
                f'{file.read(200).strip() or "it has only just begun"}.\n'
                f'Wait for its end, or name another folder: {flag} FOLDER'
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
    """Wait while another process is in such a block with this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_unlinked(folder / LOCK, 'a') as file:
        if not taken(file):
            print(f'another process is {work}: waiting for it', flush=True)
            while not taken(file):
                time.sleep(0.1)
        yield


def is_taken(folder: Path) -> bool:
    """Whether a run of another process is writing to `folder`."""
    if not (folder / LOCK).is_file():
        return False
    with open_unlinked(folder / LOCK, 'a') as file:
        return not taken(file)


def open_unlinked(path: Path, mode: str) -> IO:
    """Open a file to append, but not the target of a link of that name."""

    def opener(name: str, flags: int) -> int:
        # Windows has no such flag; links take a privilege there.
        return os.open(name, flags | getattr(os, 'O_NOFOLLOW', 0), 0o666)

    encoding = None if 'b' in mode else 'utf-8'
    return open(path, mode, encoding=encoding, opener=opener)


def taken(file: IO) -> bool:
    """Lock a file that is open for writing; False where another has it."""
    return try_lock(file) is not False


def try_lock(file: IO) -> bool | None:
    """Lock a file that is open for writing.

    A record lock, since a flock would live on in the children of a process
    that was killed.

    Returns:
        False where another process has it, None where the file system has
        no locks.
    """
    if os.name == 'nt':
        return _taken_on_windows(file)
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _taken_on_windows(file: IO) -> bool:
    import msvcrt

    # Far behind any text, which a locked byte would keep others from reading.
    file.seek(1 << 20)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
