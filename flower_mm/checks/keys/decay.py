"""Multipliers of a weight decay that there is none of."""

from collections.abc import Iterator

from mmengine.config import Config

from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.remedy import option, value_at

PLACE = 'optim_wrapper.optimizer.weight_decay'
# Of these MMEngine asks for the number that they multiply.
MULTIPLIERS = ('norm_decay_mult', 'bias_decay_mult', 'dwconv_decay_mult')
CONSTRUCTORS = (
    'DefaultOptimWrapperConstructor',
    'FewGroups',
    'MergedGroupsConstructor',
    'LearningRateDecayOptimWrapperConstructor',
)


def check_decay(cfg: Config) -> Iterator[Finding]:
    lacking = multiplied(cfg)
    optimizer = value_at(cfg, 'optim_wrapper.optimizer') or {}
    if lacking and 'type' in optimizer and value_at(cfg, PLACE) is None:
        yield stop(
            f'paramwise_cfg has {", ".join(lacking)}, and '
            f'{optimizer["type"]} is given no weight_decay that they would '
            'multiply.',
            PLACE,
            option(PLACE, 0),
        )


def multiplied(cfg: Config) -> list[str]:
    """The settings that need a weight decay, be it 0."""
    wrapper = cfg.optim_wrapper
    constructor = wrapper.get('constructor') or CONSTRUCTORS[0]
    if str(constructor).rpartition('.')[2] not in CONSTRUCTORS:
        return []
    settings = wrapper.get('paramwise_cfg') or {}
    found = [name for name in MULTIPLIERS if name in settings]
    custom = settings.get('custom_keys') or {}
    if any('decay_mult' in (part or {}) for part in custom.values()):
        found.append('decay_mult')
    return found
