"""Room on the disk for decoded photos: a bound, and who goes first."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 20e9  # of all files of a dataset
LEFT_FREE = 2e9  # bytes that stay free on the disk


class CannotHoldError(Exception):
    """There would be no room, or photos are of another kind."""


def make_room(
    folder: Path, written: int, whole: float, used: set[Path]
) -> None:
    """Delete what was not used for longest, or raise CannotHoldError.

    Args:
        folder: Of decoded files.
        written: Bytes of the new one that are there already.
        whole: What it will have.
        used: Files that this process reads; they stay.
    """
    idle, held = _idle(folder, used)
    over = whole + held - MOST_BYTES
    disk = whole - written + LEFT_FREE - shutil.disk_usage(folder).free
    missing = max(over, disk)
    if missing > sum(idle.values()):
        missing -= sum(idle.values())  # not enough, so all of them stay
    else:
        for path, size in idle.items():
            if missing > 0 and delete(path):
                missing -= size
    if missing <= 0:
        return
    why = (
        f'the files there may have {_size(MOST_BYTES)} in all: '
        f'{_size(missing)} too much'
        if over > disk
        else f'{_size(LEFT_FREE)} of the disk stay free: {_size(missing)} '
        'are missing'
    )
    raise CannotHoldError(f'the file would have {_size(whole)}, and {why}')


def delete(path: Path) -> bool:
    """False where it is not ours; Windows keeps what a run has mapped."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def touch(path: Path) -> None:
    """Note that it is used; many disks are mounted not to."""
    with suppress(OSError):  # it is another user's
        written = path.stat().st_mtime_ns
        os.utime(path, ns=(time.time_ns(), written))


def _idle(folder: Path, used: set[Path]) -> tuple[dict[Path, int], int]:
    """Files that may go with their bytes, and the bytes of all.

    Those come first that were not used for longest.
    """
    found = {path: path.stat() for path in folder.glob('*.photos')}
    idle = sorted(
        found.keys() - used,
        key=lambda path: max(found[path].st_atime_ns, found[path].st_mtime_ns),
    )
    held = sum(stat.st_size for stat in found.values())
    return {path: found[path].st_size for path in idle}, held


def _size(count: float) -> str:
    return f'{count / 1e9:.1f} GB' if count > 5e8 else f'{count / 1e6:.1f} MB'
