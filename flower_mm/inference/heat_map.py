"""Heat maps of the regions that support a class (HiResCAM).

The heat of a region is the product of the features there and the gradient of
the class score, in the last layer whose output is a spatial map. Grad-CAM
averages the gradient over the map first. With global average pooling, as in
all CNNs here, the two are equal. The class token of a ViT weighs regions
differently, which the average would lose (Draelos and Carin, 2020).
"""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from flower_mm.models.structure import backbone_of

AT_A_TIME = 16  # photos whose gradients are in memory
MAX_EXTRA = 8  # tokens besides patches: class, distillation, registers
# Distinct for colour-blind people, and brighter with more heat.
COLOURS = 'inferno'
MAX_OPACITY = 0.65  # of the colour, so that the photo stays visible
QUALITY = 80  # of a JPEG


def heat_maps(
    model: nn.Module, prepared: list[dict], targets: list[int]
) -> list[np.ndarray]:
    """Return a map (h, w) in 0..1 over the input for each photo and class.

    It is zero if nothing in the photo supports the class. Raises ValueError if
    the model has no spatial map.
    """
    layer, maps = None, []
    preprocessor = model.get_submodule('data_preprocessor')
    for start in range(0, len(prepared), AT_A_TIME):
        part = slice(start, start + AT_A_TIME)
        batch = torch.stack([photo['inputs'] for photo in prepared[part]])
        inputs = preprocessor({'inputs': batch})['inputs']
        if layer is None:
            layer = last_map_layer(model, inputs[:1])
        chosen = torch.tensor(targets[part], device=inputs.device)
        maps += heat_of(model, layer, inputs, chosen)
    return maps


def last_map_layer(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Return the last layer with a spatial map that the score depends on.

    It may be followed by others: of the output of a ViT's last block, the head
    reads only the class token.
    """
    outputs = []

    def note(module: nn.Module, _, output: object) -> None:
        tensor = _tensor(output)
        # The output of a projection mixes queries, keys and values.
        if tensor is not None and not isinstance(module, nn.Linear):
            outputs.append((module, tensor))

    backbone = backbone_of(model)
    hooks = [m.register_forward_hook(note) for m in backbone.modules()]
    try:
        score = _scores(model, inputs).amax()
    finally:
        for hook in hooks:
            hook.remove()
    shape = inputs.shape[-2:]
    for module, output in reversed(outputs):
        if _as_map(output.detach(), shape) is None or not output.requires_grad:
            continue
        (gradient,) = torch.autograd.grad(
            score, output, retain_graph=True, allow_unused=True
        )
        heat = None if gradient is None else _as_map(gradient, shape)
        if heat is not None and heat.any():
            return module
    raise ValueError(f'{type(backbone).__name__} has no spatial feature map')


def heat_of(
    model: nn.Module, layer: nn.Module, inputs: Tensor, targets: Tensor
) -> list[np.ndarray]:
    """Return the maps of a batch for these classes."""
    outputs = []
    hook = layer.register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output)
    )
    try:
        scores = _scores(model, inputs)
    finally:
        hook.remove()
    score = scores.gather(1, targets[:, None]).sum()
    output = _tensor(outputs[-1])
    assert output is not None  # as `last_map_layer` requires
    (gradient,) = torch.autograd.grad(score, output)
    shape = inputs.shape[-2:]
    heat = _as_map(output.detach() * gradient, shape)
    assert heat is not None
    heat = heat.float().sum(1, keepdim=True).relu()
    top = heat.amax((2, 3), keepdim=True)
    heat = heat / torch.where(top > 0, top, 1)
    heat = functional.interpolate(heat, shape, mode='bicubic').clamp(0, 1)
    return list(heat[:, 0].cpu().numpy())


def _scores(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the score of each class minus the mean over the classes.

    The softmax depends on differences only.
    """
    with torch.enable_grad():
        # Through the photo, since the weights may be frozen.
        logits = model(inputs.detach().requires_grad_(), mode='tensor')
        logits = getattr(logits, 'logits', logits)  # of transformers
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            name = type(getattr(model, 'head', model)).__name__
            raise ValueError(f'{name} has no class scores')
        return logits - logits.mean(1, keepdim=True)


def _tensor(output: object) -> Tensor | None:
    """Return the output of a module, the last one of several stages."""
    while isinstance(output, (tuple, list)) and output:
        output = output[-1]
    return output if isinstance(output, Tensor) else None


def _as_map(output: Tensor, shape: torch.Size) -> Tensor | None:
    """Reshape to (photos, channels, h, w), or None if it is not spatial.

    Networks of timm such as Swin have the channels last. Queries and keys of
    attention, (photos, heads, tokens, channels), are not spatial. The tokens
    of patches come in one row, after the class token.
    """
    if output.ndim == 4:
        for moved in (output, output.permute(0, 3, 1, 2)):
            if _has_shape(moved.shape[2:], shape):
                return moved
    if output.ndim != 3:
        return None
    photos, tokens, channels = output.shape
    for extra in range(min(tokens - 1, MAX_EXTRA + 1)):
        height = round(math.sqrt((tokens - extra) * shape[0] / shape[1]))
        width = round(height * shape[1] / shape[0])
        if height > 1 and height * width == tokens - extra:
            return (
                output[:, extra:]
                .transpose(1, 2)
                .reshape(photos, channels, height, width)
            )
    return None


def _has_shape(sides: torch.Size, shape: torch.Size) -> bool:
    """Return whether the sides have the ratio of the photo, if rounded."""
    height, width = sides
    error = abs(height * shape[1] - width * shape[0])
    return height * width > 1 and error <= max(shape)


def overlay(seen: np.ndarray, heat: np.ndarray, side: int = 192) -> bytes:
    """Return a JPEG of the input in grey with the heat in colours.

    Grey, since photos can have the colours of any colour map.
    """
    from matplotlib import colormaps  # takes half a second

    grey = np.asarray(Image.fromarray(seen).convert('L'), np.float32) / 255
    colour = colormaps[COLOURS](heat)[..., :3]
    share = (MAX_OPACITY * heat)[..., None]
    mixed = (1 - share) * grey[..., None] + share * colour
    return thumbnail((255 * mixed).round().astype(np.uint8), side)


def thumbnail(seen: np.ndarray, side: int = 192) -> bytes:
    """Return a JPEG whose longer side is at most `side` pixels."""
    image = Image.fromarray(seen)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=QUALITY, optimize=True)
    return file.getvalue()
