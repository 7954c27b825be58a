"""A run is resolved once; checks and training leave it as it was."""

import copy
import dataclasses
from pathlib import Path

import pytest

from flower_mm.checks import run as checks
from flower_mm.cli.training_flags import parse_training, read_training_config
from flower_mm.engine import resolved_run, run_start
from flower_mm.engine import train as training


def test_checks_and_training_leave_the_resolved_config(
    config: Path, dataset: Path, tmp_path: Path, monkeypatch, capsys
):
    words = ['--data', dataset, '--work-dir', tmp_path / 'run', '--seed', 0]
    words += ['--device', 'cpu', '--epochs', 1, '--workers', 0]
    args = parse_training([str(config), *map(str, words)])
    args.begin = 0.0
    cfg = read_training_config(args)
    as_read = copy.deepcopy(cfg.to_dict())
    count, started = [], []

    def resolve(*given, **more):
        count.append(1)
        return resolved_run.resolve_training(*given, **more)

    def choose_start(*given):
        started.append(run_start.choose_start(*given))
        return started[0]

    monkeypatch.setattr('flower_mm.checks.context.resolve_training', resolve)
    monkeypatch.setattr(training, 'choose_start', choose_start)
    run = checks.check_before_training(cfg, args)
    resolved = copy.deepcopy(run.cfg.to_dict())
    assert training.train(run, args) is None
    assert cfg.to_dict() == as_read
    assert run.cfg.to_dict() == resolved
    # What the Runner was given differs in where the run starts from only.
    given = started[0].cfg.to_dict()
    differing = {k for k in given if given[k] != resolved.get(k)}
    assert differing <= {'resume', 'load_from', 'default_hooks'}
    assert count == [1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.cfg = cfg
