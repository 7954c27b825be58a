"""A checkpoint's weights and facts in the format that holds no programs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from flower_mm.export.source import Source
from flower_mm.weights.best import write_safetensors
from flower_mm.weights.read import read_checkpoint


def safetensors(source: Source) -> tuple[bytes, Source]:
    """The file, and what is read back of it."""
    found = read_checkpoint(source.file)
    with TemporaryDirectory() as folder:
        file = Path(folder) / 'best.safetensors'
        write_safetensors(file, found['state_dict'], found['meta'])
        return file.read_bytes(), Source(file)
