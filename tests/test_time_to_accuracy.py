"""The arithmetic and the watching of `benchmarks.time_to_accuracy`."""

import csv
import sys
from math import inf
from pathlib import Path

import pytest

from benchmarks.time_to_accuracy import rows
from benchmarks.time_to_accuracy.systems import SYSTEMS, Task
from benchmarks.time_to_accuracy.table import table
from benchmarks.time_to_accuracy.watch import (
    RivalError,
    Run,
    answers_in,
    watch,
)

SLOW = Run([(100.04, 84.0), (200, 91.123), (300, 88.0)], 310, 500, 2_000_000)
QUICK = Run([(20, 88.0), (40, 90.0), (60, 90.5)], 61, 90, 4_000_000)

SPEAKS = """
import json, sys, time
print('to the log', file=sys.stderr)
for top1 in (50, 75.5):
    print(json.dumps({'epoch': 1, 'top1': top1}), flush=True)
    time.sleep(0.4)
"""
WRITES = """
import os, sys
os.makedirs(sys.argv[1] + '/now/vis_data')
with open(sys.argv[1] + '/now/vis_data/scalars.json', 'w') as file:
    file.write('{"loss": 1.0}\\n{"accuracy/top1": 62.5, "step": 1}\\n')
print('{"top1": 1}')
"""


def test_a_level_is_reached_at_the_first_validation_that_has_it():
    assert rows.seconds_to(88, SLOW.validations) == 200
    assert rows.seconds_to(90, QUICK.validations) == 40
    assert rows.seconds_to(92, QUICK.validations) == inf


def test_a_row_has_median_and_range_and_says_what_was_not_reached():
    row = rows.row([SLOW, QUICK, QUICK], photos=100)
    assert row['runs'] == 3
    assert [row['seconds_to_88' + end] for end in ('', '_min', '_max')] == [
        '20.0',
        '20.0',
        '200.0',
    ]
    assert row['seconds_to_92'] == ''
    assert row['top1_max'] == '91.12'
    # Two epochs of 100 photos between the first validation and the last.
    assert row['photos_a_second'] == '5.0'
    assert row['photos_a_second_min'] == '1.0'
    assert rows.validations_of(row)[0] == [(100, 84), (200, 91.12), (300, 88)]


def test_one_validation_says_nothing_of_the_rate():
    row = rows.row([Run([(20, 88.0)], 25, 30, 0)], photos=100)
    assert row['photos_a_second'] == row['peak_mb'] == ''


def test_the_table_asks_all_for_the_best_of_stock(tmp_path):
    every = [
        {'system': system, 'name': system, 'epochs': epochs, 'threads': 2}
        | {'machine': 'this', 'begun': 'now'}
        | rows.row([run], 100)
        for system, epochs, run in (
            ('stock_d1', '10', QUICK),
            ('stock_adamw', '20', SLOW),  # too many epochs to count
            ('fast', '4', SLOW),
        )
    ]
    path = tmp_path / 'some.csv'
    with path.open('w') as file:
        writer = csv.DictWriter(file, every[0])
        writer.writeheader()
        writer.writerows(every)
    lines = table(path).splitlines()
    head = 'seconds to 90.50 %, the best of stock'
    to_best = lines[2].split(' | ').index(head)
    assert [line.split(' | ')[to_best] for line in lines[4:]] == [
        '200.0',  # fast, which is listed first
        '200.0',
        '60.0',
    ]


def test_a_line_that_is_still_written_is_not_read(tmp_path):
    file = tmp_path / 'scalars.json'
    file.write_text('{"accuracy/top1": 50.0}\n{"accuracy/top1": 7')
    assert answers_in(tmp_path) == [50]


def test_answers_are_stamped_as_they_come(tmp_path):
    folder = tmp_path / 'work'
    folder.mkdir()
    log = tmp_path / 'log'
    run = watch([sys.executable, '-c', SPEAKS], folder, log, speaks=True)
    (first, one), (second, other) = run.validations
    assert (one, other) == (50, 75.5)
    assert 0 < first < second <= run.seconds
    assert run.cpu_seconds > 0
    assert log.read_text() == 'to the log\n'


def test_scalars_are_followed_and_stdout_is_not_taken_for_them(tmp_path):
    folder = tmp_path / 'work'
    folder.mkdir()
    command = [sys.executable, '-c', WRITES, str(folder)]
    run = watch(command, folder, tmp_path / 'log')
    assert [top1 for _, top1 in run.validations] == [62.5]


def test_a_system_that_fails_or_says_nothing_names_its_log(tmp_path):
    log = tmp_path / 'log'
    for code in ('raise SystemExit(3)', ''):
        with pytest.raises(RivalError, match=str(log)):
            watch([sys.executable, '-c', code], tmp_path, log)


@pytest.mark.parametrize('name', SYSTEMS)
def test_every_command_names_what_it_is_given(name):
    task = Task(
        Path('python'), Path('photos'), Path('weights'), 7, 3, Path('work')
    )
    command = ' '.join(SYSTEMS[name].command(task))
    for given in ('photos', 'weights', '7', '3'):
        assert f'={given}' in command
