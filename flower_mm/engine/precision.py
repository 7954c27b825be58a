"""Choose between float32 and bfloat16, and keep the choice on resume."""

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process

from flower_mm.engine.distributed import join_group
from flower_mm.errors import UserError
from flower_mm.models.bfloat16 import MIN_SPEED_UP, speed_up


def choose_precision(
    cfg: Config, device: str, all_ranks: bool = False
) -> None:
    """Resolve `precision = 'auto'`: bfloat16 where it is faster.

    A wrapper that the config or --amp names stays. Validation and testing
    use the precision of training.

    Where `all_ranks` of a distributed run call this, rank 0 decides for all.
    The checks before a training call it on one rank alone.
    """
    wanted = cfg.get('precision')
    if wanted not in (None, 'auto', 'float32'):
        raise UserError(
            "invalid precision: expected 'auto' or 'float32', got "
            f'{wanted!r}\nbfloat16 in any case: --cfg-options '
            'optim_wrapper.type=flower_mm.Bf16OptimWrapper'
        )
    if wanted != 'auto':
        return
    if cfg.optim_wrapper.get('type') not in (None, 'OptimWrapper'):
        cfg.precision = None  # keep_precision leaves this wrapper as well
        return
    if _pays(cfg, device, all_ranks):
        use_bfloat16(cfg)


def _pays(cfg: Config, device: str, all_ranks: bool) -> bool:
    """Whether bfloat16 is faster; the same answer on all ranks."""
    if not all_ranks:
        return speed_up(device) >= MIN_SPEED_UP
    join_group(cfg)
    pays = [is_main_process() and speed_up(device) >= MIN_SPEED_UP]
    broadcast_object_list(pays, 0)
    return pays[0]


def use_bfloat16(cfg: Config) -> None:
    # What MMEngine's `fp16` of validation and testing means on a GPU.
    torch.set_autocast_dtype('cuda', torch.bfloat16)
    cfg.optim_wrapper.type = 'Bf16OptimWrapper'
    for name in ('val_cfg', 'test_cfg'):
        if cfg.get(name) is not None:
            cfg[name].fp16 = True


def keep_precision(cfg: Config, meta: dict) -> None:
    """Give a resumed run the precision that was chosen when it began."""
    began = meta.get('cfg')
    if cfg.get('precision') != 'auto' or not isinstance(began, dict):
        return
    if began.get('precision') != 'auto':
        return
    then = began.get('optim_wrapper')
    if isinstance(then, dict) and then.get('type') == 'Bf16OptimWrapper':
        use_bfloat16(cfg)
    elif cfg.optim_wrapper.type == 'Bf16OptimWrapper':
        cfg.optim_wrapper.type = 'OptimWrapper'
        for name in ('val_cfg', 'test_cfg'):
            if cfg.get(name) is not None:
                cfg[name].pop('fp16', None)
