"""Compare the config of a test with that of the checkpoint's training."""

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

from mmengine.config import Config
from mmengine.registry import Registry

from flower_mm.errors import printable
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.weights.best_checkpoint import plain

PIPELINE = 'test_dataloader.dataset.pipeline'
# Keys that do not change predictions: initial values, settings of training,
# and what the number of classes determines.
WITHOUT_INFLUENCE = (
    '_scope_',
    'batch_augments',
    'cal_acc',
    'drop_path_rate',
    'drop_rate',
    'frozen_stages',
    'init_cfg',
    'lora_rank',
    'loss',
    'norm_eval',
    'num_classes',
    'pretrained',
    'requires_grad',
    'to_onehot',
    'topk',
    'train_cfg',
    'with_cp',
)


class Difference(NamedTuple):
    """A configuration key with another value in the checkpoint."""

    key: str
    config: object
    checkpoint: object

    def __str__(self) -> str:
        return (
            f'{printable(self.key)} is {_shown(self.config)}, '
            f'was {_shown(self.checkpoint)} in training'
        )

    @property
    def option(self) -> str:
        """The KEY=VALUE that removes the difference, or an empty text.

        The checkpoint may come from somebody else, and a config is a program:
        only plain numbers and words become an option.
        """
        names = [n for n in self.key.split('.') if not n.isdecimal()]
        value = self.checkpoint
        plain_key = all(map(_is_word, names)) and 'type' not in names
        if not plain_key or not _is_harmless(value):
            return ''
        return f'{self.key}={value}'.replace(' ', '')


def differences(cfg: Config, trained: object) -> list[Difference]:
    """Compare the keys that change predictions.

    Args:
        cfg: The config of the test.
        trained: The config in the checkpoint, which in checkpoints of other
            programs may be missing or Python text.
    """
    if not isinstance(trained, dict):
        return []
    now, then = _parts(plain(cfg.to_dict())), _parts(plain(trained))
    return [
        difference
        for key, registry in (
            ('model', MODELS),
            ('data_preprocessor', MODELS),
            (PIPELINE, TRANSFORMS),
        )
        if now[key] and then[key]
        for difference in _compare(key, now[key], then[key], registry)
    ]


def _parts(cfg: dict) -> dict:
    """Model, preprocessor and test pipeline, each where MMEngine finds it."""
    model = cfg.get('model')
    model = dict(model) if isinstance(model, dict) else {}
    preprocessor = model.pop('data_preprocessor', None)
    preprocessor = preprocessor or cfg.get('data_preprocessor')
    if isinstance(preprocessor, dict):
        preprocessor = {'type': 'ClsDataPreprocessor', **preprocessor}
    pipeline: Any = cfg
    for key in PIPELINE.split('.'):
        pipeline = pipeline.get(key) if isinstance(pipeline, dict) else None
    return {
        'model': model,
        'data_preprocessor': preprocessor,
        PIPELINE: pipeline,
    }


def _compare(
    key: str, now: object, then: object, registry: Registry
) -> Iterator[Difference]:
    if isinstance(now, dict) and isinstance(then, dict):
        names = [_bare(part.get('type')) for part in (now, then)]
        if names[0] != names[1]:
            yield Difference(f'{key}.type', *names)
            return
        for name in now | then:
            if name not in ('type', *WITHOUT_INFLUENCE):
                now_value, then_value = (
                    part[name]
                    if name in part
                    else _default(now.get('type'), name, registry)
                    for part in (now, then)
                )
                yield from _compare(
                    f'{key}.{name}', now_value, then_value, registry
                )
    elif _is_sequence(now) and _is_sequence(then) and len(now) == len(then):
        pairs = zip(now, then, strict=True)
        for place, (now_item, then_item) in enumerate(pairs):
            yield from _compare(
                f'{key}.{place}', now_item, then_item, registry
            )
    elif now != then:
        yield Difference(key, now, then)


def _is_sequence(value: object) -> TypeGuard[Sequence]:
    return isinstance(value, (list, tuple))


def _bare(name: object) -> str:
    """The name of a type without its scope."""
    return str(name).rpartition('.')[2]


def _default(kind: object, name: str, registry: Registry) -> object:
    """The default of an argument; None if it is unknown.

    `kind` has to come from the user's own config, because a registry imports
    what it looks up.
    """
    try:
        part = registry.get(kind)
        # A base class may take what its subclasses pass on as keywords.
        for owner in getattr(part, '__mro__', [part]):
            argument = inspect.signature(owner).parameters.get(name)
            if argument and argument.default is not argument.empty:
                return plain(argument.default)
    except (TypeError, ValueError, KeyError, ImportError):
        pass
    return None


def _shown(value: Any) -> str:
    if _is_sequence(value) and any(isinstance(x, dict) for x in value):
        value = [
            _bare(x.get('type')) if isinstance(x, dict) else x for x in value
        ]
    return printable(repr(value), 80)


def _is_harmless(value: object) -> bool:
    if _is_sequence(value):
        return bool(value) and all(map(_is_harmless, value))
    if isinstance(value, str):
        return _is_word(value)
    return value is None or isinstance(value, (bool, int, float))


def _is_word(text: str) -> bool:
    """Keys that begin with an underscore have a meaning for MMEngine."""
    return bool(re.fullmatch(r'[A-Za-z]\w*', text, re.ASCII))
