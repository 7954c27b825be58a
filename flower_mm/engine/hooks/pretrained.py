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
from flower_mm.weights.download import require
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.load_into_model import load_backbone

# Keys of checkpoints and run.json: the file, and the kind of weights.
PRETRAINED = 'pretrained'
INITIAL = 'initial_weights'
# Networks for ImageNet have 340,000 parameters (ShuffleNetV2 x0.5) or more.
SMALL = 200_000


@HOOKS.register_module()
class PretrainedHook(Hook):
    """Load the backbone before the first epoch of a run.

    Args:
        weights: A name in the weights table, timm/ and a name of timm's
            weights, or the path of a file. Named weights are downloaded
            where they are missing.
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
    if loads_weights(cfg):
        return PRETRAINED
    if 'pretrained' in (cfg.get('default_hooks') or {}):
        return f'{RANDOM}, as wanted'
    parameters = sum(weight.numel() for weight in model.parameters())
    return RANDOM if parameters > SMALL else f'{RANDOM}, small network'


def loads_weights(cfg: Config) -> bool:
    """Whether a config loads weights, also by MMPretrain's own keys."""
    return bool(
        cfg.get('load_from')
        or (cfg.get('default_hooks') or {}).get('pretrained')
        or any(
            part.get('type') == 'Pretrained' or part.get('pretrained')
            for part in walk(cfg.model)
        )
    )


def find_weights(weights: str) -> Path:
    """Return the file of a path or of a name, downloaded where missing."""
    if Path(weights).suffix in ('.pth', '.pt', '.safetensors'):
        return Path(weights)
    return require(weights)
