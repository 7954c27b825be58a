"""Runs that are killed, resumed and compared.

`python -m benchmarks.kill_anywhere` does the same a hundred times.
"""

import copy
import re

import pytest
from kill_anywhere.bench import Bench
from kill_anywhere.killing import kill
from kill_anywhere.plan import (
    EARLIER,
    MOMENT,
    POWER_CUT,
    RESUMING,
    STEP,
    Plan,
    kind_of,
)
from kill_anywhere.trial import Trial
from run_differences import differences


@pytest.fixture(scope='module')
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp('bench'))


def problems(bench: Bench, seed: int, numbers: dict[str, int]) -> list[str]:
    return [
        f'{trial}: {problem}'
        for trial in kill(bench, Plan(bench, seed), numbers)
        for problem in trial.problems
    ]


def test_a_killed_run_ends_as_if_nothing_had_been(bench):
    numbers = {STEP: 4, MOMENT: 3, POWER_CUT: 1}
    assert problems(bench, 0, numbers) == []


@pytest.mark.nightly
def test_thirty_killed_runs_end_as_if_nothing_had_been(bench):
    numbers = {STEP: 10, MOMENT: 9, RESUMING: 4, EARLIER: 3, POWER_CUT: 4}
    assert problems(bench, 1, numbers) == []


def test_each_step_of_each_file_is_hit(bench):
    kinds = {kind_of(step) for step in bench.steps}
    plan = Plan(bench, 0)
    assert {kind_of(plan.draw(STEP).kills[0]) for _ in kinds} == kinds
    for name in ('epoch_N.pth', 'best.pth', 'last_checkpoint', 'run.json'):
        for kind in ('open', 'write', 'fsync', 'chmod', 'replace', 'folder'):
            assert f'{kind} {name}' in kinds
    assert 'unlink epoch_N.pth' in kinds
    assert 'write scalars.json' in kinds
    assert 'write tensorboard/events' in kinds


@pytest.mark.parametrize(
    ('writer', 'step', 'found'),
    [
        ('in_place', 'write epoch_2.pth 1', 'epoch_2.pth is damaged'),
        ('in_place', 'write best.pth 2', 'best.pth is damaged'),
        ('removing', 'replace best.pth 2', 'best.pth is gone'),
        ('unsynced', 'open last_checkpoint 2', 'epoch_1.pth is damaged'),
    ],
)
def test_a_careless_writer_is_found_out(bench, writer, step, found, tmp_path):
    first = tmp_path / 'first.py'
    first.write_text(
        'import runpy, careless\n'
        f'runpy.run_path({str(bench.first)!r})\n'
        f'careless.use(careless.{writer})\n'
    )
    careless = copy.copy(bench)
    careless.first = first
    trial = Trial(STEP, 0, [step], power_cut=writer == 'unsynced')
    trial.carry_out(careless, tmp_path / 'trial')
    assert trial.hits == 1
    assert any(found in problem for problem in trial.problems)


def test_another_run_is_not_the_same(bench):
    assert differences(bench.whole(0), bench.whole(0)) == []
    found = differences(bench.whole(0), bench.other_seed)
    for value in (
        'best.pth.state_dict.head.fc.weight',
        'epoch_3.pth.optimizer.state.0.exp_avg',
        'epoch_3.pth.ema_state_dict.module.head.fc.weight',
        'epoch_3.pth.message_hub.log_scalars.train/loss.0',
        'run.json.seed',
    ):
        assert value in found
    loss = re.compile(r'scalars\.json\.train \d+\.loss')
    assert any(map(loss.fullmatch, found))
