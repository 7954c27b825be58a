"""The processes of a distributed run, from the launcher's variables."""

import os

# Environment variables of the launchers.
RANKS = ('RANK', 'OMPI_COMM_WORLD_RANK', 'SLURM_PROCID')
COUNTS = ('WORLD_SIZE', 'OMPI_COMM_WORLD_SIZE', 'SLURM_NTASKS')


def is_first(launcher: str) -> bool:
    """Whether this is the process that writes files."""
    return _from_environment(RANKS, launcher, alone=0) == 0


def processes(launcher: str) -> int:
    return _from_environment(COUNTS, launcher, alone=1)


def restarts(launcher: str) -> int:
    """How often torchrun may start the processes anew."""
    return _from_environment(('TORCHELASTIC_MAX_RESTARTS',), launcher, alone=0)


def _from_environment(
    names: tuple[str, ...], launcher: str, alone: int
) -> int:
    if launcher == 'none':
        return alone  # also inside a job with several tasks
    return next((int(os.environ[n]) for n in names if n in os.environ), alone)
