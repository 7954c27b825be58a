"""Starting from ImageNet weights."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from flower_mm.engine.model import unwrapped
from flower_mm.registry import HOOKS
from flower_mm.weights.load import load_backbone
from flower_mm.weights.table import require
from flower_mm.weights.verify import sha256_of

PRETRAINED = 'pretrained'  # where checkpoints and run.json note the file


@HOOKS.register_module()
class PretrainedHook(Hook):
    """Load the backbone before the first epoch of a run.

    A resumed run has its weights already.

    Args:
        weights: A name in the weights table, or the path of a file.
    """

    priority = 'VERY_HIGH'

    def __init__(self, weights: str) -> None:
        self.weights = weights

    def before_train(self, runner) -> None:
        if runner.epoch > 0 or runner._resume:
            return
        model = unwrapped(runner.model)
        path = find_weights(self.weights)
        runner.say(f'weights: {load_backbone(model, path)} from {path.name}')
        if is_main_process():
            runner.message_hub.update_info(
                PRETRAINED, {'file': path.name, 'sha256': sha256_of(path)}
            )


def find_weights(weights: str) -> Path:
    """A path stays one; a name stands for its verified file."""
    if Path(weights).suffix in ('.pth', '.pt', '.safetensors'):
        return Path(weights)
    return require(weights)
