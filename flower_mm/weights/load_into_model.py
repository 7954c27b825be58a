"""Load weights into a backbone, or a whole checkpoint into a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flower_mm.errors import UserError
from flower_mm.weights import pretrained_table
from flower_mm.weights.key_conversion import (
    EFFICIENTNET_LITE,
    State,
    convert,
    style_of,
)
from flower_mm.weights.read_checkpoint import read_checkpoint

MMPRETRAIN, TIMM, UNKNOWN = "MMPretrain's own", "timm's own", 'unknown'
ENOUGH = 0.95  # of the backbone's tensors; with fewer it is another model
MOST = 10_000  # tensors; models have some hundreds

# Where the tensors lie in files that hold more. An average over the training
# is the better half of a pair. MMEngine swaps its own average into
# `state_dict` when it saves.
WRAPPERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')
CLASSIFIERS = ('head.', 'fc.', 'classifier.')
PREFIXES = ('module.', '_orig_mod.')  # of data-parallel and compiled models

# What a model computes for itself; old files lack it.
OWN = (
    'num_batches_tracked',
    'relative_position_index',
    'attn_mask',
    'attention_bias_idxs',
)


@dataclass(frozen=True)
class Match:
    """How much of the backbone a file filled."""

    matched: int
    total: int
    style: str
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def is_enough(self) -> bool:
        """Whether file and backbone are of one model, seen from both sides.

        All of a resnet50 is found by name in a resnet101, so that the rest
        of the file counts as well.
        """
        most = max(self.total, self.matched + len(self.unused))
        return self.matched >= ENOUGH * most

    def __str__(self) -> str:
        text = f'{self.matched} of {self.total} backbone tensors'
        if self.missing:
            text += f', without {_some(self.missing)}'
        if self.unused:
            text += f'; not used: {_some(self.unused)}'
        return f'{text} (names: {self.style})'


def load_backbone(model: nn.Module, path: str | Path) -> Match:
    """Fill `model.backbone`, and its neck if the file has one.

    The classifier is never loaded: it is of other classes. The model is
    untouched when this raises.
    """
    backbone = model.get_submodule('backbone')
    usable, neck, match = _usable(model, Path(path))
    with _fitting(path):
        backbone.load_state_dict(usable, strict=False)
    if not backbone.training:
        # TinyViT looks its biases up once, when it is put into this mode.
        backbone.eval()
    if neck:
        model.get_submodule('neck').load_state_dict(neck, strict=False)
    return match


def match_backbone(model: nn.Module, path: str | Path) -> Match:
    """What `load_backbone` would fill, or its error; nothing is loaded."""
    return _usable(model, Path(path))[2]


def match_by_name(
    backbone: nn.Module, path: str | Path, prefix: str = ''
) -> Match:
    """What MMEngine would fill: equal names only, and no word on the rest.

    `prefix` is what the backbone's names begin with in the file.
    """
    found = read_checkpoint(path)
    own = {
        key.removeprefix('module.').removeprefix(prefix): tensor
        for key, tensor in found.get('state_dict', found).items()
        if isinstance(tensor, torch.Tensor)
        and key.removeprefix('module.').startswith(prefix)
        and not key.startswith(CLASSIFIERS)
    }
    return _compare(own, backbone, MMPRETRAIN)[1]


def _usable(model: nn.Module, path: Path) -> tuple[State, State, Match]:
    """Return the tensors for the backbone and the neck."""
    state = _tensors(read_checkpoint(path), path)
    backbone = model.get_submodule('backbone')
    with _fitting(path):
        own, name = _in_our_names(state, backbone)
    _check_arithmetic(name, backbone, path)
    usable, match = _compare(own, backbone, name)
    if not match.is_enough:
        raise UserError(_another_model(path, own, match, backbone))
    _check_numbers(usable, backbone.state_dict(), path)
    return usable, _neck(model, state, path), match


def load_whole(model: nn.Module, checkpoint: dict, path: str | Path) -> None:
    """Fill all of `model` from a checkpoint of its own."""
    check_whole(model, checkpoint, path)
    state = checkpoint.get('state_dict', checkpoint)
    with _fitting(path):
        keys = model.load_state_dict(state, strict=False)
        # SwinTransformerV2 drops buffers here that it computes itself.
        if keys.unexpected_keys or set(keys.missing_keys) - state.keys():
            model.load_state_dict(state, strict=True)  # raises


def check_whole(model: nn.Module, checkpoint: dict, path: str | Path) -> None:
    """Refuse weights that the model cannot use, the averaged ones too.

    Hooks take parts of a checkpoint before the model does.
    """
    target = model.state_dict()
    weights = checkpoint.get('state_dict', checkpoint)
    average = checkpoint.get('ema_state_dict', {})
    for state, prefix in ((weights, ''), (average, 'module.')):
        if not isinstance(state, dict) or not all(
            isinstance(key, str) and isinstance(tensor, torch.Tensor)
            for key, tensor in state.items()
        ):
            raise UserError(
                f'{path} does not fit this config: expected tensors by name.'
            )
        wanted = {prefix + key: tensor for key, tensor in target.items()}
        for key in sorted(state.keys() & wanted.keys()):
            if not _fits(key, state[key], wanted[key]):
                raise UserError(
                    f'{path} does not fit this config: size mismatch for '
                    f'{key}, {_shape(state[key])} instead of '
                    f'{_shape(wanted[key])}.'
                )
        _check_numbers(state, wanted, path)
    # EMAHook exchanges the two, name by name.
    halves = {key for key in average if key.startswith('module.')}
    if lacking := {h.removeprefix('module.') for h in halves} - weights.keys():
        raise UserError(
            f'{path} does not fit this config: Missing key {min(lacking)}, of '
            'which it has the average.'
        )


@contextmanager
def _fitting(path: str | Path) -> Iterator[None]:
    """Report errors of torch and of the models' own hooks in one line."""
    try:
        yield
    except (RuntimeError, AssertionError, LookupError, ValueError) as error:
        lines = [line.strip() for line in str(error).strip().splitlines()]
        # The first one of several only says that there are errors.
        reasons = ' '.join(lines[1:4] or lines) or type(error).__name__
        raise UserError(
            f'{path} does not fit this config: {reasons[:300]}'
        ) from error


