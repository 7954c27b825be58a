"""A checkpoint's weights and facts in the format that holds no programs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from flower_mm.export.source_model import Source
from flower_mm.layout import RunDir
from flower_mm.weights.best_checkpoint import write_safetensors
from flower_mm.weights.read_checkpoint import read_checkpoint


def safetensors(source: Source) -> tuple[bytes, Source]:
    """The file, and what is read back of it."""
    found = read_checkpoint(source.file)
    with TemporaryDirectory() as folder:
        file = Path(folder) / RunDir.BEST_SAFETENSORS
        write_safetensors(file, found['state_dict'], found['meta'])
        return file.read_bytes(), Source(file)
