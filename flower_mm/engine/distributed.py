"""The device of a run, and its processes where there are several."""

import gc
import multiprocessing
from datetime import timedelta

import torch
from mmengine.config import Config
from mmengine.device import utils
from mmengine.dist import init_dist

from flower_mm.engine.rendezvous import group_options
from flower_mm.environment import kind_of_device
from flower_mm.errors import UserError


def use_device(
    wanted: str, launcher: str, timeout: float | None = None
) -> str:
    """Make MMEngine use a device in this process and return its kind.

    A number as in cuda:1 picks one of the GPUs; under a launcher each process
    is given its own. `timeout` is the process group's, in seconds.
    """
    kind = kind_of_device(wanted)
    _, _, number = wanted.partition(':')
    # MMEngine decides once, when it is imported, and has no setter.
    utils.DEVICE = kind
    if number:
        torch.cuda.set_device(int(number))
    joined = torch.distributed.is_initialized()
    if launcher == 'pytorch' and kind == 'cpu' and not joined:
        # MMEngine would need a GPU per process; it keeps an existing group.
        if timeout is not None and type(timeout) not in (int, float):
            raise UserError(
                'invalid env_cfg.dist_cfg.timeout: expected seconds, got '
                f'{timeout!r}'
            )
        torch.distributed.init_process_group(
            'gloo',
            timeout=timedelta(seconds=timeout) if timeout else None,
            **group_options(timeout),
        )
    return kind


def join_group(cfg: Config) -> None:
    """Join the other processes now, each on its GPU; MMEngine joins later."""
    launcher = cfg.get('launcher') or 'none'
    if launcher == 'none' or torch.distributed.is_initialized():
        return
    method = multiprocessing.get_start_method(allow_none=True)
    options = dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})
    if launcher == 'pytorch' and utils.DEVICE == 'cuda':
        options |= group_options(options.get('timeout'))
    init_dist(launcher, **options)
    # MMEngine sets a missing one, and then warns that the config's differs.
    multiprocessing.set_start_method(method, force=True)


def leave_group() -> None:
    """Wait for the other processes and leave the process group.

    Otherwise the first process to exit breaks the connections of the others.
    The threads of the group end with the last model that refers to it; one
    that still runs while Python exits may abort the process.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()
