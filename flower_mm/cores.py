"""How many cores there are for us."""

import os
from pathlib import Path

QUOTA = Path('/sys/fs/cgroup/cpu.max')  # of a container


def cores() -> int:
    """Cores that this process may use; a container may have less than all."""
    if hasattr(os, 'sched_getaffinity'):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(count, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return count
