"""A trained model as TorchScript: float32 tensors in, probabilities out."""

import json
from io import BytesIO

import torch
from torch import nn

from flower_mm.export.onnx_model import (
    Probabilities,
    any_number_of_windows,
)
from flower_mm.export.quiet import quiet

META = 'meta.json'
# Where on this machine each line of Python lies; nothing reads it.
SOURCES = '.debug_pkl'


def torchscript(model: nn.Module, size: tuple[int, int], facts: dict) -> bytes:
    """What torch.jit.load reads, with `facts` in its file meta.json."""
    # Traced with two: of one, its number might be taken for a constant. What
    # is taken for one all the same shows when the photos are compared.
    example = torch.zeros(2, 3, *size)
    content = BytesIO()
    # torch.jit is no longer recommended, which whoever asks for it may know.
    with torch.no_grad(), quiet(), any_number_of_windows():
        traced = torch.jit.trace(
            Probabilities(model).eval(), example, check_trace=False
        )
        meta = json.dumps(facts, indent=1, ensure_ascii=False)
        torch.jit.save(traced, content, _extra_files={META: meta})
    return _without_sources(content.getvalue())


def _without_sources(content: bytes) -> bytes:
    found = torch._C.PyTorchFileReader(BytesIO(content))
    kept = BytesIO()
    writer = torch._C.PyTorchFileWriter(kept)
    for name in found.get_all_records():
        # The writer adds these two itself.
        if not name.endswith((SOURCES, 'version', '.data/serialization_id')):
            record = found.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return kept.getvalue()
