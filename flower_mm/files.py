"""Writing files so that a crash leaves the old one or the new one."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from flower_mm.errors import UserError

PART = '.part'
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: str | Path, mode: str = 'wb') -> Iterator[IO]:
    """Open a file beside `path` that takes its place when the block ends.

    The bytes are on the disk before the rename, so that not even a power cut
    leaves half a file under the right name. When the block raises, `path` is
    as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Windows opens text with its own line ends and code page; ours are fixed.
    text = {} if 'b' in mode else {'encoding': 'utf-8', 'newline': '\n'}
    handle, name = tempfile.mkstemp(
        prefix=f'.{path.name}.', suffix=PART, dir=path.parent
    )
    try:
        with os.fdopen(handle, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is for whoever may read here.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def write_whole(path: str | Path, content: bytes) -> None:
    """Replace `path`; where there is no room, say how much is missing."""
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UserError(no_room(error, Path(path), len(content))) from error


def no_room(error: OSError, path: Path, needed: int = 0) -> str:
    """Say which file found no room, how much it takes and what is free."""
    shown = path
    while not path.is_dir():
        path = path.parent
    free = shutil.disk_usage(path).free
    takes = f' it takes {needed / 1e6:.1f} MB,' if needed else ''
    return (
        f'no room for {shown}:{takes} {free / 1e6:.1f} MB are free there '
        f'({error.strerror})'
    )


def sweep(folder: Path) -> None:
    """Delete what a killed process left of files it was replacing.

    Only for a folder that no other process is writing to.
    """
    for path in folder.glob(f'.*{PART}'):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename last; Windows has no handle on folders and no need."""
    if os.name == 'nt':
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
