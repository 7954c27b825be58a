"""Run tasks in processes of this machine, or on the nodes of a Ray cluster.

The processes live on from item to item, so that a function can keep the model
that it has loaded. Importing this module imports neither Ray nor torch.
"""

import functools
import hashlib
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from logging import ERROR
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import flower_mm
from flower_mm.commands import install_command
from flower_mm.errors import UserError, printable
from flower_mm.worker_processes import (
    POLL_SECONDS,
    LocalPool,
    Lost,
    Raised,
    Task,
    call,
)

Item = TypeVar('Item')
Result = TypeVar('Result')

TRIES = 3  # of an item whose process or node dies
CONNECT_SECONDS = 30.0
RESIZE_SECONDS = 5.0  # between two looks at the nodes of the cluster
NOTICE_SECONDS = 60.0  # between two notices about missing resources
# Fails unless the cluster answers. It runs in a process of its own, since Ray
# tries a wrong address for two minutes and then ends its process.
PROBE = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')
"""


def run_tasks(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    cluster: str | None = None,
    workers: int | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
) -> Iterator[tuple[Item, Result | Lost]]:
    """Yield each item with its result, in the order of completion.

    The next item is taken from `items` when a process is free for it. An item
    whose process or node dies is run again, up to TRIES times. An exception
    of the function ends the processes: a UserError is raised here as it is,
    others as a RuntimeError with the traceback.

    Args:
        function: A function of a module that all nodes can import.
        items: Values that pickle can copy; their paths must be absolute.
        cluster: `auto` or the address of a Ray cluster; None for processes of
            this machine.
        workers: The largest number of processes: by default one on this
            machine, and as many as fit on a cluster.
        cpus: Cores of a process, and its threads.
        gpus: GPUs of a process on a cluster, such as 0.5.
    """
    pool = (
        LocalPool(function, workers or 1, max(1, int(cpus)))
        if cluster is None
        else _RayPool(function, connect(cluster), workers, cpus, gpus)
    )
    new = map(Task, items)
    again: deque[Task] = deque()
    running = 0
    with closing(pool):
        while True:
            while pool.free():
                task = again.popleft() if again else next(new, None)
                if task is None and not running:
                    return
                if task is None:
                    break
                pool.submit(task)
                running += 1
            for task, result in pool.wait():
                running -= 1
                if isinstance(result, Raised):
                    raise result.error
                if isinstance(result, Lost):
                    task.losses += 1
                    if task.losses < TRIES:
                        again.append(task)
                        continue
                yield task.item, result  # type: ignore[misc]


def connect(address: str) -> ModuleType:
    """Connect this process to a cluster; return the module ray."""
    try:
        import ray
    except ImportError as error:
        raise UserError(
            '--cluster needs the package ray.\n'
            f'Install it: {install_command("cluster")}'
        ) from error
    if not ray.is_initialized():
        _require_answer(address)
        ray.init(address=address, log_to_driver=False, logging_level=ERROR)
    return ray


def _require_answer(address: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, '-P', '-c', PROBE, address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=CONNECT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        reason = f'no answer within {CONNECT_SECONDS:.0f} s'
    else:
        if not done.returncode:
            return
        reason = cause_of(done.stderr)
    raise UserError(
        f'the Ray cluster {printable(address)} cannot be used: {reason}.\n'
        'Start it: ray start --head\n'
        'and on further machines: ray start --address=HEAD:6379'
    )


@functools.cache
def code_version() -> str:
    """Return the version of flower_mm and a digest of its modules."""
    folder = Path(flower_mm.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob('*.py')):
        name = file.relative_to(folder).as_posix()
        if not name.startswith('.'):
            digest.update(name.encode() + b'\0' + file.read_bytes())
    return f'{flower_mm.__version__} ({digest.hexdigest()[:12]})'


def require_same_code(node: str, version: str) -> None:
    """Raise UserError unless the version is that of this process."""
    if version != code_version():
        raise UserError(
            f'{printable(node)} has another flower_mm: expected '
            f'{code_version()}, got {printable(version)}.\n'
            'Install the same version on all nodes'
        )


class Worker:
    """An actor: a process on a node."""

    def node(self) -> tuple[str, str]:
        """Return the name of the node and its version of flower_mm."""
        return socket.gethostname(), code_version()

    def run(self, function: Callable, item: object) -> object:
        return call(function, item)


class _RayPool:
    """Actors, which keep their GPU from item to item, unlike Ray's tasks.

    A task is submitted to an actor that has started, so that it never waits
    for resources that other users of the cluster have.
    """

    def __init__(
        self,
        function: Callable,
        ray: ModuleType,
        workers: int | None,
        cpus: float,
        gpus: float,
    ) -> None:
        self.function, self.ray, self.workers = function, ray, workers
        self.needs = {'CPU': cpus, 'GPU': gpus}
        self.actor = ray.remote(Worker).options(
            num_cpus=cpus, num_gpus=gpus, scheduling_strategy='SPREAD'
        )
        # By the reference to their result.
        self.starting: dict[Any, Any] = {}
        self.busy: dict[Any, tuple[Any, Task]] = {}
        self.idle: list[Any] = []
        self.next_look = 0.0
        self.noticed = time.monotonic()
        require_places(ray, self.needs)

    def free(self) -> int:
        return len(self.idle)

    def submit(self, task: Task) -> None:
        actor = self.idle.pop()
        self.busy[actor.run.remote(self.function, task.item)] = actor, task

    def wait(self) -> list[tuple[Task, object]]:
        self._start_missing()
        waiting = [*self.starting, *self.busy]
        if not waiting:  # all nodes have died
            time.sleep(POLL_SECONDS)
            return []
        ended: list[tuple[Task, object]] = []
        for reference in self.ray.wait(waiting, timeout=POLL_SECONDS)[0]:
            if reference in self.starting:
                self._check(self.starting.pop(reference), reference)
                continue
            actor, task = self.busy.pop(reference)
            try:
                ended.append((task, self.ray.get(reference)))
                self.idle.append(actor)
            except self.ray.exceptions.RayError as error:
                self.ray.kill(actor)
                ended.append((task, Lost(cause_of(str(error)))))
        return ended

    def close(self) -> None:
        busy = [actor for actor, _ in self.busy.values()]
        for actor in [*self.starting.values(), *busy, *self.idle]:
            self.ray.kill(actor)

    def _start_missing(self) -> None:
        """Start as many actors as fit on the nodes that live now."""
        now = time.monotonic()
        if self.busy or self.idle:
            self.noticed = now
        elif now > self.noticed + NOTICE_SECONDS:
            self.noticed = now
            print(
                f'waiting for {_resources(self.needs)} of the cluster: it '
                f'has {_nodes(self.ray)}',
                file=sys.stderr,
                flush=True,
            )
        if now < self.next_look:
            return
        self.next_look = now + RESIZE_SECONDS
        actors = len(self.starting) + len(self.busy) + len(self.idle)
        for _ in range(self._places() - actors):
            actor = self.actor.remote()
            self.starting[actor.node.remote()] = actor

    def _check(self, actor: Any, reference: Any) -> None:
        """Take an actor that has started, with the code of this process."""
        try:
            node, version = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            if 'ModuleNotFoundError' not in str(error):
                return  # its node has died
            node, version = 'a node', cause_of(str(error))
        require_same_code(node, version)
        self.idle.append(actor)

    def _places(self) -> int:
        number = places(self.ray, self.needs)
        return number if self.workers is None else min(number, self.workers)


def places(ray: ModuleType, needs: dict[str, float]) -> int:
    """Return how many processes with these needs the living nodes take."""
    return sum(
        min(
            int(node['Resources'].get(name, 0) / need + 1e-6)
            for name, need in needs.items()
            if need
        )
        for node in ray.nodes()
        if node['Alive']
    )


def require_places(ray: ModuleType, needs: dict[str, float]) -> None:
    """Raise UserError if no node can ever take such a process."""
    if not places(ray, needs):
        raise UserError(
            f'no node of the cluster has {_resources(needs)}: got '
            f'{_nodes(ray)}'
        )


def _nodes(ray: ModuleType) -> str:
    nodes = [node for node in ray.nodes() if node['Alive']]
    each = [_resources(node['Resources']) for node in nodes[:4]]
    return ', '.join([*each, '…'] if len(nodes) > 4 else each)


def _resources(amounts: dict[str, float]) -> str:
    return ' and '.join(f'{amounts.get(n, 0):g} {n}s' for n in ('CPU', 'GPU'))


def cause_of(text: str) -> str:
    """Return the line with the cause in a long message of Ray."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if 'Error: ' in line]
    return printable((errors or lines or ['unknown reason'])[-1], 300)
