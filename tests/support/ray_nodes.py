"""A real Ray cluster of two nodes on this machine, and programs that use it.

Each node has one core. Its processes end with `ray start --block`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flower_mm.errors import UserError

ROOT = Path(__file__).parents[2]
DRIVER = """
import importlib, json, sys
from flower_mm import cluster
from flower_mm.errors import UserError

address, place, items, options, version = json.loads(sys.argv[1])
module, _, name = place.rpartition('.')
function = getattr(importlib.import_module(module), name)
if version:
    cluster.code_version = lambda: version
try:
    results = list(cluster.run_tasks(function, items, address, **options))
except UserError as error:
    print(json.dumps(['error', str(error)]))
else:
    print(json.dumps(['results', results]))
"""


class Nodes:
    """The processes of a cluster."""

    def __init__(self, folder: Path) -> None:
        self.environment = environment(folder)
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        self.address = f'127.0.0.1:{self.port}'
        # Paths of sockets have at most 107 characters.
        self.folder = folder
        self.head = self.start(
            '--head', f'--port={self.port}', '--include-dashboard=false',
            f'--temp-dir={folder}',
        )  # fmt: skip
        self.other = self.start(f'--address={self.address}')

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a node and wait until it runs."""
        ray = Path(sys.executable).with_name('ray')
        node = subprocess.Popen(
            [
                *(ray, 'start', *arguments, '--num-cpus=1', '--block'),
                '--object-store-memory=80000000',
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in node.stdout:
            if 'Ray runtime started' in line:
                return node
        raise AssertionError('the node has not started')

    def kill_worker(self) -> None:
        """Let the process of a task on the first node die."""
        for process in descendants(self.head.pid):
            title = Path(f'/proc/{process}/cmdline').read_bytes()
            if title.startswith((b'ray::Worker', b'ray::TrainingWorker')):
                os.kill(process, signal.SIGKILL)
                return
        raise AssertionError('the node has no task')

    def kill_other(self) -> None:
        """Let the second node die with all of its processes."""
        for process in [self.other.pid, *descendants(self.other.pid)]:
            os.kill(process, signal.SIGKILL)
        self.other.wait()


def environment(folder: Path) -> dict[str, str]:
    home = folder / 'home'  # for Ray's files
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return {
        **os.environ,
        'HOME': str(home),
        'PYTHONPATH': path,
        'RAY_USAGE_STATS_ENABLED': '0',
    }


def descendants(process: int) -> list[int]:
    """The process ids of all children, and of theirs."""
    children = Path(f'/proc/{process}/task/{process}/children').read_text()
    below = [descendants(int(child)) for child in children.split()]
    return [*map(int, children.split()), *(p for part in below for p in part)]


@contextmanager
def cluster() -> Iterator[Nodes]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix='ray') as folder:
        nodes = Nodes(Path(folder))
        try:
            yield nodes
        finally:
            for node in (nodes.other, nodes.head):
                node.terminate()
            for node in (nodes.other, nodes.head):
                node.wait(30)


def driver(
    nodes: Nodes, place: str, items: list, version: str = '', **options: object
) -> list:
    """What `run_tasks` yields in a process that has joined the cluster."""
    done = subprocess.run(
        [
            *(sys.executable, '-c', DRIVER),
            json.dumps([nodes.address, place, items, options, version]),
        ],
        env=nodes.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Ray prints messages of its own.
    lines = [line for line in done.stdout.splitlines() if line[:2] == '["']
    assert lines, done.stderr
    kind, value = json.loads(lines[-1])
    if kind == 'error':
        raise UserError(value)
    return value
