"""Meet the other processes of this attempt in the store of torchrun.

With --max-restarts, the launcher keeps one store for all attempts, and torch
2.11 reads addresses of killed processes from it (pytorch issue 135712). The
launchers' counts of restarts differ, so that they cannot tell attempts apart.
"""

import os
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from torch.distributed import PrefixStore, Store, TCPStore

from flower_mm.errors import UserError

SECONDS = 1800.0  # torch's default for a process group on CPUs


def group_options(timeout: float | None) -> dict[str, Any]:
    """Return arguments of `init_process_group` for a process of torchrun.

    Empty where the first process creates the store.
    """
    if os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
        return {}
    rank, count = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    store = TCPStore(
        os.environ['MASTER_ADDR'],
        int(os.environ['MASTER_PORT']),
        is_master=False,
        timeout=timedelta(seconds=timeout or SECONDS),
    )
    attempt = meet(store, rank, count, timeout or SECONDS)
    return {
        'store': PrefixStore(f'flower_mm/{attempt}', store),
        'rank': rank,
        'world_size': count,
    }


def meet(store: Store, rank: int, count: int, timeout: float) -> str:
    """Wait until all processes have come; return the name of this attempt.

    Each process puts a name of its own into the store. The first one
    publishes the names that it sees until each process has found its own.
    """
    name, names = uuid4().hex, ['']
    deadline = time.monotonic() + timeout
    store.set(f'flower_mm/come/{rank}', name)
    while time.monotonic() < deadline:
        if rank == 0:
            keys = [f'flower_mm/come/{other}' for other in range(count)]
            names = [
                store.get(key).decode() if store.check([key]) else ''
                for key in keys
            ]
            store.set('flower_mm/names', ','.join(names))
            if all(_has_come(store, name, other) for other in names[1:]):
                return name
        elif store.check(['flower_mm/names']):
            names = store.get('flower_mm/names').decode().split(',')
            if names[rank : rank + 1] == [name]:
                store.set(f'flower_mm/seen/{names[0]}/{name}', '')
                return names[0]
        time.sleep(0.05)
    missing = [0]
    if rank == 0:
        missing = [
            number
            for number, other in enumerate(names)
            if number and not _has_come(store, name, other)
        ]
    raise UserError(
        f'process {rank} of {count} has waited {timeout:.0f} s for '
        f'process(es) {", ".join(map(str, missing))}.\n'
        'Look at their logs. A longer limit, in seconds: '
        '--cfg-options env_cfg.dist_cfg.timeout=3600'
    )


def _has_come(store: Store, first: str, name: str) -> bool:
    return bool(name) and store.check([f'flower_mm/seen/{first}/{name}'])
