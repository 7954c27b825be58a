"""Does a batch fit into the memory, and into the shared memory?"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from flower_mm.checks.config_values import bare_name
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.checks.hardware import fewer_workers, neighbours
from flower_mm.machine_failures import SHARED_MEMORY

SURELY = 1.5  # times the memory; less may still fit


def check(ctx: CheckContext) -> Iterator[Finding]:
    yield from _shared_memory(ctx)
    if not ctx.activations:
        return
    kept = ctx.activations
    kind = bare_name(ctx.cfg.optim_wrapper.get('type', ''))
    if kind in ('Bf16OptimWrapper', 'AmpOptimWrapper'):
        kept /= 2
    batch = ctx.cfg.train_dataloader.get('batch_size', 1)
    weights = sum(w.numel() * 4 for w in ctx.model.parameters())
    processes = neighbours(ctx.cfg.launcher)
    memory = _memory(ctx.device, processes)
    if ctx.device == 'cuda':
        # They are given the GPUs in turn.
        processes = -(-processes // max(1, torch.cuda.device_count()))
    # Weights, gradients, and two states of an optimizer like Adam.
    need = (batch * kept + 4 * weights) * processes
    if memory and need > SURELY * memory:
        parts = 1 << int(need / memory).bit_length()
        yield Finding(
            'MEM001',
            'train_dataloader.batch_size',
            f'a batch of {batch} photos takes about {need / 1e9:.1f} GB, and '
            f'the memory has {memory / 1e9:.1f} GB',
            f'--accumulate {parts}: the same batch in {parts} parts',
        )


def _memory(device: str, processes: int) -> int | None:
    """Return the bytes of this machine, or of the smallest GPU in use."""
    if device == 'cuda':
        used = [torch.cuda.current_device()]
        if processes > 1:
            used = range(min(processes, torch.cuda.device_count()))
        return min(
            torch.cuda.get_device_properties(gpu).total_memory for gpu in used
        )
    limits = []
    for name in ('memory.max', 'memory/memory.limit_in_bytes'):
        path = Path('/sys/fs/cgroup') / name
        if path.is_file() and path.read_text().strip().isdecimal():
            limits.append(int(path.read_text()))
    meminfo = Path('/proc/meminfo')
    if meminfo.is_file():
        first = meminfo.read_text(encoding='utf-8').splitlines()[0]
        limits.append(int(first.split()[1]) * 1024)  # MemTotal, in kB
    return min(limits, default=None)


def _shared_memory(ctx: CheckContext) -> Iterator[Finding]:
    """Workers pass batches on in /dev/shm, some ahead."""
    if not SHARED_MEMORY.is_dir():
        return
    height, width = ctx.size
    need = 0
    for name in ('train_dataloader', 'val_dataloader'):
        loader = ctx.cfg.get(name) or {}
        workers = loader.get('num_workers') or 0
        ahead = workers * (loader.get('prefetch_factor') or 2)
        # Three channels of a byte.
        need += ahead * loader.get('batch_size', 1) * 3 * height * width
    need *= neighbours(ctx.cfg.launcher)
    free = shutil.disk_usage(SHARED_MEMORY).free
    if need > free:
        yield Finding(
            'MEM002',
            'train_dataloader.num_workers',
            f'the workers hold up to {need / 1e6:.0f} MB of photos, and '
            f'{SHARED_MEMORY} has {free / 1e6:.0f} MB free',
            f'{fewer_workers(ctx, 0)}; in a container: docker run '
            '--shm-size=2g',
        )