def _tensors(found: dict, path: Path) -> State:
    """Return the tensors by name, without their wrappers and prefixes."""
    while inner := next(
        (found[key] for key in WRAPPERS if isinstance(found.get(key), dict)),
        None,
    ):
        found = inner
    state = {}
    for key, value in found.items():
        if isinstance(key, str) and isinstance(value, torch.Tensor):
            for prefix in PREFIXES:
                key = key.removeprefix(prefix)
            state[key] = value
    if not state:
        raise UserError(f'{path} holds no tensors.')
    if len(state) > MOST:
        raise UserError(
            f'{path} holds {len(state)} tensors: expected at most {MOST}.'
        )
    return state


def _in_our_names(state: State, backbone: nn.Module) -> tuple[State, str]:
    """Return the tensors in the backbone's names, and the file's style."""
    ours = {
        key.removeprefix('backbone.'): tensor
        for key, tensor in state.items()
        if key.startswith('backbone.')
    }
    if hasattr(backbone, 'convert_checkpoint'):  # TimmBackbone
        return _in_timm_names(ours or state, backbone)
    if ours:
        return ours, MMPRETRAIN
    style = style_of(state)
    if style is not None:
        return convert(state, style), style.name
    wanted = _counted(backbone)
    known = 2 * len(wanted & state.keys()) > len(wanted)
    return state, MMPRETRAIN if known else UNKNOWN


def _in_timm_names(state: State, backbone: Any) -> tuple[State, str]:
    """The backbone's part of a file that is timm's, or is converted to it."""
    name, style = TIMM, style_of(state)
    if style is EFFICIENTNET_LITE:
        state, name = convert(state, style), style.name
    return backbone.convert_checkpoint(state), name


def _counted(backbone: nn.Module) -> set[str]:
    return {key for key in backbone.state_dict() if not key.endswith(OWN)}


def _compare(
    own: State, backbone: nn.Module, style: str
) -> tuple[State, Match]:
    """Split the file's tensors into those that fit and those that do not."""
    target = backbone.state_dict()
    usable = {
        key: tensor
        for key, tensor in own.items()
        if key in target
        and _fits(key, tensor, target[key])
        # What the model computes anew may come in any kind of number.
        and not (key.endswith(OWN) and _kind(tensor) != _kind(target[key]))
    }
    wanted = _counted(backbone)
    match = Match(
        matched=len(wanted & usable.keys()),
        total=len(wanted),
        style=style,
        missing=tuple(sorted(wanted - usable.keys())),
        unused=tuple(
            key
            for key in sorted(own.keys() - usable.keys())
            if not key.endswith(OWN)
        ),
    )
    return usable, match


