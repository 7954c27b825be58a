"""Measure whether this machine computes faster in bfloat16.

The result is kept in the user's cache folder.
"""

import json
import math
import os
import time
from pathlib import Path

import torch
from torch import nn

from flower_mm.environment import device_name
from flower_mm.errors import UserError
from flower_mm.files import write_whole

# The least speed-up that is used; the probe may be wrong by less than this.
PAYS = 1.2
TIMES = 5


def speed_up(device: str) -> float:
    """How many times as fast convolutions train in bfloat16.

    Measuring takes a second, so that the result is kept for the machine.
    """
    # One thread is measured: the number of threads is not part of the key.
    name, _, _ = device_name(device).partition(',')
    key = f'{name}, torch {torch.__version__}'
    if limit := os.environ.get('ONEDNN_MAX_CPU_ISA'):
        key += f', {limit}'
    kept = _kept()
    factor = kept.get(key)
    if type(factor) is not float or not math.isfinite(factor):
        factor = kept[key] = round(_probe(device), 2)
        try:
            _file().parent.mkdir(parents=True, exist_ok=True)
            write_whole(_file(), json.dumps(kept, indent=2).encode())
        except (OSError, UserError):
            pass  # the next run measures again
    return factor


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
    """Time a piece of a residual network in both precisions, in turns."""
    if device == 'cuda':
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            return 0.0
        photos, clock = 256, time.perf_counter
    elif device == 'cpu':
        # Processor time of one thread, which other work does not change.
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
    # The fastest of each: the first ones allocate memory, choose kernels.
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
