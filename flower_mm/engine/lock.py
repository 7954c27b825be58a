"""One run at a time in a folder."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from flower_mm.errors import UserError
from flower_mm.lock import taken

LOCK = '.lock'


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder` until this block or process ends.

    The system drops the lock of a process that dies, however it does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open('a+', encoding='utf-8') as file:
        if not taken(file):
            file.seek(0)
            raise UserError(
                f'another run is writing to {folder}: '
                f'{file.read(200).strip() or "it has only just begun"}.\n'
                'Wait for its end, or name another folder: --work-dir FOLDER'
            )
        file.truncate(0)
        file.write(
            f'process {os.getpid()} on {socket.gethostname()}, since '
            f'{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}\n'
        )
        file.flush()
        yield
