"""corrections.csv: what people have decided about the labels of a dataset.

Each decision is a further line, an undo as well, so that the file is its own
history. A line counts once its line end is on the disk: the rest of a line
that a killed process has begun is ignored, and removed by the next decision.
"""

import csv
import hashlib
import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from flower_mm.csv_files import read_rows, write_row
from flower_mm.errors import UserError, printable
from flower_mm.files import NO_ROOM, no_room, sync_folder
from flower_mm.layout import DatasetDir
from flower_mm.lock import one_at_a_time_in, open_unlinked

KEEP, RELABEL, EXCLUDE, UNSURE = 'keep', 'relabel', 'exclude', 'unsure'
UNDO = 'undo'  # withdraws the last decision about the photo
ACTIONS = (KEEP, RELABEL, EXCLUDE, UNSURE, UNDO)

COMPARED = 500  # bytes

Key = tuple[str, str]  # split, class/name


@dataclass(frozen=True)
class Correction:
    """A line of the file; the fields are its columns."""

    when: str  # UTC
    who: str
    split: str
    photo: str  # class/name in the dataset
    sha256: str  # of the file that was seen
    old_label: str
    action: str
    new_label: str = ''  # of RELABEL only

    @property
    def key(self) -> Key:
        return self.split, self.photo


COLUMNS = [field.name for field in fields(Correction)]


def now() -> str:
    return datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


class ConflictError(Exception):
    """Somebody else has decided about these photos in the meantime."""

    def __init__(self, keys: list[Key]) -> None:
        super().__init__()
        self.keys = keys


class Corrections:
    """The decisions about a dataset, and their file.

    Several threads and processes can add decisions at the same time.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / DatasetDir.CORRECTIONS
        self._lock = threading.RLock()
        self._forget()
        self.refresh()

    def _forget(self) -> None:
        self.lines: list[Correction] = []
        self._size = 0  # bytes that were read
        self._end = b''  # the last of these bytes
        self._read = 0  # lines, with the header
        self._digest = hashlib.sha256()
        # The decisions about a photo that count, and its last line.
        self._stacks: dict[Key, list[Correction]] = defaultdict(list)
        self._versions: dict[Key, int] = {}

    def require_writable(self) -> None:
        """Raise UserError if no decision can be saved."""
        with self._lock:
            try:
                with one_at_a_time_in(self._root, 'writing corrections'):
                    pass
            except OSError as error:
                raise UserError(
                    f'{self._root} is not writable ({error.strerror}): '
                    'decisions cannot be saved'
                ) from error

    @property
    def sha256(self) -> str:
        """The hash of the lines that count."""
        return self._digest.hexdigest()

    def decision(self, key: Key) -> Correction | None:
        """Return the decision about a photo, None before one is taken."""
        stack = self._stacks.get(key)
        return stack[-1] if stack else None

    def decisions(self) -> list[Correction]:
        """Return the decisions that count, by split and photo."""
        keys = sorted(key for key, stack in self._stacks.items() if stack)
        return [self._stacks[key][-1] for key in keys]

    def version(self, key: Key) -> int:
        """Return the number of the last line about a photo, 0 without one."""
        return self._versions.get(key, 0)

    def refresh(self) -> None:
        """Read what other processes have added."""
        _require_file(self.path)
        with self._lock:
            try:
                with open_unlinked(self.path, 'rb') as file:
                    file.seek(self._size - len(self._end))
                    if file.read(len(self._end)) != self._end:
                        self._forget()  # an editor has written another file
                        file.seek(0)
                    data = file.read()
            except FileNotFoundError:
                self._forget()
                return
            except OSError as error:
                raise UserError(
                    f'{self.path} cannot be read: {error}'
                ) from error
            whole = data[: data.rfind(b'\n') + 1]
            try:
                for line in whole.split(b'\n')[:-1]:
                    self._read += 1
                    self._take(line.rstrip(b'\r'))
            except UserError:
                self._forget()  # so that no line is taken twice
                raise
            self._digest.update(whole)
            self._size += len(whole)
            self._end = (self._end + whole)[-COMPARED:]

    def _take(self, line: bytes) -> None:
        try:
            # Editors on Windows begin a file with a byte-order mark.
            rows = list(read_rows(StringIO(line.decode('utf-8-sig'))))
            if not rows or (self._read == 1 and rows[0][1] == COLUMNS):
                return
            correction = Correction(*rows[0][1])
            if not _is_valid(correction):
                raise ValueError
        except (ValueError, TypeError, csv.Error):
            shown = printable(line.decode('utf-8', 'replace'), 80)
            raise UserError(
                f'{self.path}, line {self._read}: invalid correction '
                f'`{shown}`: expected {",".join(COLUMNS)}.\n'
                'Restore the line, or delete it'
            ) from None
        self.lines.append(correction)
        self._versions[correction.key] = len(self.lines)
        stack = self._stacks[correction.key]
        if correction.action != UNDO:
            stack.append(correction)
        elif stack:
            stack.pop()

    def add(
        self,
        corrections: Sequence[Correction],
        is_known: Callable[[Key, int], bool] = lambda key, version: True,
    ) -> None:
        """Append lines, and return when they are on the disk.

        Args:
            corrections: All of them are written, or none.
            is_known: Whether the person who decides has seen this version of
                a photo.

        Raises:
            ConflictError: Some photos have a version that is unknown.
        """
        with (
            self._lock,
            one_at_a_time_in(self._root, 'writing corrections'),
        ):
            self.refresh()
            unknown = [
                each.key
                for each in corrections
                if not is_known(each.key, self.version(each.key))
            ]
            if unknown:
                raise ConflictError(unknown)
            text = StringIO()
            if not self._size:
                write_row(text, COLUMNS)
            for correction in corrections:
                write_row(text, astuple(correction))
            self._append(text.getvalue().encode())
            self.refresh()

    def _append(self, data: bytes) -> None:
        is_new = not self.path.exists()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        flags |= getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_BINARY', 0)
        try:
            handle = os.open(self.path, flags, 0o666)
            try:
                # Without what a killed process has begun: nobody was told
                # that it is saved.
                os.ftruncate(handle, self._size)
                _write_all(handle, data)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, self._size)
                raise
            finally:
                os.close(handle)
            if is_new:
                sync_folder(self._root)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise UserError(no_room(error, self.path)) from error
            raise UserError(
                f'{self.path} cannot be written: {error}'
            ) from error


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _require_file(path: Path) -> None:
    """Refuse a link out of the dataset, and a pipe, which would block."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f'{path} is not a file: expected corrections as CSV')


def _is_valid(correction: Correction) -> bool:
    return (
        correction.split in DatasetDir.SPLITS
        and bool(correction.photo)
        and correction.action in ACTIONS
        and bool(re.fullmatch('[0-9a-f]{64}', correction.sha256))
        and bool(correction.new_label) == (correction.action == RELABEL)
    )
