"""MMEngine's and MMPretrain's ways to a file of weights, made safe.

All of theirs, such as `init_cfg` of type Pretrained, `load_checkpoint` and
`get_model`, end in functions called `load_from_...` in one module. MMEngine
0.10.7 leaves it to torch whether a pickle is executed, so that the variable
TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD opens the door to anybody's code, and without
it cannot read its own checkpoints. It also downloads what nobody has verified.

tests/engine/test_safe_loading.py tells when MMEngine no longer needs this.
"""

from pathlib import Path

from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as theirs

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.weights.read_checkpoint import read_checkpoint


def load_from_local(filename: str, map_location: object = None) -> dict:
    """Read a local file as data, onto the CPU: models copy it from there."""
    if '://' in str(filename):
        raise UserError(
            f'{filename} is not loaded; weights come, verified, through: '
            + command('weights', 'NAME')
        )
    return read_checkpoint(Path(filename).expanduser())


def install() -> None:
    """Put the safe function in the place of theirs, whatever the scheme."""
    for scheme in list(CheckpointLoader._schemes):
        CheckpointLoader.register_scheme(scheme, load_from_local, force=True)
    for name in vars(theirs):
        if name.startswith('load_from_'):
            setattr(theirs, name, load_from_local)
