"""Measure whether this machine computes faster in bfloat16.

The result is cached in the user's cache folder.
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
from flower_mm.files import user_cache, write_whole

# bfloat16 is used from this speed-up on; the error of the probe is smaller.
MIN_SPEED_UP = 1.2
ROUNDS = 5


def speed_up(device: str) -> float:
    """Return how many times faster convolutions train in bfloat16.

    Measuring takes a second, so the result is cached for the machine.
    """
    # The probe uses one thread, so the key is independent of their number.
    name, _, _ = device_name(device).partition(',')
    key = f'{name}, torch {torch.__version__}'
    if limit := os.environ.get('ONEDNN_MAX_CPU_ISA'):
        key += f', {limit}'
    cache = _read_cache()
    factor = cache.get(key)
    if type(factor) is not float or not math.isfinite(factor):
        factor = cache[key] = round(_probe(device), 2)
        try:
            _cache_file().parent.mkdir(parents=True, exist_ok=True)
            write_whole(_cache_file(), json.dumps(cache, indent=2).encode())
        except (OSError, UserError):
            pass  # the next run measures again
    return factor


def _cache_file() -> Path:
    return user_cache() / 'bfloat16.json'


def _read_cache() -> dict:
    try:
        cache = json.loads(_cache_file().read_text('utf-8'))
    except (OSError, ValueError):
        return {}
    return cache if isinstance(cache, dict) else {}


def _probe(device: str) -> float:
    """Time a small network in both precisions, alternately."""
    if device == 'cuda':
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            return 0.0
        photos, clock = 256, time.perf_counter
    elif device == 'cpu':
        # The processor time of one thread, independent of other processes.
        photos, clock = 8, time.thread_time
    else:
        return 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # By default the random state of every GPU is saved and restored.
        gpus = [torch.cuda.current_device()] if device == 'cuda' else []
        with torch.random.fork_rng(devices=gpus):
            # torch documents the argument, and its stub lacks it.
            network = _network().to(  # type: ignore[call-overload]
                device, memory_format=torch.channels_last
            )
            batch = torch.randn(photos, 64, 28, 28, device=device)
            batch = batch.to(memory_format=torch.channels_last)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(ROUNDS + 1):
            for bfloat16, taken in seconds.items():
                start = clock()
                with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                    loss = network(batch).float().square().mean()
                loss.backward()
                if device == 'cuda':
                    torch.cuda.synchronize()
                taken.append(clock() - start)
    finally:
        torch.set_num_threads(threads)
    # The fastest rounds: the first ones allocate memory and choose kernels.
    return min(seconds[False]) / min(seconds[True])


def _network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(64, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 128, 1),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 128, 3, padding=1),
    )