def _fits(key: str, tensor: torch.Tensor, target: torch.Tensor) -> bool:
    if key.endswith('pos_embed') and tensor.ndim == target.ndim:
        # MMPretrain's own hook brings positions to another image size.
        return tensor.shape[-1] == target.shape[-1]
    return tensor.shape == target.shape


def _check_numbers(state: State, target: State, path: str | Path) -> None:
    """Refuse numbers of another kind than the model's, NaN and Inf."""
    for key, tensor in state.items():
        if key not in target:
            continue
        wanted = target[key]
        if _kind(tensor) != _kind(wanted):
            raise UserError(
                f'{path} holds {_kind(tensor)} in {key}, where the model has '
                f'{_kind(wanted)}: another file is needed.'
            )
        # In the model's own precision, where 1e300 is infinite. What is so
        # by design, such as a mask, is so in the model already.
        if not _finite(tensor.to(wanted.dtype)) and _finite(wanted):
            raise UserError(
                f'{path} contains NaN or Inf in {key}, so its training '
                'failed: use another file'
            )


def _shape(tensor: torch.Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'a number'


def _finite(tensor: torch.Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_floating_point():
        return 'floating-point numbers'
    return 'booleans' if tensor.dtype is torch.bool else 'integers'


def _check_arithmetic(style: str, backbone: nn.Module, path: Path) -> None:
    """Refuse weights that fit by name but compute something else."""
    if type(backbone).__name__ == 'DeiT3':
        raise UserError(
            "MMPretrain's DeiT3 skips the second norm of every block, so that "
            f'{path} would come out wrong. Put into the config:\n'
            "  backbone=dict(type='VisionTransformer', arch='deit-small')"
        )
    if style != "torchvision's EfficientNet":
        return
    cfg = getattr(backbone, 'conv_cfg', None) or {}
    eps = next(
        (m.eps for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)),
        None,
    )
    if cfg.get('type') == 'Conv2dAdaptivePadding' or eps != 1e-5:
        raise UserError(
            f"{path} is torchvision's EfficientNet, which pads evenly where "
            "the config's pads like TensorFlow. Put into the config:\n"
            "  backbone=dict(conv_cfg=None, norm_cfg=dict(type='BN', "
            'eps=1e-5))'
        )


def _another_model(
    path: Path, own: State, match: Match, backbone: nn.Module
) -> str:
    wants = architecture_of(parameters_of(backbone.state_dict()))
    looks = architecture_of(parameters_of(own))
    kind = type(backbone).__name__
    if looks is None and match.style not in (UNKNOWN, MMPRETRAIN):
        looks = f'one of {match.style} that the table does not know'
    seen = (
        f'this looks like {looks}'
        if looks
        else f'its names, such as {_some(tuple(own)[:1])}, are unknown'
    )
    left = f' and leaves {len(match.unused)} over' if match.unused else ''
    return (
        f'{path} fills {match.matched} of {match.total} backbone tensors'
        f'{left}: {seen}, the config wants {wants or kind}.'
    )


def parameters_of(state: State) -> int:
    """How many numbers of the backbone are trained, head aside."""
    aside = (*OWN, 'running_mean', 'running_var')
    return sum(
        tensor.numel()
        for key, tensor in state.items()
        if not key.endswith(aside)
    )


def architecture_of(parameters: int) -> str | None:
    """The name in the table whose backbone has exactly this many."""
    for entry in pretrained_table.read_table().values():
        if entry.parameters == parameters:
            return entry.name
    return None


def architecture_in(path: str | Path) -> str | None:
    """The name in the table whose backbone a file has; None if unknown."""
    state = _tensors(read_checkpoint(path), Path(path))
    backbone = {k: t for k, t in state.items() if k.startswith('backbone.')}
    return architecture_of(
        parameters_of(
            backbone
            or {
                k: t for k, t in state.items() if not k.startswith(CLASSIFIERS)
            }
        )
    )


def _neck(model: nn.Module, state: State, path: Path) -> State:
    """What the file has for the model's neck."""
    neck = getattr(model, 'neck', None)
    if neck is None:
        return {}
    target = {f'neck.{key}': t for key, t in neck.state_dict().items()}
    found = {
        key: state[key]
        for key in target
        if key in state and state[key].shape == target[key].shape
    }
    _check_numbers(found, target, path)
    return {key.removeprefix('neck.'): t for key, t in found.items()}


def _some(names: tuple[str, ...]) -> str:
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(names[:3]) + more
