"""A trained model as TorchScript: float32 tensors in, probabilities out."""

import json
from io import BytesIO

import torch
from torch import nn

from flower_mm.export.onnx_model import (
    Probabilities,
    any_number_of_windows,
    quiet,
)

META = 'meta.json'
SOURCES = '.debug_pkl'  # paths of Python files of this machine


def torchscript(
    model: nn.Module,
    size: tuple[int, int],
    facts: dict,
    temperature: float | None = None,
) -> bytes:
    """The content for torch.jit.load, with `facts` in its file meta.json."""
    # A batch of one might become a constant.
    example = torch.zeros(2, 3, *size)
    content = BytesIO()
    # Without the warning that torch.jit is deprecated.
    with torch.no_grad(), quiet(), any_number_of_windows():
        traced = torch.jit.trace(
            Probabilities(model, temperature).eval(),
            example,
            check_trace=False,
        )
        meta = json.dumps(facts, indent=1, ensure_ascii=False)
        torch.jit.save(traced, content, _extra_files={META: meta})
    return _without_sources(content.getvalue())


def _without_sources(content: bytes) -> bytes:
    reader = torch._C.PyTorchFileReader(BytesIO(content))
    copy = BytesIO()
    writer = torch._C.PyTorchFileWriter(copy)
    for name in reader.get_all_records():
        # The writer adds these two itself.
        if not name.endswith((SOURCES, 'version', '.data/serialization_id')):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return copy.getvalue()
