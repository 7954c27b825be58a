"""Let a process die at a chosen step of a write.

To be run in the process before the tool, as `first` of forked.start. Each
step that changes a file in FAULT_FOLDER is noted in the file FAULT_NOTES
before it is done, as `kind name number`: `replace best.pth 2` is the second
rename onto best.pth, `folder best.pth 2` the fsync of the folder after it. At
the step FAULT_AT the process sends itself SIGKILL instead; of a write it
still does the first half.

With FAULT_POWER_CUT it is one: files that were not synced lose half of what
is new in them, renamed or not, and renames of others are undone where the
folder was not synced. Files that are appended to are left as they are.
"""

import builtins
import io
import os
import re
import signal
from collections import Counter
from pathlib import Path

FOLDER = Path(os.environ['FAULT_FOLDER']).resolve()
NOTES = os.environ['FAULT_NOTES']
AT = os.environ.get('FAULT_AT')
POWER_CUT = 'FAULT_POWER_CUT' in os.environ
MAIN = os.getpid()  # workers are forks of it and write nothing

notes = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
seen: Counter[str] = Counter()
opened: dict[int, Path] = {}  # handles and what they are open on
unsynced: dict[Path, int] = {}  # files and how much of them is on the disk
moved: list[tuple[Path, str | None]] = []  # onto what, a link to what it was

real_open, real_os_open = io.open, os.open
real_fsync, real_replace = os.fsync, os.replace
real_truncate, real_unlink = os.truncate, os.unlink


def inside(file: int | str | bytes | os.PathLike) -> Path | None:
    """The path of a file or an open handle, if steps on it count."""
    if os.getpid() != MAIN:
        return None
    if isinstance(file, int):
        return opened.get(file)
    path = Path(os.fsdecode(file)).resolve()
    return path if path.is_relative_to(FOLDER) else None


def called(path: Path) -> str:
    """Its name without what differs from run to run."""
    name = str(path.relative_to(FOLDER))
    name = re.sub(r'\.([^/]+)\.[^./]+\.part$', r'\1', name)
    # In a folder that is named after the run.
    name = re.sub(r'[^/]+/events\.out\.tfevents.*', 'events', name)
    return re.sub(r'\d{8}_\d{6}', 'TIME', name).replace(' ', '_')


def fatal(kind: str, path: Path) -> bool:
    """Note the step that comes now; true when it is the one to die at."""
    what = f'{kind} {called(path)}'
    seen[what] += 1
    step = f'{what} {seen[what]}'
    os.write(notes, f'{step}\n'.encode())
    return step == AT


def die() -> None:
    if POWER_CUT:
        _lose_what_is_not_on_the_disk()
    os.kill(MAIN, signal.SIGKILL)


def _lose_what_is_not_on_the_disk() -> None:
    for path, kept in unsynced.items():
        if path.exists():
            size = path.stat().st_size
            real_truncate(path, kept + (size - kept) // 2)
    for path, before in reversed(moved):
        if path in unsynced:
            continue  # the rename came through, the bytes did not
        if before:
            real_replace(before, path)
        else:
            real_unlink(path)


class Raw(io.FileIO):
    """What is below the buffers of a file that is written to."""

    def __init__(self, file, mode: str, path: Path, **kwargs) -> None:
        super().__init__(file, mode, **kwargs)
        self.path = opened[self.fileno()] = path
        self.appends = 'a' in mode

    def write(self, data) -> int:
        data = bytes(data)
        if os.getpid() != MAIN:
            return super().write(data)
        if not self.appends:
            unsynced.setdefault(self.path, os.fstat(self.fileno()).st_size)
        if fatal('write', self.path):
            super().write(data[: len(data) // 2])
            die()
        return super().write(data)


def open_counted(
    file,
    mode='r',
    buffering=-1,
    encoding=None,
    errors=None,
    newline=None,
    closefd=True,
    opener=None,
):
    path = inside(file) if set(mode) & set('wax+') else None
    if not path:
        return real_open(
            file, mode, buffering, encoding, errors, newline, closefd, opener
        )
    # A handle was counted when it was opened.
    if not isinstance(file, int) and fatal('open', path):
        die()
    kind = mode.replace('b', '').replace('t', '')
    raw = Raw(file, kind, path, closefd=closefd, opener=opener)
    if buffering == 0:
        return raw
    buffered = (io.BufferedRandom if '+' in mode else io.BufferedWriter)(raw)
    if 'b' in mode:
        return buffered
    text = io.TextIOWrapper(
        buffered, encoding, errors, newline, line_buffering=buffering == 1
    )
    text.mode = mode
    return text


def os_open(file, flags, *args, **kwargs) -> int:
    path = inside(file)
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    if path and writes and fatal('open', path):
        die()
    handle = real_os_open(file, flags, *args, **kwargs)
    if path:
        opened[handle] = path
    return handle


def fsync(file) -> None:
    path = inside(file if isinstance(file, int) else file.fileno())
    if path and path.is_dir():
        here = [onto for onto, _ in moved if onto.parent == path]
        if here and fatal('folder', here[-1]):
            die()
        moved[:] = [it for it in moved if it[0].parent != path]
    elif path:
        if fatal('fsync', path):
            die()
        unsynced.pop(path, None)
    real_fsync(file)


def replace(file, onto) -> None:
    path = inside(onto)
    if path:
        if fatal('replace', path):
            die()
        source = inside(file)
        if source in unsynced:
            unsynced[path] = unsynced.pop(source)
        before = None
        if POWER_CUT and path.is_file():
            before = f'{NOTES}.{seen.total()}'
            os.link(path, before)
        moved.append((path, before))
    real_replace(file, onto)


def counted(real):
    def function(file, *args, **kwargs):
        path = inside(file)
        if path and fatal(real.__name__, path):
            die()
        return real(file, *args, **kwargs)

    return function


io.open = builtins.open = open_counted
os.open, os.fsync = os_open, fsync
os.replace = os.rename = replace
for name in ('unlink', 'remove', 'chmod', 'truncate', 'ftruncate'):
    setattr(os, name, counted(getattr(os, name)))
