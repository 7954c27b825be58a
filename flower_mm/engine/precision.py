"""Does this machine compute faster in bfloat16? It is tried, and noted."""

import json
import math
import os
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from torch import nn

from flower_mm.engine.device import join_group
from flower_mm.engine.environment import device_name
from flower_mm.errors import UserError
from flower_mm.files import write_whole

PAYS = 1.2  # times as fast; less is within what a probe may be wrong by
TIMES = 5


def choose_precision(
    cfg: Config, device: str, all_ranks: bool = False
) -> None:
    """Settle `precision = 'auto'` of a config: bfloat16 where it pays.

    A wrapper that the config or --amp names stays. So that best.pth was
    measured as it was trained, validation and testing follow.

    Where `all_ranks` of a distributed run call this, rank 0 decides for all.
    The checks before a training call it on one rank alone.
    """
    wanted = cfg.get('precision')
    if wanted not in (None, 'auto', 'float32'):
        raise UserError(
            f'precision={wanted!r}: there are auto, which is bfloat16 where '
            'it is faster, and float32.\n'
            'bfloat16 in any case: --cfg-options '
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
    """Whether bfloat16 is faster.

    Measurements of several ranks may differ, and a model that is trained in
    two precisions at once is trained in neither.
    """
    if not all_ranks:
        return speed_up(device) >= PAYS
    join_group(cfg)
    pays = [is_main_process() and speed_up(device) >= PAYS]
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
    """A run that goes on stays with what was chosen where it began."""
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


def speed_up(device: str) -> float:
    """How many times as fast convolutions train in bfloat16.

    The answer is kept: it is of the machine, and a second of each run else.
    """
    # Of one thread, so of any number of them.
    name, _, _ = device_name(device).partition(',')
    key = f'{name}, torch {torch.__version__}'
    if limit := os.environ.get('ONEDNN_MAX_CPU_ISA'):
        key += f', {limit}'
    kept = _kept()
    found = kept.get(key)
    if type(found) is not float or not math.isfinite(found):
        found = kept[key] = round(_probe(device), 2)
        try:
            _file().parent.mkdir(parents=True, exist_ok=True)
            write_whole(_file(), json.dumps(kept, indent=2).encode())
        except (OSError, UserError):
            pass  # it is tried again next time
    return found


def _file() -> Path:
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'flower_mm' / 'bfloat16.json'


def _kept() -> dict:
    try:
        kept = json.loads(_file().read_text('utf-8'))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _probe(device: str) -> float:
    """Time a piece of a residual network both ways, in turns."""
    if device == 'cuda':
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            return 0.0
        photos, clock = 256, time.perf_counter
    elif device == 'cpu':
        # One thread's own time: other work on the machine does not count.
        photos, clock = 8, time.thread_time
    else:
        return 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # By default the random state of every GPU is saved and restored.
        gpus = [torch.cuda.current_device()] if device == 'cuda' else []
        with torch.random.fork_rng(devices=gpus):
            net = _net().to(device, memory_format=torch.channels_last)
            batch = torch.randn(photos, 64, 28, 28, device=device)
            batch = batch.to(memory_format=torch.channels_last)
        seconds = {True: [], False: []}
        for _ in range(TIMES + 1):
            for bfloat16, taken in seconds.items():
                start = clock()
                with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                    loss = net(batch).float().square().mean()
                loss.backward()
                if device == 'cuda':
                    torch.cuda.synchronize()
                taken.append(clock() - start)
    finally:
        torch.set_num_threads(threads)
    # The quickest of each: the first ones also find memory and kernels.
    return min(seconds[False]) / min(seconds[True])


def _net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(64, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 128, 1),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 128, 3, padding=1),
    )
