"""What doctor.py and train.py print, ignore and return."""

import re
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from examining import TINY_ON_BASE, look_at, read, write
from helpers import ROOT, tool

from flower_mm.checks import hardware
from flower_mm.checks.codes import CODES, parse_codes
from flower_mm.checks.run import check_before_training, print_checks
from flower_mm.errors import UserError

GOLDEN = Path(__file__).with_name('findings.txt')
# A mistake of each severity, and one setting of each kind.
MISTAKES = TINY_ON_BASE + (
    "train_dataloader['sampler'] = dict(shuffle=False)\n"
    "model['head']['in_channels'] = 512\n"
    'IMG_SIZE = 32\n'
)


@pytest.fixture
def words(dataset) -> tuple:
    return ('--data-root', dataset, '--device', 'cpu', '--from-scratch')


def test_the_findings_as_they_are_printed(
    words, tmp_path, dataset, capsys, monkeypatch
):
    """To renew the golden file: delete it and run this test."""
    monkeypatch.setattr(hardware, '_computes_bf16', lambda: True)
    config = write(tmp_path, MISTAKES)
    cfg, args = read(config, *words)
    args.plot, args.time = None, False
    assert print_checks(cfg, args) == 2
    text = capsys.readouterr().out.replace(str(tmp_path), 'FOLDER')
    text = text.replace(str(dataset), 'DATA')
    text = re.sub(r'(device +)cpu .*', r'\1cpu', text)
    text = re.sub(r'in [\d.]+ s', 'in N s', text)
    text = re.sub(r': \S+ .*prepare PHOTOS', ': prepare PHOTOS', text)
    if not GOLDEN.exists():
        GOLDEN.write_text(text, encoding='utf-8')
    assert text == GOLDEN.read_text(encoding='utf-8')


def test_training_stops_before_it_begins(tmp_path, words):
    config, work = write(tmp_path, MISTAKES), tmp_path / 'run'
    line = (config, *words, '--work-dir', work)
    done = forked.start(tmp_path / 'train.log', 'train', *line)
    assert done.wait() == 2
    assert 'RUN004' in done.text
    assert 'DATA019' in done.text
    assert 'Traceback' not in done.text
    assert not work.exists()


def test_training_prints_warnings_alone(tmp_path, words, capsys):
    text = MISTAKES.replace('512', '32')
    check_before_training(*read(write(tmp_path, text), *words))
    shown = capsys.readouterr().out
    assert re.findall(r': ([A-Z]+\d+) ', shown) == ['DATA019']


@pytest.mark.parametrize(
    ('flag', 'line', 'left'),
    [
        ((), '', {'RUN004', 'DATA019'}),
        (('--ignore', 'DATA019'), '', {'RUN004'}),
        (('--ignore', 'run004,data'), '', set()),
        (('--ignore', 'RUN', '--ignore', 'DATA'), '', set()),
        ((), "ignore_checks = ['DATA019']\n", {'RUN004'}),
    ],
)
def test_codes_that_are_ignored(flag, line, left, tmp_path, words):
    seen = look_at(write(tmp_path, MISTAKES + line), *words, *flag)
    assert {row.split()[1] for row in seen.rows()} == left


def test_an_unknown_code(tmp_path, words):
    config = write(tmp_path, MISTAKES)
    done = tool('doctor', config, *words, '--ignore', 'LR999', check=False)
    assert done.returncode == 2
    assert "'LR999'" in done.stderr
    with pytest.raises(UserError):
        parse_codes('X')


def test_every_code_is_used_and_in_order():
    text = ''.join(
        path.read_text(encoding='utf-8')
        for path in (ROOT / 'flower_mm' / 'checks').glob('*.py')
        if path.stem != 'codes'
    )
    assert set(CODES) == set(re.findall(r"'([A-Z]+\d{3})'", text))
    for area in {code.rstrip('0123456789') for code in CODES}:
        numbers = [int(c[-3:]) for c in CODES if c.startswith(area)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_check_that_fails_is_reported(tmp_path, words, monkeypatch, capsys):
    def fail(ctx):
        raise ZeroDivisionError('of a check\nthat is wrong')
        yield

    fail.__module__ = hardware.__name__
    monkeypatch.setattr(hardware, 'check', fail)
    check_before_training(*read(write(tmp_path, TINY_ON_BASE), *words))
    shown = capsys.readouterr().out
    assert 'checks.hardware: RUN008 note: ZeroDivisionError' in shown


def test_random_numbers_are_left_alone(tmp_path, words):
    mix = "model['train_cfg'] = dict(augments=dict(type='Mixup', alpha=0.8))\n"
    config = write(tmp_path, TINY_ON_BASE + mix)
    numbers = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        if numbers:
            look_at(config, *words)
        numbers.append((torch.rand(1).item(), np.random.rand()))
    assert numbers[0] == numbers[1]


def test_no_scope_is_left_switched(tmp_path, dataset):
    """MMEngine prints a line where another one was set."""
    config = write(tmp_path, TINY_ON_BASE)
    line = (config, '--data-root', dataset, '--plot', tmp_path / 'lr.png')
    run = forked.finish(tmp_path / 'log', 'doctor', *line)
    assert 'default scope' not in run.text
    assert (tmp_path / 'lr.png').is_file()
