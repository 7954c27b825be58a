"""Examine a config text on a dataset without mistakes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from examining import Examined, look_at, write


@pytest.fixture
def examine(tmp_path: Path, dataset: Path) -> Callable[..., Examined]:
    def run(text: str, *words: str | Path, thorough: bool = False) -> Examined:
        path = write(tmp_path, text)
        usual = ('--data-root', dataset, '--device', 'cpu')
        return look_at(path, *usual, *words, thorough=thorough)

    return run
