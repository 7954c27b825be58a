"""The settings that a search varies.

A space has named parameters, which are relative to each config, and config
keys. A file in TOML replaces the default space:

    learning_rate = {low = 0.1, high = 10, log = true}
    image_size = [0.75, 1.0]
    model.head.loss.label_smooth_val = {low = 0.0, high = 0.2}
    optim_wrapper.optimizer.type = ['AdamW', 'SGD']
"""

import tomllib
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from mmengine.config import Config
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from flower_mm.checks.config_values import value_at
from flower_mm.checks.registered_types import (
    accepted_keys,
    find_type,
    similar,
)
from flower_mm.errors import UserError
from flower_mm.sweep.search_parameters import NAMED, SearchConfig, Settings

CONFIG = 'config'  # the parameter that chooses among several configs
RANGE_KEYS = {'low', 'high', 'log', 'step'}
# Registries whose classes may accept a key that the config does not set yet.
KINDS = ('MODELS', 'OPTIMIZERS', 'OPTIM_WRAPPERS', 'TRANSFORMS', 'HOOKS')

Space = dict[str, BaseDistribution]


def default_space(configs: list[SearchConfig], fixed: set[str]) -> Space:
    """Return the named parameters that at least one config supports."""
    space = {
        name: parameter.distribution
        for name, parameter in NAMED.items()
        if name not in fixed
        and any(
            parameter.settings(config, _some_value(parameter.distribution))
            is not None
            for config in configs
        )
    }
    return _with_config(space, configs)


def read_space(path: Path, configs: list[SearchConfig]) -> Space:
    """Read a space file and check its keys and ranges."""
    try:
        content = tomllib.loads(path.read_text('utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(
            f'the space file {path} cannot be read: {error}.\n'
            'Expected TOML, such as: '
            'learning_rate = {low = 0.1, high = 10, log = true}'
        ) from error
    space = {}
    for key, value in _leaves('', content):
        space[key] = _distribution(path, key, value)
        for config in configs:
            _require_known(path, key, space[key], config)
    if not space:
        raise UserError(f'the space file {path} is empty: expected parameters')
    return _with_config(space, configs)


def _with_config(space: Space, configs: list[SearchConfig]) -> Space:
    if len(configs) > 1:
        names = [config.name for config in configs]
        return {CONFIG: CategoricalDistribution(names), **space}
    return space


def _leaves(above: str, part: dict) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        key = f'{above}.{name}' if above else name
        if isinstance(value, dict) and not RANGE_KEYS & value.keys():
            yield from _leaves(key, value)
        else:
            yield key, value


def _distribution(path: Path, key: str, value: Any) -> BaseDistribution:
    try:
        if isinstance(value, list):
            if not all(isinstance(v, (str, int, float)) for v in value):
                raise ValueError('choices must be numbers, words or booleans')
            if not all(isfinite(v) for v in value if isinstance(v, float)):
                raise ValueError('choices must be finite')
            return CategoricalDistribution(value)
        if not isinstance(value, dict):
            raise ValueError(f'to set it, use --cfg-options {key}={value}')
        if unknown := value.keys() - RANGE_KEYS:
            raise ValueError(f'unknown key {min(unknown)}')
        numbers = [v for k, v in value.items() if k != 'log']
        if not all(type(v) in (int, float) and isfinite(v) for v in numbers):
            raise ValueError('low, high and step must be numbers')
        if all(type(v) is int for v in numbers) and key not in NAMED:
            return IntDistribution(**value)
        return FloatDistribution(**value)
    except (TypeError, ValueError) as error:
        raise UserError(
            f'invalid range of {key} in {path}: {error}.\nExpected '
            '{low = 0.1, high = 1.0}, with log = true for orders of '
            f'magnitude, or choices [1, 2]; got {value!r:.80}'
        ) from error


def _require_known(
    path: Path, key: str, distribution: BaseDistribution, config: SearchConfig
) -> None:
    if key in NAMED:
        values = _ends(distribution)
        if not all(isinstance(value, (int, float)) for value in values):
            raise UserError(f'invalid choices of {key} in {path}: {values}')
        if min(values) < 0:
            raise UserError(
                f'invalid range of {key} in {path}: expected at least 0, got '
                f'{min(values)}'
            )
        return
    above, _, name = key.rpartition('.')
    part = value_at(config.resolved, above) if above else config.resolved
    if isinstance(part, list) and name.isdigit() and int(name) < len(part):
        return
    if isinstance(part, (dict, Config)) and (
        name in part or name in _accepted(part)
    ):
        return
    near = similar(key, [*NAMED, *_all_keys('', config.resolved)], 0.5)
    raise UserError(
        f'unknown key {key} in {path}: {config.name} lacks it.'
        + (f' Did you mean {near}?' if near else '')
        + f'\nExpected a config key, or one of {", ".join(NAMED)}'
    )


def _accepted(part: Any) -> frozenset[str]:
    for kind in KINDS if part.get('type') else ():
        if made := find_type(part.get('type'), kind, 'flower_mm'):
            return accepted_keys(made)
    return frozenset()


def _all_keys(above: str, part: Any) -> Iterator[str]:
    items = part.items() if isinstance(part, (dict, Config)) else ()
    if isinstance(part, list):
        items = [(str(n), value) for n, value in enumerate(part)]
    for name, value in items:
        key = f'{above}.{name}' if above else str(name)
        yield key
        yield from _all_keys(key, value)


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [distribution.low, distribution.high]


def _some_value(distribution: BaseDistribution) -> Any:
    return _ends(distribution)[-1]


def own_values(space: Space, config: SearchConfig) -> Settings | None:
    """Return the parameters of the config as it is, None outside the space."""
    values = {}
    for key, distribution in space.items():
        if key == CONFIG:
            value = config.name
        elif key in NAMED:
            value = NAMED[key].own(config)
            if NAMED[key].settings(config, value) is None:
                value = _some_value(distribution)  # has no effect
        else:
            value = value_at(config.resolved, key)
        ends = _ends(distribution)
        if isinstance(distribution, CategoricalDistribution):
            inside = value in ends
        else:
            number = isinstance(value, (int, float))
            inside = number and ends[0] <= value <= ends[1]
        if not inside:
            return None
        values[key] = value
    return values


def settings_of(config: SearchConfig, values: Mapping[str, Any]) -> Settings:
    """Return the config keys that the parameters of a trial set.

    A named parameter that the config does not support has no effect.
    """
    settings: Settings = {}
    for key, value in values.items():
        if key in NAMED:
            settings |= NAMED[key].settings(config, value) or {}
        elif key != CONFIG:
            settings[key] = value
    return settings
