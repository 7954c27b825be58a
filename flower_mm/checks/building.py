"""Build parts of a config quietly, quickly and without side effects."""

import copy
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, Registry
from torch import nn
from torch.overrides import TorchFunctionMode

from flower_mm.errors import UserError

LONGEST = 300  # characters of a library's message
# Parts of a model that can be built alone, the innermost first.
MODEL_PARTS = ('head.loss', 'head', 'neck', 'backbone')


@contextmanager
def quiet() -> Iterator[None]:
    """Silence log lines below errors, and warnings."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


class _SkipInit(TorchFunctionMode):
    """Zero new weights: drawing the 138 million of VGG-16 takes 2 s."""

    INITIALIZERS = (
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.kaiming_uniform_,
        nn.init.kaiming_normal_,
    )

    def __torch_function__(
        self,
        function: Callable,
        types: tuple,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if function in self.INITIALIZERS:
            # What memory held may be denormal, which is slow to compute.
            return (args[0] if args else kwargs['tensor']).detach().zero_()
        return function(*args, **kwargs)


def reason(error: Exception) -> str:
    """Return a library's error on one line; its source if it has no text."""
    text = ' '.join(str(error).split())
    if isinstance(error, UserError):
        return text
    lines = traceback.extract_tb(error.__traceback__)
    if not text and lines:
        text = lines[-1].line or ''
    return f'{type(error).__name__}: {text[:LONGEST]}'


def build_error(
    build: Callable, part: ConfigDict | list | None
) -> Exception | None:
    """Return the error of building a part, None if it can be built."""
    if not isinstance(part, (dict, list)):
        return None
    try:
        with quiet(), _SkipInit():
            build(copy.deepcopy(part))
    except Exception as error:
        return error
    return None


class ModelError(Exception):
    """A part of a model that cannot be built, and where it is."""

    def __init__(self, place: str, part: object, error: Exception) -> None:
        super().__init__(str(error))
        self.place, self.part, self.error = place, part, error


def build_model(cfg: ConfigDict, registry: Registry = MODELS) -> nn.Module:
    """Build a model whose weights are zero or whatever memory held.

    An error raises a ModelError with the part that causes it.
    """
    try:
        with quiet(), _SkipInit():
            return registry.build(copy.deepcopy(cfg))
    except UserError:
        raise
    except Exception as error:
        raise _failing_part(cfg, registry, error) from error


def _failing_part(
    cfg: ConfigDict, registry: Registry, error: Exception
) -> ModelError:
    path, model = 'model', cfg
    if 'module' in cfg:  # test-time augmentation around the model
        path, model = 'model.module', cfg.module
    for name in MODEL_PARTS:
        part = model
        for key in name.split('.'):
            part = part.get(key) if isinstance(part, dict) else None
        if alone := build_error(registry.build, part):
            return ModelError(f'{path}.{name}', part, alone)
    for name in ('train_cfg', 'data_preprocessor'):
        rest = copy.deepcopy(model)
        part = rest.pop(name, None)
        if part and build_error(registry.build, rest) is None:
            where = name if name not in cfg or name != 'train_cfg' else ''
            return ModelError(where or f'{path}.{name}', part, error)
    return ModelError(path, model, error)
