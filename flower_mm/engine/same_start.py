"""Require that all processes of a distributed run start from the same."""

import socket
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import all_gather_object, is_distributed

from flower_mm.engine.distributed import join_group
from flower_mm.engine.run_identity import SHOWN, decisive_values, identity
from flower_mm.errors import UserError
from flower_mm.launcher import processes


def require_same_start(
    cfg: Config, checkpoint: tuple[Path, dict] | None
) -> None:
    """Raise UserError in every process if one has other files or settings.

    Otherwise machines without a common folder would train one model on
    different photos, or some of them would resume and others begin.

    Args:
        cfg: The resolved config of this process.
        checkpoint: What this process would resume, and its `meta`.
    """
    join_group(cfg)
    if not is_distributed():
        return
    values = {
        'checkpoint': 'none',
        **identity(cfg, processes(cfg.launcher)),
        **decisive_values(cfg),
    }
    if checkpoint:
        path, meta = checkpoint
        values['checkpoint'] = f'{path.name}, iteration {meta["iter"]}'
    everywhere = all_gather_object((socket.gethostname(), values))
    first, expected = everywhere[0]
    lines = []
    for rank, (host, own) in enumerate(everywhere):
        for key in sorted(expected.keys() | own.keys()):
            there, here = (v.get(key, 'not set') for v in (expected, own))
            if there != here:
                lines.append(
                    f'{key}: {there!r:.30} in process 0 on {first}, '
                    f'{here!r:.30} in process {rank} on {host}'
                )
    if lines:
        more = [f'… and {len(lines) - SHOWN} more'] * (len(lines) > SHOWN)
        raise UserError(
            'the processes of this run start from different files or '
            'settings:\n  '
            + '\n  '.join(lines[:SHOWN] + more)
            + '\nUse the same config and command on each machine, and a '
            'dataset and a --work-dir on a file system that they share'
        )
