"""Looking at a config text, with and without a dataset."""

from collections.abc import Callable
from pathlib import Path

import pytest
from examining import Examined, look_at, read, write

from flower_mm.checks.keys import wording


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Examined]:
    """Look at the keys alone, which takes no dataset."""

    def run(text: str, *words: str | Path) -> Examined:
        cfg, args = read(write(tmp_path, text), *words)
        found = list(dict.fromkeys(wording.check(cfg, args)))
        # Said of every config of MMPretrain's, and tested for itself.
        usual = 'runner_type', 'randomness.seed'
        return Examined([f for f in found if f.where not in usual], None)

    return run


@pytest.fixture
def examine_whole(tmp_path: Path, dataset: Path) -> Callable[..., Examined]:
    """Let all checks look, on a dataset that is well."""

    def run(text: str, *words: str | Path) -> Examined:
        path = write(tmp_path, text)
        return look_at(path, '--data-root', dataset, *words)

    return run
