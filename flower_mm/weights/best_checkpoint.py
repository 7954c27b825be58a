"""best.pth: what predicting needs, as tensors and plain values.

It loads under `torch.load(weights_only=True)` with no allow-list, and in
MMPretrain's ImageClassificationInferencer. Its config is a dictionary, not
Python text: reading it runs nothing. best.safetensors holds the same for
those who take no pickles.
"""

import json
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any

import safetensors.torch
import torch

from flower_mm.files import write_whole
from flower_mm.weights.safetensors_file import META, with_checksum

TOP1 = 'accuracy/top1'  # in the `metrics` of best.pth


def write_best(
    path: Path, tensors: dict[str, torch.Tensor], meta: dict
) -> None:
    """Write beside `path`, then take its place."""
    content = BytesIO()
    # Into memory: on a full disk torch would raise a misleading error.
    torch.save({'state_dict': _laid(tensors), 'meta': plain(meta)}, content)
    write_whole(path, content.getbuffer())


def write_safetensors(
    path: Path, tensors: dict[str, torch.Tensor], meta: dict
) -> None:
    """The same content as a table in JSON and numbers."""
    # Tied weights are one tensor under two names, which this format refuses.
    weights = {name: tensor.clone() for name, tensor in tensors.items()}
    metadata = {META: json.dumps(plain(meta)), 'format': 'pt'}
    content = safetensors.torch.save(_laid(weights), metadata)
    write_whole(path, with_checksum(content))


def _laid(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: tensor.detach().to('cpu', memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def plain(value: Any) -> Any:
    """Reduce to dict, list, tuple, str and numbers.

    Config dictionaries, numpy scalars and paths are pickled as objects of
    their own types, which a safe load refuses.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, set)):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().tolist()
    if hasattr(value, 'tolist'):  # numpy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, (str, PurePath)):
        return str(value)
    return getattr(value, '__name__', str(value))  # a class, a function
