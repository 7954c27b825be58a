"""Explain failures of the machine: memory, disk, dead workers."""

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from flower_mm.errors import UserError, is_out_of_memory
from flower_mm.files import NO_ROOM, no_room

# Errors of reading from a worker that died.
CUT_OFF = (ConnectionResetError, ConnectionRefusedError, EOFError)
SHARED_MEMORY = Path('/dev/shm')


@contextmanager
def explained(folder: Path, batch_size: int, fix: str) -> Iterator[None]:
    """Turn failures of the machine inside the block into a UserError.

    These are a lack of memory, disk or shared memory, and killed workers.
    `fix` is the advice for smaller batches.
    """
    try:
        with _quiet_threads():
            yield
    except UserError:
        raise
    except CUT_OFF as error:
        raise UserError(_ended()) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename is None:
            # The socket of a dead worker.
            raise UserError(_ended()) from error
        if is_out_of_memory(error):
            raise UserError(_memory(error, batch_size, fix)) from error
        if error.errno not in NO_ROOM:
            raise
        raise UserError(
            no_room(error, Path(error.filename or folder))
        ) from error
    except SyntaxError as error:
        # MMEngine takes Ctrl-C while formatting a config for an error in it.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        if 'killed by signal: Terminated' in text:
            # A signal to the process group reaches this process now.
            time.sleep(0.5)
        explanation = (
            _memory(error, batch_size, fix)
            or _shared_memory(text)
            or _worker(text)
            or _other_process(text)
        )
        if explanation is None:
            raise
        raise UserError(explanation) from error


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Keep workers from printing that their reader has ended.

    A thread in each worker reports to this hook, which the worker inherits.
    """
    original = sys.excepthook

    def show(kind: type[BaseException], error, trace) -> None:
        if not issubclass(kind, (*CUT_OFF, BrokenPipeError)):
            original(kind, error, trace)

    sys.excepthook = show
    try:
        yield
    finally:
        sys.excepthook = original


def _memory(error: Exception, batch_size: int, fix: str) -> str | None:
    if isinstance(error, torch.OutOfMemoryError):
        size = torch.cuda.get_device_properties().total_memory / 2**30
        memory = f"the GPU's memory of {size:.0f} GiB"
    elif is_out_of_memory(error) and not _shared_memory(str(error)):
        memory = 'the memory'
    else:
        return None
    return f'{memory} is too small for a batch of {batch_size} photos.\n{fix}'


def _shared_memory(text: str) -> str | None:
    if not (
        'Bus error' in text
        or 'out of shared memory' in text
        or ('unable to' in text and 'torch_' in text)
    ):
        return None
    space = ''
    if SHARED_MEMORY.is_dir():
        free = shutil.disk_usage(SHARED_MEMORY).free
        space = f' ({SHARED_MEMORY} has {free / 1e6:.0f} MB free)'
    return (
        f'the data loading workers ran out of shared memory{space}.\n'
        'Try: --workers 0\n'
        'or, in a container, more shared memory (docker run --shm-size=2g)'
    )


def _worker(text: str) -> str | None:
    """Return the message for a worker whose end torch reports."""
    if not re.search(r'DataLoader worker.*(killed|exited unexpectedly)', text):
        return None
    by = re.search(r'killed by signal: ([\w ]+)', text)
    return _ended(f' by signal {by[1].strip()}' if by else '')


def _other_process(text: str) -> str | None:
    """Return the message for a broken connection of gloo or NCCL."""
    if not re.search(r'gloo/transport|NCCL error|ncclRemoteError', text):
        return None
    return (
        'the connection to another process of this run broke; that process '
        f'has ended, or the network failed: {text.strip().splitlines()[0]}\n'
        'Look at the logs of the other processes and machines'
    )


def _ended(reason: str = '') -> str:
    return (
        f'a data loading worker was killed{reason}, probably for lack of '
        'memory.\nTry: --workers 1'
    )
