"""Where in a photo a model found what it said (Grad-CAM).

The last layer whose output is a map of the photo is asked, place by place,
how much of a class's score comes from there: its channels times the score's
gradient with respect to them. Grad-CAM averages the gradient over all places
first; where the head averages the map, as all CNNs here do, it is the same at
each and so is the heat. A ViT's class token weighs places differently, and
the average would forget that (HiResCAM: Draelos and Carin, 2020).
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
MOST_EXTRA = 8  # tokens that are no patch: class, distillation, registers
# Colours that the colour-blind tell apart, brighter with more heat.
COLOURS = 'inferno'
MOST = 0.65  # of colour, so that the photo is seen below the hottest place
QUALITY = 80  # of a JPEG


def heat_maps(
    model: nn.Module, prepared: list[dict], targets: list[int]
) -> list[np.ndarray]:
    """For each photo and class, (h, w) in 0..1 over what the model saw.

    All zero where nothing in the photo spoke for that class. ValueError where
    the model cannot be asked.
    """
    layer, maps = None, []
    for start in range(0, len(prepared), AT_A_TIME):
        part = slice(start, start + AT_A_TIME)
        batch = torch.stack([photo['inputs'] for photo in prepared[part]])
        inputs = model.data_preprocessor({'inputs': batch})['inputs']
        if layer is None:
            layer = last_map(model, inputs[:1])
        chosen = torch.tensor(targets[part], device=inputs.device)
        maps += heat_of(model, layer, inputs, chosen)
    return maps


def last_map(model: nn.Module, inputs: Tensor) -> nn.Module:
    """The last part of the backbone that the score sees all places of.

    That is not always the last part: of what a ViT's last block puts out,
    the head reads the class token alone.
    """
    outputs = []

    def note(module: nn.Module, _, output: object) -> None:
        tensor = _tensor(output)
        # A projection's output is no map: queries, keys and values in one.
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
        if gradient is not None and _as_map(gradient, shape).any():
            return module
    raise ValueError(f'no part of {type(backbone).__name__} is a map')


def heat_of(
    model: nn.Module, layer: nn.Module, inputs: Tensor, targets: Tensor
) -> list[np.ndarray]:
    found = []
    hook = layer.register_forward_hook(
        lambda _module, _inputs, output: found.append(_tensor(output))
    )
    try:
        scores = _scores(model, inputs)
    finally:
        hook.remove()
    score = scores.gather(1, targets[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, found[-1])
    shape = inputs.shape[-2:]
    heat = _as_map(found[-1].detach() * gradient, shape).float()
    heat = heat.sum(1, keepdim=True).relu()
    top = heat.amax((2, 3), keepdim=True)
    heat = heat / torch.where(top > 0, top, 1)
    heat = functional.interpolate(heat, shape, mode='bicubic').clamp(0, 1)
    return list(heat[:, 0].cpu().numpy())


def _scores(model: nn.Module, inputs: Tensor) -> Tensor:
    """How much the model says for each class, against the average class.

    Softmax knows differences only: a score that rises for all says nothing.
    """
    with torch.enable_grad():
        # Weights may be frozen; what follows from the photo has a gradient.
        logits = model(inputs.detach().requires_grad_(), mode='tensor')
        logits = getattr(logits, 'logits', logits)  # of transformers
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            name = type(getattr(model, 'head', model)).__name__
            raise ValueError(f'{name} has no score for each class')
        return logits - logits.mean(1, keepdim=True)


def _tensor(output: object) -> Tensor | None:
    """A module's output; of several stages' the last."""
    while isinstance(output, (tuple, list)) and output:
        output = output[-1]
    return output if isinstance(output, Tensor) else None


def _as_map(output: Tensor, shape: torch.Size) -> Tensor | None:
    """As (photos, channels, h, w), if it has places at all.

    Networks of timm such as Swin have the channels last. Queries and keys of
    attention, (photos, heads, tokens, channels), have no places of the photo.
    Tokens of patches lie in one row, the class token before them.
    """
    if output.ndim == 4:
        for moved in (output, output.permute(0, 3, 1, 2)):
            if _has_shape(moved.shape[2:], shape):
                return moved
    if output.ndim != 3:
        return None
    photos, tokens, channels = output.shape
    for extra in range(min(tokens - 1, MOST_EXTRA + 1)):
        height = round(math.sqrt((tokens - extra) * shape[0] / shape[1]))
        width = round(height * shape[1] / shape[0])
        if height > 1 and height * width == tokens - extra:
            return (
                output[:, extra:]
                .transpose(1, 2)
                .reshape(photos, channels, height, width)
            )
    return None


def _has_shape(places: torch.Size, shape: torch.Size) -> bool:
    """Whether the sides have the ratio of the photo's, to half a place."""
    height, width = places
    error = abs(height * shape[1] - width * shape[0])
    return height * width > 1 and error <= max(shape)


def overlay(seen: np.ndarray, heat: np.ndarray, side: int = 192) -> bytes:
    """A JPEG of what the model saw, in grey, with the heat in colours.

    Grey, since flowers have the colours of any scale of heat.
    """
    from matplotlib import colormaps  # half a second that only pages pay

    grey = np.asarray(Image.fromarray(seen).convert('L'), np.float32) / 255
    colour = colormaps[COLOURS](heat)[..., :3]
    share = (MOST * heat)[..., None]
    mixed = (1 - share) * grey[..., None] + share * colour
    return thumbnail((255 * mixed).round().astype(np.uint8), side)


def thumbnail(seen: np.ndarray, side: int = 192) -> bytes:
    """A JPEG whose longer side is at most `side` pixels."""
    image = Image.fromarray(seen)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=QUALITY, optimize=True)
    return file.getvalue()
