"""Start from pretrained weights."""

from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from torch import nn

from flower_mm.config import walk
from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS
from flower_mm.report.result_warnings import RANDOM
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.load_into_model import load_backbone
from flower_mm.weights.pretrained_table import require

# Keys of checkpoints and run.json: the file, and the kind of weights.
PRETRAINED = 'pretrained'
INITIAL = 'initial_weights'
# Networks for ImageNet have 340,000 parameters (ShuffleNetV2 x0.5) or more.
SMALL = 200_000


@HOOKS.register_module()
class PretrainedHook(Hook):
    """Load the backbone before the first epoch of a run.

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
        runner.say(f'weights   {load_backbone(model, path)} from {path.name}')
        if is_main_process():
            runner.message_hub.update_info(
                PRETRAINED, {'file': path.name, 'sha256': sha256_of(path)}
            )


def initial_weights(cfg: Config, model: nn.Module) -> str:
    """The kind of weights that the backbone of a new run starts from.

    Returns:
        'pretrained'; 'random'; 'random, as wanted' where the config or
        --from-scratch switches PretrainedHook off; 'random, small network'.
    """
    hooks = cfg.get('default_hooks') or {}
    if (
        cfg.get('load_from')
        or hooks.get('pretrained')
        or any(map(_loads_weights, walk(cfg.model)))
    ):
        return PRETRAINED
    if 'pretrained' in hooks:
        return f'{RANDOM}, as wanted'
    parameters = sum(weight.numel() for weight in model.parameters())
    return RANDOM if parameters > SMALL else f'{RANDOM}, small network'


def _loads_weights(part: dict) -> bool:
    """Whether a part of a model loads weights by MMPretrain's own keys."""
    init = part.get('init_cfg') or []
    return bool(part.get('pretrained')) or any(
        isinstance(one, dict) and one.get('type') == 'Pretrained'
        for one in (init if isinstance(init, (list, tuple)) else [init])
    )


def find_weights(weights: str) -> Path:
    """Return the path of a file, given a path or a name in the table."""
    if Path(weights).suffix in ('.pth', '.pt', '.safetensors'):
        return Path(weights)
    return require(weights)
