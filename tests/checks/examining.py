"""Examine a config as the checks do, in this process."""

import argparse
from pathlib import Path

from helpers import ROOT, TINY
from mmengine.config import Config

from flower_mm.checks.codes import Severity
from flower_mm.checks.context import CheckContext, open_context
from flower_mm.checks.finding import Finding
from flower_mm.checks.run import examine
from flower_mm.cli.training_flags import parse_training, read_training_config

NOTE, WARNING, ERROR = Severity
# A model of our base that is built and run in a moment.
TINY_ON_BASE = TINY.replace('{base!r}', "'BASE'")
STOCK = "_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n"


class Examined:
    """The findings, to be asked by the beginning of their codes."""

    def __init__(
        self, findings: list[Finding], ctx: CheckContext | None
    ) -> None:
        self.findings = findings
        self.ctx = ctx

    def of(self, *codes: str, least: Severity = NOTE) -> list[Finding]:
        return [
            finding
            for finding in self.findings
            if finding.code.startswith(codes) and finding.severity >= least
        ]

    def one(self, *codes: str) -> Finding:
        findings = self.of(*codes)
        assert len(findings) == 1, '\n'.join(map(str, self.findings))
        return findings[0]

    def rows(self, least: Severity = WARNING) -> set[str]:
        """Return `E CODE place` of each finding; lines as `mine.py:3`."""
        return {
            f'{f.severity.name[0]} {f.code} {f.where.rpartition("/")[2]}'
            for f in self.findings
            if f.severity >= least or f.code == 'RUN008'
        }


def look_at(
    config: Path, *words: str | Path, thorough: bool = False
) -> Examined:
    """Examine a config with the words of a command line."""
    return Examined(*examine(*read(config, *words), thorough))


def opened(config: Path, *words: str | Path) -> CheckContext:
    """Return the context of the checks before any of them has run."""
    return open_context(*read(config, *words))


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
