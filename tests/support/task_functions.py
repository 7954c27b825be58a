"""Functions that tests run as tasks, in processes of their own."""

import os
import signal
import time
from pathlib import Path

from flower_mm.errors import UserError


def square(number: int) -> int:
    return number * number


def process_of(_: object) -> tuple[int, str]:
    time.sleep(0.2)
    return os.getpid(), os.environ['OMP_NUM_THREADS']


def die_once(mark: str) -> str:
    """Be killed at the first call, as by a lack of memory."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return mark


def die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(item: object) -> None:
    raise UserError(f'invalid item {item}')


def fail(item: object) -> None:
    raise UnpicklableError(item, 'two arguments')


class UnpicklableError(Exception):
    def __init__(self, item: object, text: str) -> None:
        super().__init__(f'{text}: {item}')
