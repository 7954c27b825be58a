"""Parameters of a search that are relative to each config."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

from flower_mm.auto_schedule import AUTO, VALIDATIONS
from flower_mm.checks.config_values import value_at
from flower_mm.config import LOADERS, bare_name
from flower_mm.errors import UserError
from flower_mm.image_size import image_size_settings, model_size
from flower_mm.registry import MODELS

LAYER_DECAY = 'LearningRateDecayOptimWrapperConstructor'
JITTERS = ('ColorJitter', 'QuickJitter')
JITTER_KEYS = ('brightness', 'contrast', 'saturation', 'hue')
SMALLEST_CROP = 0.08  # of the photo, as in ImageNet's recipes
SIDE_STEP = 32  # image sizes that every stride and most patch sizes divide

Settings = dict[str, Any]


@dataclass(frozen=True)
class SearchConfig:
    """A config of the search: as it was read, and applied to the dataset."""

    name: str
    cfg: Config
    resolved: Config
    has_layers: bool  # that layer decay can number


@dataclass(frozen=True)
class Parameter:
    """A named parameter.

    `settings` returns the config keys that a value sets, None where the
    config does not support the parameter. `own` is the value that leaves the
    config as it is.
    """

    distribution: BaseDistribution
    settings: Callable[[SearchConfig, Any], Settings | None]
    own: Callable[[SearchConfig], Any] = lambda config: 1.0


def _learning_rate(config: SearchConfig, factor: float) -> Settings | None:
    rate = value_at(config.resolved, 'optim_wrapper.optimizer.lr')
    if not isinstance(rate, (int, float)):
        return None
    return {'optim_wrapper.optimizer.lr': rate * factor}


def _head_learning_rate(
    config: SearchConfig, factor: float
) -> Settings | None:
    if not config.cfg.model.get('head') or config.has_layers:
        return None
    key = 'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult'
    return {key: factor}


def _layer_decay(config: SearchConfig, decay: float) -> Settings | None:
    if not config.has_layers:
        return None
    wrapper = 'optim_wrapper'
    return {
        f'{wrapper}.constructor': LAYER_DECAY,
        f'{wrapper}.paramwise_cfg.layer_decay_rate': decay,
    }


def numbers_layers(cfg: Config) -> bool:
    """Return whether the backbone numbers its layers, for layer decay."""
    backbone = cfg.model.get('backbone') or {}
    kind = backbone.get('type')
    made = MODELS.get(kind) if isinstance(kind, str) else kind
    if not hasattr(made, 'get_layer_depth'):
        return False
    try:
        # MMPretrain's ResNet has it, and raises for some depths.
        built = MODELS.build(backbone)
        built.get_layer_depth(next(built.named_parameters())[0])
    except Exception:  # any error of a backbone; the training reports it
        return False
    return True


def _weight_decay(config: SearchConfig, decay: float) -> Settings:
    return {'optim_wrapper.optimizer.weight_decay': decay}


def _label_smoothing(config: SearchConfig, share: float) -> Settings | None:
    key = 'model.head.loss.label_smooth_val'
    if value_at(config.cfg, key) is None:
        return None
    return {key: float(share)}


def _mixup(config: SearchConfig, alpha: float) -> Settings | None:
    loss = value_at(config.cfg, 'model.head.loss') or {}
    own = config.cfg.model.get('train_cfg') or {}
    if own.get('augments') or not (
        bare_name(loss.get('type')) == 'LabelSmoothLoss'
        or loss.get('use_soft')
    ):
        return None
    if not alpha:
        return {}
    part = {**own, 'augments': {'type': 'Mixup', 'alpha': alpha}}
    if config.cfg.model.get('train_cfg', {}) is None:
        part['_delete_'] = True  # MMEngine merges no dict into None
    return {'model.train_cfg': part}


def _augmentation(config: SearchConfig, strength: float) -> Settings | None:
    """Scale crops, colour jitter and erasing; 0 is a plain centre part."""
    settings: Settings = {}
    for number, step in enumerate(_train_pipeline(config.cfg)):
        key = f'train_dataloader.dataset.pipeline.{number}'
        name = bare_name(step.get('type'))
        if name in ('RandomResizedCrop', 'GrowingCrop'):
            low, high = step.get('crop_ratio_range', (SMALLEST_CROP, 1.0))
            low = max(SMALLEST_CROP, high - (high - low) * strength)
            settings[f'{key}.crop_ratio_range'] = (low, high)
        elif name in JITTERS:
            for part in JITTER_KEYS:
                if isinstance(value := step.get(part), (int, float)):
                    most = 0.5 if part == 'hue' else 1.0
                    settings[f'{key}.{part}'] = min(most, value * strength)
        elif name == 'RandomErasing' and 'erase_prob' in step:
            probability = min(1.0, step.erase_prob * strength)
            settings[f'{key}.erase_prob'] = probability
    return settings or None


def _image_size(config: SearchConfig, factor: float) -> Settings | None:
    sides = model_size(_test_pipeline(config.cfg)).split(' x ')
    if len(set(sides)) != 1 or not sides[0].isdigit():
        return None
    side = int(sides[0])
    size = max(SIDE_STEP, round(side * factor / SIDE_STEP) * SIDE_STEP)
    if factor == 1:
        return {}
    if 'Swin' in str(value_at(config.cfg, 'model.backbone.type')):
        return None  # its last stage would be smaller than a window
    try:
        return image_size_settings(config.cfg, size, LOADERS)
    except UserError:
        return None


def _epochs(config: SearchConfig, factor: float) -> Settings:
    if factor == 1:
        return {}
    epochs = max(1, round(config.resolved.train_cfg.max_epochs * factor))
    intervals = {
        key: math.ceil(epochs / VALIDATIONS)
        for key in (
            'train_cfg.val_interval',
            'default_hooks.checkpoint.interval',
        )
        if value_at(config.cfg, key) == AUTO
    }
    return {'train_cfg.max_epochs': epochs, **intervals}


def _train_pipeline(cfg: Config) -> list:
    return value_at(cfg, 'train_dataloader.dataset.pipeline') or []


def _test_pipeline(cfg: Config) -> list:
    return value_at(cfg, 'val_dataloader.dataset.pipeline') or []


def _now(key: str) -> Callable[[SearchConfig], Any]:
    return lambda config: value_at(config.resolved, key)


NAMED = {
    'learning_rate': Parameter(
        FloatDistribution(0.1, 10, log=True), _learning_rate
    ),
    'head_learning_rate': Parameter(
        FloatDistribution(1.0, 10, log=True), _head_learning_rate
    ),
    'layer_decay': Parameter(FloatDistribution(0.5, 1.0), _layer_decay),
    'weight_decay': Parameter(
        FloatDistribution(1e-3, 0.3, log=True),
        _weight_decay,
        _now('optim_wrapper.optimizer.weight_decay'),
    ),
    'augmentation': Parameter(FloatDistribution(0.0, 2.0), _augmentation),
    'label_smoothing': Parameter(
        FloatDistribution(0.0, 0.2),
        _label_smoothing,
        _now('model.head.loss.label_smooth_val'),
    ),
    'mixup': Parameter(
        CategoricalDistribution([0.0, 0.2, 0.8]), _mixup, lambda config: 0.0
    ),
    'image_size': Parameter(
        CategoricalDistribution([0.75, 1.0, 1.25]), _image_size
    ),
    'epochs': Parameter(CategoricalDistribution([0.5, 1.0, 2.0]), _epochs),
}
