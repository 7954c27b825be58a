"""Tasks in processes of this machine and on a real cluster of two nodes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import ray_nodes
import task_functions

from flower_mm import cluster
from flower_mm.cluster import Lost, run_tasks
from flower_mm.errors import UserError


def test_importing_it_imports_neither_ray_nor_torch():
    code = (
        'import sys, flower_mm.cluster\n'
        'print([n for n in ("ray", "torch", "numpy") if n in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout == '[]\n'


def test_each_item_comes_back_once_with_its_result():
    results = list(run_tasks(task_functions.square, range(20), workers=2))
    assert sorted(results) == [(n, n * n) for n in range(20)]
    assert list(run_tasks(task_functions.square, [])) == []


def test_items_are_taken_when_a_process_is_free():
    taken = []

    def items() -> Iterator[int]:
        for number in count():
            taken.append(number)
            yield number

    results = run_tasks(task_functions.square, items(), workers=2)
    for _ in range(5):
        next(results)
    results.close()
    assert len(taken) <= 8


def test_processes_live_on_and_share_the_cores():
    results = list(
        run_tasks(task_functions.process_of, range(6), workers=2, cpus=3)
    )
    assert len({process for _, (process, _) in results}) == 2
    assert {threads for _, (_, threads) in results} == {'3'}


def test_an_item_whose_process_is_killed_is_run_again(tmp_path):
    marks = [str(tmp_path / str(number)) for number in range(3)]
    results = list(run_tasks(task_functions.die_once, marks, workers=2))
    assert sorted(results) == [(mark, mark) for mark in marks]


def test_an_item_that_kills_each_process_is_lost():
    ((item, result),) = run_tasks(task_functions.die, ['bad'])
    assert (item, result) == ('bad', Lost('killed by signal SIGKILL'))


def test_exceptions_come_back():
    with pytest.raises(UserError, match=r'^invalid item 7$'):
        list(run_tasks(task_functions.refuse, [7]))
    with pytest.raises(
        RuntimeError, match=r'in fail\n(.|\n)*UnpicklableError: two'
    ):
        list(run_tasks(task_functions.fail, [7]))


def test_processes_end_with_a_killed_driver(tmp_path):
    code = (
        'import sys; sys.path.insert(0, "tests/support")\n'
        'import task_functions\n'
        'from flower_mm.cluster import run_tasks\n'
        'if __name__ == "__main__":\n'
        '    for _, result in run_tasks(task_functions.process_of, [1, 2]):\n'
        '        print(result[0], flush=True)\n'
        '        input()\n'
    )
    script = tmp_path / 'driver.py'
    script.write_text(code)
    driver = subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    worker = int(driver.stdout.readline())
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    deadline = time.monotonic() + 10
    while Path(f'/proc/{worker}').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f'/proc/{worker}').exists()


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(UserError, match=r"pip install 'flower_mm\[cluster\]'"):
        next(run_tasks(task_functions.square, [1], cluster='auto'))


def test_an_address_that_nothing_answers(monkeypatch):
    monkeypatch.setattr(cluster, 'CONNECT_SECONDS', 2)
    with pytest.raises(UserError, match=r'127\.0\.0\.1:1 cannot be used: no'):
        next(run_tasks(task_functions.square, [1], cluster='127.0.0.1:1'))


@pytest.mark.nightly
def test_a_cluster_of_two_nodes(tmp_path):
    with ray_nodes.cluster() as nodes:
        results = ray_nodes.driver(
            nodes, 'task_functions.process_of', list(range(8))
        )
        assert sorted(number for number, _ in results) == list(range(8))
        assert len({process for _, (process, _) in results}) == 2
        assert {threads for _, (_, threads) in results} == {'1'}
        marks = [str(tmp_path / name) for name in 'ab']
        results = ray_nodes.driver(nodes, 'task_functions.die_once', marks)
        assert sorted(results) == [[mark, mark] for mark in marks]
        for place, options, text in (
            ('task_functions.refuse', {}, 'invalid item 7'),
            ('task_functions.square', {'cpus': 9}, 'no node .* 9 CPUs'),
            ('task_functions.square', {'version': 'x'}, 'another flower_mm'),
        ):
            with pytest.raises(UserError, match=text):
                ray_nodes.driver(nodes, place, [7], **options)
