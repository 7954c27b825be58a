"""Write files so that a crash leaves the old one or the new one."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from flower_mm.errors import UserError
from flower_mm.lock import is_taken, try_lock

PART = '.part'
# The names of tempfile: eight characters between name and PART.
TEMPORARY = re.compile(r'\..+\.[a-z0-9_]{8}\.part', re.DOTALL)
# A record lock keeps out other processes only.
_own_folders: set[str] = set()
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: str | Path, mode: str = 'wb') -> Iterator[IO]:
    """Open a temporary file that replaces `path` when the block ends.

    The bytes are on the disk before the rename, so that even a power cut
    leaves a complete file. If the block raises, `path` is unchanged. A link of
    that name is replaced, not followed. The temporary file of a killed process
    is deleted.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    # Windows has other default line ends and encodings.
    text = {} if 'b' in mode else {'encoding': 'utf-8', 'newline': '\n'}
    file, part = temporary_file(path, mode, **text)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        make_public(part, 0o666)
        part.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise
    sync_folder(path.parent)


def temporary_file(path: Path, mode: str = 'wb', **text) -> tuple[IO, Path]:
    """Create a file beside `path` that is to be renamed to it.

    It is locked while it is open, so that `sweep` leaves it alone.
    """
    handle, name = tempfile.mkstemp(
        prefix=f'.{path.name}.', suffix=PART, dir=path.parent
    )
    file = os.fdopen(handle, mode, **text)
    if os.name != 'nt':
        try_lock(file)
    return file, Path(name)


def make_public(path: Path, mode: int) -> None:
    """Set the mode of a new file, which `tempfile` makes private."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(mode & ~umask)


def write_whole(path: str | Path, content: bytes | memoryview) -> None:
    """Replace `path`; a UserError reports missing disk space."""
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UserError(no_room(error, Path(path), len(content))) from error


def no_room(error: OSError, path: Path, needed: int = 0) -> str:
    """Return the message for a full disk, with needed and free space."""
    file = path
    while not path.is_dir():
        path = path.parent
    free = shutil.disk_usage(path).free
    expected = f' expected {needed / 1e6:.1f} MB,' if needed else ''
    return (
        f'no disk space for {file}:{expected} got {free / 1e6:.1f} MB '
        f'({error.strerror})'
    )


def temporary_folder(path: Path) -> Path:
    """Create a folder beside `path` that is to be renamed to it.

    `sweep` in another process deletes it unless this process holds the lock
    in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    name = tempfile.mkdtemp(
        prefix=f'.{path.name}.', suffix=PART, dir=path.parent
    )
    _own_folders.add(name)
    return Path(name)


def sweep(folder: Path, name: str = '') -> None:
    """Delete the temporary files and folders of killed processes.

    With `name` only those of that file; without it, this process must be the
    only one that writes to `folder`.
    """
    with os.scandir(folder) as entries:
        parts = [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(f'.{name}')
            and entry.name.endswith(PART)
            and TEMPORARY.fullmatch(entry.name)
        ]
    for path in parts:
        if name and path.name[: -len('.12345678.part')] != f'.{name}':
            continue
        # Another process may sweep as well, or another user own the file.
        with suppress(OSError):
            if path.is_symlink():
                path.unlink()
            elif path.is_dir():
                if str(path) not in _own_folders and not is_taken(path):
                    shutil.rmtree(path)
            elif _is_abandoned(path, alone=not name):
                path.unlink()


def _is_abandoned(path: Path, alone: bool) -> bool:
    """Return whether the process that was writing it has ended.

    On a file system without locks, only if this process is `alone`.
    """
    if os.name == 'nt':
        return True  # deleting fails as long as it is open
    if not path.is_file():
        return False
    with path.open('r+b') as file:
        locked = try_lock(file)
    return locked or (alone and locked is None)


def user_cache() -> Path:
    """Return the user's folder for what can be computed again."""
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'flower_mm'


def sync_folder(folder: Path) -> None:
    """Write a rename to the disk; Windows does not need it."""
    if os.name == 'nt':
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
