"""MMEngine's and MMPretrain's ways to a file of weights, made safe.

All of them, such as `init_cfg` of type Pretrained, `load_checkpoint` and
`get_model`, end in functions called `load_from_...` in one module. MMEngine
0.10.7 leaves it to torch whether a pickle is executed, so that the variable
TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD lets any file execute code, and without it
MMEngine cannot read its own checkpoints. It also downloads unverified files.

tests/weights/test_safe_loading.py fails when MMEngine no longer needs this.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.weights.read_checkpoint import read_checkpoint

_lock = threading.Lock()
_uses = 0  # blocks that are running, in any thread
_originals: dict[str, dict] = {}


@contextmanager
def safe_loading() -> Iterator[None]:
    """Let MMEngine read local files as data while the block runs.

    This holds for the whole process. Blocks may be nested and may run in
    several threads: the last one to end restores MMEngine's functions.
    """
    global _uses
    with _lock:
        if _uses == 0:
            _replace()
        _uses += 1
    try:
        yield
    finally:
        with _lock:
            _uses -= 1
            if _uses == 0:
                _restore()


def load_from_local(filename: str, map_location: object = None) -> dict:
    """Read a local file as data, onto the CPU: models copy it from there."""
    if '://' in str(filename):
        raise UserError(
            f'cannot load {filename}: expected a local file.\n'
            'Download verified weights: ' + command('weights', 'NAME')
        )
    return read_checkpoint(Path(filename).expanduser())


def _replace() -> None:
    functions = {
        name: value
        for name, value in vars(mmengine_checkpoint).items()
        if name.startswith('load_from_')
    }
    schemes = CheckpointLoader._schemes
    _originals.update(functions=functions, schemes=schemes)
    vars(mmengine_checkpoint).update(dict.fromkeys(functions, load_from_local))
    # A scheme that the user's own module has registered stays.
    CheckpointLoader._schemes = {
        scheme: load_from_local if loader in functions.values() else loader
        for scheme, loader in schemes.items()
    }


def _restore() -> None:
    vars(mmengine_checkpoint).update(_originals['functions'])
    CheckpointLoader._schemes = _originals['schemes']
