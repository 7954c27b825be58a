"""The model for its shapes alone: no weight is drawn, no sum computed."""

import copy
import traceback
import warnings
from collections.abc import Callable

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import nn
from torch.overrides import TorchFunctionMode

from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.quiet import quiet
from flower_mm.errors import UserError

PARTS = ('backbone', 'neck', 'head')
PHOTOS = 2  # batch norm has no statistics of one
LONGEST = 300  # characters of what a library says


class FoundError(UserError):
    """A finding that stands in the way of the check that ran into it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


class _Unset(TorchFunctionMode):
    """Leaves new weights as memory has them.

    To draw the 138 million of VGG-16 took two seconds.
    """

    DRAWS = (
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        # Seen here whole: what they draw inside is not.
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
        if function in self.DRAWS:
            return args[0] if args else kwargs['tensor']
        return function(*args, **kwargs)


def assemble(cfg: ConfigDict) -> nn.Module:
    """Build a model as MMEngine does, or say which part of it cannot be."""
    try:
        return _build(cfg)
    except UserError:
        raise
    except Exception as error:
        raise FoundError(_failed(cfg, error)) from error


def shapes_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """The model's own tensors, without their numbers."""
    return {
        name: torch.empty_like(
            tensor, device='meta', requires_grad=tensor.requires_grad
        )
        for name, tensor in (
            *model.named_parameters(),
            *model.named_buffers(),
        )
    }


def forward(
    model: nn.Module, shapes: dict[str, torch.Tensor], photo: tuple[int, ...]
) -> object:
    """Run the shape of a batch through the model, as while training."""
    photos = torch.empty(PHOTOS, *photo, device='meta')
    return torch.func.functional_call(
        model, shapes, (photos,), {'mode': 'tensor'}
    )


def reason(error: Exception) -> str:
    """What a library says, on one line; its source where it says nothing."""
    text = ' '.join(str(error).split())
    lines = traceback.extract_tb(error.__traceback__)
    if not text and lines:
        text = lines[-1].line or ''
    return f'{type(error).__name__}: {text[:LONGEST]}'


def _build(cfg: ConfigDict) -> nn.Module:
    with quiet(), warnings.catch_warnings(), _Unset():
        warnings.simplefilter('ignore')
        return MODELS.build(copy.deepcopy(cfg))


def _failed(cfg: ConfigDict, error: Exception) -> Finding:
    """Find the part by building each alone."""
    place, model = 'model', copy.deepcopy(cfg)
    if 'module' in cfg:  # test-time augmentation, wrapped around the model
        place, model = 'model.module', model.module
    for name in PARTS:
        found = _alone(model.get(name))
        if found is None:
            continue
        place, error = f'{place}.{name}', found
        part = model[name]
        loss = part.get('loss') if name == 'head' else None
        if found := _alone(loss):
            place, error, part = f'{place}.loss', found, loss
        return _says(place, error, _settings_of(part))
    rest = copy.deepcopy(model)
    if rest.pop('train_cfg', None) and _alone(rest) is None:
        mend = 'train_cfg=dict(augments=[…]) to mix photos, or leave it out'
        return _says(f'{place}.train_cfg', error, mend)
    preprocessor = model.get('data_preprocessor')
    if isinstance(preprocessor, dict):
        preprocessor.setdefault('type', 'ClsDataPreprocessor')
    if found := _alone(preprocessor):
        place, error, model = 'data_preprocessor', found, preprocessor
    return _says(place, error, _settings_of(model))


def _alone(part: ConfigDict | list | None) -> Exception | None:
    """Why a part cannot be built, if so."""
    if not isinstance(part, (dict, list)):
        return None
    try:
        _build(part)
    except Exception as error:
        return error
    return None


def _settings_of(part: ConfigDict | list) -> str:
    if isinstance(part, list):
        return 'settings that each type takes'
    return f'settings that {part.get("type")} takes'


def _says(place: str, error: Exception, mend: str) -> Finding:
    return stop(f'This cannot be built: {reason(error)}', place, mend)
