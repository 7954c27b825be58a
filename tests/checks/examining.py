"""Looking at a config as the doctor does, in this process."""

import argparse
from pathlib import Path

from helpers import ROOT
from mmengine.config import Config

from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, Level
from flower_mm.checks.run import examine, open_case
from flower_mm.cli.training_flags import (
    parse_training,
    read_training_config,
)

NOTE, WARN, STOP = Level


class Examined:
    """What was found, to be asked by a word that has to be in it."""

    def __init__(self, found: list[Finding], case: Case | None) -> None:
        self.found = found
        self.case = case
        self.text = '\n'.join(map(str, found))

    def about(self, *words: str) -> list[Finding]:
        return [f for f in self.found if all(word in str(f) for word in words)]

    def one(self, *words: str) -> Finding:
        found = self.about(*words)
        assert len(found) == 1, f'{words} in:\n{self.text}'
        return found[0]


def look_at(
    config: Path, *words: str | Path, thorough: bool = False
) -> Examined:
    """Examine a config with the words of a command line."""
    return Examined(*examine(*read(config, *words), thorough))


def opened(config: Path, *words: str | Path) -> Case:
    """The same, and nothing is examined yet."""
    return open_case(*read(config, *words))


def read(
    config: Path, *words: str | Path
) -> tuple[Config, argparse.Namespace]:
    args = parse_training([str(config), *map(str, words)])
    return read_training_config(args), args


def write(folder: Path, text: str, name: str = 'mine.py') -> Path:
    """Write a config file; `BASE` in it is our base, `CONFIGS` the others."""
    path = folder / name
    configs = ROOT / 'configs'
    text = text.replace('BASE', (configs / '_base_/flower.py').as_posix())
    path.write_text(text.replace('CONFIGS', (configs / 'flower').as_posix()))
    return path
