"""Writers that are not safe: what looks for damage has to find theirs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flower_mm import files


@contextmanager
def in_place(path: str | Path, mode: str = 'wb') -> Iterator[IO]:
    text = {} if 'b' in mode else {'encoding': 'utf-8'}
    with Path(path).open(mode, **text) as file:
        yield file


@contextmanager
def unsynced(path: str | Path, mode: str = 'wb') -> Iterator[IO]:
    beside = Path(path).with_name(f'.{Path(path).name}.careless.part')
    with in_place(beside, mode) as file:
        yield file
    beside.replace(path)


@contextmanager
def removing(path: str | Path, mode: str = 'wb') -> Iterator[IO]:
    """As MMEngine does with its best checkpoint."""
    Path(path).unlink(missing_ok=True)
    with unsynced(path, mode) as file:
        yield file


def use(writer) -> None:
    """Put `writer` in the place of `replacing` wherever it is imported."""
    careful = files.replacing
    for module in list(sys.modules.values()):
        if getattr(module, 'replacing', None) is careful:
            module.replacing = writer
