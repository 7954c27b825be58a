"""Limit the disk space of decoded photos; delete the oldest first."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 20e9  # of all files of a dataset
FREE_BYTES = 2e9  # that stay free on the disk


class CannotHoldError(Exception):
    """The disk has too little space, or the photos have another type."""


def make_space(
    folder: Path, written: int, size: float, used: set[Path]
) -> None:
    """Delete the least recently used files, or raise CannotHoldError.

    Args:
        folder: The folder of decoded files.
        written: The bytes of the new file that are written already.
        size: The expected bytes of the complete file.
        used: The files that this process reads; they stay.
    """
    idle, held = _idle_files(folder, used)
    over = size + held - MOST_BYTES
    disk = size - written + FREE_BYTES - shutil.disk_usage(folder).free
    missing = max(over, disk)
    if missing > sum(idle.values()):
        missing -= sum(idle.values())  # too few bytes, so all of them stay
    else:
        for path, idle_size in idle.items():
            if missing > 0 and delete(path):
                missing -= idle_size
    if missing <= 0:
        return
    limit = (
        f'the limit of {_text(MOST_BYTES)} for all files is exceeded by '
        if over > disk
        else f'the disk lacks, with {_text(FREE_BYTES)} left free, '
    )
    raise CannotHoldError(
        f'the decoded photos take {_text(size)}: {limit}{_text(missing)}'
    )


def delete(path: Path) -> bool:
    """Return whether the file could be deleted.

    Another user's cannot, nor on Windows one that a run has mapped.
    """
    try:
        path.unlink()
    except OSError:
        return False
    return True


def touch(path: Path) -> None:
    """Set the access time, which many disks do not do by themselves."""
    with suppress(OSError):  # another user's file
        written = path.stat().st_mtime_ns
        os.utime(path, ns=(time.time_ns(), written))


def _idle_files(folder: Path, used: set[Path]) -> tuple[dict[Path, int], int]:
    """Return the sizes of files to delete, and the total of all files.

    The least recently used files come first.
    """
    files = {path: path.stat() for path in folder.glob('*.photos')}
    idle = sorted(
        files.keys() - used,
        key=lambda path: max(files[path].st_atime_ns, files[path].st_mtime_ns),
    )
    held = sum(stat.st_size for stat in files.values())
    return {path: files[path].st_size for path in idle}, held


def _text(count: float) -> str:
    return f'{count / 1e9:.1f} GB' if count > 5e8 else f'{count / 1e6:.1f} MB'
