"""What reaches a tracker, with failures in between."""

import argparse
import json
from pathlib import Path

import pytest

from flower_mm.tracking import send, trackers
from flower_mm.tracking.send import Sender
from flower_mm.tracking.trackers import Job, grouped, parse_trackers


class Server:
    """A tracker in memory that can be switched off."""

    def __init__(self) -> None:
        self.is_up = True
        self.opened: list[str | None] = []
        self.configs = 0
        self.steps: list[int] = []
        self.files: list[str] = []
        self.closed: list[bool] = []

    def require(self) -> None:
        if not self.is_up:
            raise ConnectionError('down')

    def __call__(self, job: Job, run: str | None) -> 'Server':
        self.require()
        self.opened.append(run)
        self.run = run or 'run-1'
        return self

    def send_config(self) -> None:
        self.configs += 1

    def send_scalars(self, record: dict) -> None:
        self.require()
        self.steps.append(record['step'])

    def attach(self, path: Path) -> None:
        self.require()
        self.files.append(path.name)

    def close(self, finished: bool) -> None:
        self.closed.append(finished)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(send, 'Tracker', server)
    return server


def log(folder: Path, *steps: int, end: str = '\n') -> None:
    lines = [json.dumps({'loss': 1.0, 'step': step}) for step in steps]
    (folder / 'scalars.json').write_text('\n'.join(lines) + end)


def sender(folder: Path, warnings: list | None = None) -> Sender:
    job = Job('mlflow', str(folder), 'mine', {})
    return Sender(job, [].append if warnings is None else warnings.append)


def test_complete_lines_are_sent_once(server, tmp_path):
    sending = sender(tmp_path)
    assert sending.send()
    log(tmp_path, 1, 2, 3, end='')  # the third is being written
    assert sending.send()
    assert sending.send()
    assert server.steps == [1, 2]
    log(tmp_path, 1, 2, 3)
    (tmp_path / 'best.pth').touch()
    assert sending.finish(finished=True)
    assert server.steps == [1, 2, 3]
    assert (server.files, server.closed) == (['best.pth'], [True])


def test_an_outage_is_made_up_for_and_warned_of_once(server, tmp_path):
    warnings: list[str] = []
    server.is_up = False
    sending = sender(tmp_path, warnings)
    log(tmp_path, 1)
    assert not sending.send()
    assert not sending.send()
    server.is_up = True
    assert sending.send()
    server.is_up = False
    log(tmp_path, 1, 2, 3)
    assert not sending.finish(finished=True)
    server.is_up = True
    assert sending.finish(finished=True)
    assert server.steps == [1, 2, 3]
    assert (len(warnings), server.opened) == (1, [None])


def test_a_resumed_run_continues_in_the_tracker(server, tmp_path):
    log(tmp_path, 1, 2, 3)
    sender(tmp_path).send()
    # The run was killed, and resumes from before step 3.
    log(tmp_path, 1, 2)
    again = sender(tmp_path)
    again.send()
    log(tmp_path, 1, 2, 3, 4)
    again.send()
    assert server.steps == [1, 2, 3, 4]
    assert (server.opened, server.configs) == ([None, 'run-1'], 1)


def test_a_training_that_goes_back_is_sent_again(server, tmp_path):
    log(tmp_path, 1, 2, 3)
    sending = sender(tmp_path)
    sending.send()
    log(tmp_path, 1)
    sending.send()
    log(tmp_path, 1, 2)
    sending.send()
    assert server.steps == [1, 2, 3, 2]


@pytest.mark.parametrize(
    'text',
    ['', '[]', '{"run": "../x", "sent": 1}', '{"run": "a", "sent": -1}'],
)
def test_a_damaged_state_begins_a_new_run(server, text, tmp_path):
    (tmp_path / 'tracking_mlflow.json').write_text(text)
    log(tmp_path, 1)
    assert sender(tmp_path).send()
    assert (server.opened, server.steps) == ([None], [1])


def test_damaged_lines_are_left_out(server, tmp_path):
    (tmp_path / 'scalars.json').write_text('{"loss": \n{"step": 2}\n')
    assert sender(tmp_path).send()
    assert server.steps == [2]


def test_names_have_the_phase_in_front():
    assert grouped({'lr': 1, 'loss': 2}) == {'train/lr': 1, 'train/loss': 2}
    assert grouped({'accuracy/top1': 3}) == {'val/accuracy/top1': 3}


def test_names_of_trackers(monkeypatch):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: name != 'aim')
    assert parse_trackers('mlflow,wandb') == ['mlflow', 'wandb']
    with pytest.raises(argparse.ArgumentTypeError, match='clearml'):
        parse_trackers('mlflow,neptune')
    with pytest.raises(argparse.ArgumentTypeError, match='-m pip install aim'):
        parse_trackers('aim')
