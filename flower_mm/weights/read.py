"""The one door through which a file of weights comes in: as data only."""

import pickle
import re
from pathlib import Path

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from numpy._core.multiarray import _reconstruct, scalar

from flower_mm.errors import UserError
from flower_mm.weights import safetensors

LOG_METHODS = ('min', 'max', 'current', 'mean')

# What files that are no weights begin with, and what they are.
STRANGERS = {
    b'<': 'a web page; the download went wrong',
    b'version https://git-lfs': 'a Git LFS pointer; fetch the file itself',
    b'{': 'a JSON text',
}


def _method_of_log(owner: object, name: str):
    """Stand in for `getattr` in the pickles of MMEngine.

    Its logs name four of their own methods through `getattr`; the true one
    would lead from any object to the whole interpreter.
    """
    if owner is HistoryBuffer and name in LOG_METHODS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'GLOBAL builtins.getattr of {name!r} is refused'
    )


# What a checkpoint that MMEngine saves holds besides tensors: its logs.
# NumPy 2 moved a module, and files of NumPy 1 still say the old name.
ALLOWED = [
    HistoryBuffer,
    np.ndarray,
    np.dtype,
    (_method_of_log, 'builtins.getattr'),
    *(
        (function, f'numpy.{core}.multiarray.{function.__name__}')
        for function in (_reconstruct, scalar)
        for core in ('core', '_core')
    ),
    *(
        type(np.dtype(kind))
        for kind in ('f2', 'f4', 'f8', 'i4', 'i8', 'u1', '?', 'U1')
    ),
]


def read_checkpoint(path: str | Path) -> dict:
    """Return what the file holds, on the CPU; nothing in it is executed."""
    path = Path(path)
    try:
        with path.open('rb') as file:
            start = file.read(64)
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}.') from None
    if not start:
        raise UserError(f'{path} is empty.')
    for mark, what in STRANGERS.items():
        if start.lstrip().startswith(mark):
            raise UserError(f'{path} holds no weights: it is {what}.')
    if safetensors.is_one(start):
        return safetensors.read(path)
    found = _unpickle(path)
    if not isinstance(found, dict):
        raise UserError(
            f'{path} holds no weights: a {type(found).__name__} instead of '
            'a dict of tensors.'
        )
    return found


def _unpickle(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(ALLOWED):
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r'GLOBAL (\S+)', str(error))
        raise UserError(
            f'{path} holds code ({code[1]}) and is refused: weights are data.'
            if code
            else f'{path} is not a checkpoint, or a damaged one.'
        ) from error
    except Exception as error:
        # A damaged file makes torch raise whatever its parts run into.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f'{path} is not a checkpoint, or is cut off: {reason[0][:200]}'
        ) from error
