"""Trainings of a search that take no time and write what real ones write."""

import hashlib
import json
import os
import random
import signal
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import event
from sqlalchemy.engine import Engine

from flower_mm.cli.training_flags import parse_training
from flower_mm.sweep import run_trials, search, search_study
from flower_mm.sweep.search import Finalist, Search
from flower_mm.sweep.search_study import SearchStudy
from flower_mm.sweep.trial import Trial


def accuracy(trial: Trial, epoch: int) -> float:
    """A curve that rises to an end that the config and the seed decide."""
    text = f'{trial.text} {trial.seed}'
    rng = random.Random(hashlib.sha256(text.encode()).hexdigest())
    end, speed = rng.uniform(40, 95), rng.uniform(0.3, 2)
    return round(end * (1 - 2 ** (-speed * epoch)), 4)


@dataclass
class FakeProcess:
    """A training that makes an epoch in some of the polls."""

    trial: Trial
    rng: random.Random
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None and self.rng.random() < 0.6:
            self._train_epoch()
        return self.code

    def _train_epoch(self) -> None:
        epoch = self.trial.epochs_done() + 1
        record = {
            'step': epoch,
            'accuracy/top1': accuracy(self.trial, epoch),
        }
        with (self.trial.folder / 'scalars.json').open('a') as file:
            file.write(json.dumps(record) + '\n')
        best = max(accuracy(self.trial, e) for e in range(1, epoch + 1))
        is_last = epoch == self.trial.epochs
        run = {
            'status': 'finished' if is_last else 'running',
            'result': {'epochs': epoch, 'best_top1': best},
        }
        (self.trial.folder / 'run.json').write_text(json.dumps(run))
        (self.trial.folder / f'epoch_{epoch}.pth').touch()
        if is_last:
            (self.trial.folder / 'best.pth').touch()
            self.code = 0

    def terminate(self) -> None:
        # The epoch in hand ends first, as in slow machines.
        self._train_epoch()
        self.code = self.code or 143

    def kill(self) -> None:
        self.code = -signal.SIGKILL

    def wait(self, timeout: float | None = None) -> int:
        return self.code or 0


@dataclass
class FakeExecutor:
    """`kill_at` are numbers of starts whose trainings get SIGKILL."""

    slots: int = 1
    seed: int = 0
    kill_at: set[int] = field(default_factory=set)
    fails: bool = False
    started: list[str] = field(default_factory=list)
    die_at: int | None = None  # the number of starts before Ctrl-C

    def start(self, trial: Trial, slot: int) -> FakeProcess:
        if len(self.started) == self.die_at:
            raise KeyboardInterrupt
        with trial.begin(self.slots):
            trial.log.write_text('error: broken\n' if self.fails else '')
        process = FakeProcess(trial, random.Random(f'{self.seed} {slot}'))
        if len(self.started) in self.kill_at:
            process._train_epoch()
            process.kill()
        if self.fails:
            process.code = 2
        self.started.append(f'{trial.config.stem} {trial.seed}')
        return process


# Arguments of a search.
PLAIN = {
    'seeds': [0], 'device': ['cpu'], 'epochs': 5, 'weights': None,
    'from_scratch': False, 'head_only': False, 'amp': False, 'seed': 0,
    'retry_nan': None, 'cfg_options': None, 'debug': False, 'jobs': None,
    'space': None,
}  # fmt: skip


def plan(config: Path, dataset: Path, out: Path, **others: object):
    own = {'configs': [str(config)], 'data_root': str(dataset), 'out': out}
    args = Namespace(**(PLAIN | own | others))
    return search.plan_search(args, parse_training)


def run_search(
    planned,
    executor: FakeExecutor,
    trials: int | None,
    ends: float | None = None,
) -> tuple[SearchStudy, list[Finalist]]:
    folder = planned.folder
    folder.mkdir(parents=True, exist_ok=True)
    planned.save()
    study = SearchStudy(
        f'sqlite:///{folder / "study.db"}',
        planned.record['study'],
        planned.space,
        folder,
    )
    state = Search(planned, study, executor, trials, ends, 2, 'cpu')
    return study, state.run()


def use_fakes(monkeypatch) -> None:
    def measure(checkpoint: Path, halves, device: str) -> np.ndarray:
        rng = np.random.default_rng(len(str(checkpoint)))
        return rng.random(len(halves.measuring)) < 0.8

    monkeypatch.setattr(search, 'measure', measure)
    monkeypatch.setattr(run_trials, 'POLL_SECONDS', 0)
    # A disk writes nothing that matters here.
    monkeypatch.setattr(os, 'fsync', lambda handle: None)
    create = search_study._create

    def create_unsynced(storage: str, name: str):
        event.listen(Engine, 'connect', _leave_to_the_system)
        try:
            return create(storage, name)
        finally:
            event.remove(Engine, 'connect', _leave_to_the_system)

    monkeypatch.setattr(search_study, '_create', create_unsynced)


def _leave_to_the_system(connection, _) -> None:
    connection.execute('PRAGMA synchronous = OFF')
