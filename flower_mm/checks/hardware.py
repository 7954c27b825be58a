"""What this machine offers: cores, memory, devices, precision, packages."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import torch

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import set_options, value_at
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.commands import python
from flower_mm.config import bare_name
from flower_mm.machine_failures import SHARED_MEMORY
from flower_mm.process_resources import cores

# What writes a log elsewhere, and the packages that do it; one is enough.
BACKENDS = {
    'TensorboardVisBackend': ('tensorboard', 'tensorboardX'),
    'GroupedTensorboardVisBackend': ('tensorboard', 'tensorboardX'),
    'WandbVisBackend': ('wandb',),
    'MLflowVisBackend': ('mlflow',),
    'ClearMLVisBackend': ('clearml',),
    'NeptuneVisBackend': ('neptune',),
    'DVCLiveVisBackend': ('dvclive',),
    'AimVisBackend': ('aim',),
}
BF16 = frozenset(('avx512_bf16', 'amx_bf16', 'bf16'))  # x86 twice, ARM
SURELY = 1.5  # times the memory; less may still fit


def check(ctx: CheckContext) -> Iterator[Finding]:
    yield from _workers(ctx)
    yield from _shared_memory(ctx)
    yield from _batch_memory(ctx)
    yield from _precision(ctx)
    yield from _devices(ctx)
    backends = value_at(ctx.cfg, 'visualizer.vis_backends') or []
    for number, backend in enumerate(backends):
        kind = bare_name(backend.get('type'))
        packages = BACKENDS.get(kind)
        if packages and not any(map(find_spec, packages)):
            yield Finding(
                'HW006',
                f'visualizer.vis_backends.{number}',
                f'{kind} requires the package {packages[0]}',
                f'{python()} -m pip install {packages[0]}, or remove it',
            )


def local_processes(launcher: str) -> int:
    """Return the processes of this run on this machine.

    Slurm gives each its own cores and memory.
    """
    names = ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE')
    count = next((os.environ[n] for n in names if n in os.environ), 1)
    return 1 if launcher == 'none' else int(count)


def _wrapper(ctx: CheckContext) -> str:
    return bare_name(ctx.cfg.optim_wrapper.get('type', ''))


def _workers(ctx: CheckContext) -> Iterator[Finding]:
    workers = ctx.cfg.train_dataloader.get('num_workers', 0)
    place = 'train_dataloader.num_workers'
    processes, available = local_processes(ctx.cfg.launcher), cores()
    each = max(1, available // processes)
    if workers * processes > 2 * available:
        message = (
            f'{workers} workers in each of {processes} process(es) share '
            f'{available} cores'
        )
        yield Finding('HW001', place, message, set_options({place: each}))
    elif not workers and ctx.device == 'cuda':
        message = 'one process loads the photos, and the GPU waits for it'
        fix = set_options({place: min(8, each)})
        yield Finding('HW002', place, message, fix)


def _batch_memory(ctx: CheckContext) -> Iterator[Finding]:
    """Compare a training step with the memory; the rehearsal measured it."""
    if not ctx.activations:
        return
    kept = ctx.activations
    if _wrapper(ctx) in ('Bf16OptimWrapper', 'AmpOptimWrapper'):
        kept /= 2
    batch = ctx.cfg.train_dataloader.get('batch_size', 1)
    weights = sum(w.numel() * 4 for w in ctx.model.parameters())
    processes = local_processes(ctx.cfg.launcher)
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
        used: Sequence[int] = [torch.cuda.current_device()]
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
    with suppress(AttributeError, ValueError, OSError):  # on Windows
        limits.append(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))
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
    need *= local_processes(ctx.cfg.launcher)
    free = shutil.disk_usage(SHARED_MEMORY).free
    if need > free:
        yield Finding(
            'MEM002',
            'train_dataloader.num_workers',
            f'the workers hold up to {need / 1e6:.0f} MB of photos, and '
            f'{SHARED_MEMORY} has {free / 1e6:.0f} MB free',
            '--workers 0; in a container: docker run --shm-size=2g',
        )


def _precision(ctx: CheckContext) -> Iterator[Finding]:
    kind, place = _wrapper(ctx), 'optim_wrapper.type'
    if kind == 'AmpOptimWrapper' and ctx.device != 'cuda':
        message = f'AmpOptimWrapper requires a GPU, and this is {ctx.device}'
        fix = set_options({place: 'flower_mm.Bf16OptimWrapper'})
        yield Finding('HW003', place, message, f'--amp; or {fix}')
    elif ctx.device == 'cpu':
        has = _computes_bf16()
        if kind == 'Bf16OptimWrapper' and has is False:
            message = 'this processor has no bfloat16, so --amp is slower'
            fix = f'without --amp; or {set_options({place: "OptimWrapper"})}'
            severity = Severity.WARNING
            yield Finding('HW003', place, message, fix, severity)
        elif kind == 'OptimWrapper' and has:
            message = 'this processor has bfloat16, and the run uses float32'
            fix = '--amp; the check with --time measures the difference'
            yield Finding('HW004', place, message, fix)


def _computes_bf16() -> bool | None:
    """Whether the processor has bfloat16; None where that is unknown."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return None
    flags = {
        flag
        for line in text.splitlines()
        if line.startswith(('flags', 'Features'))
        for flag in line.partition(':')[2].split()
    }
    return bool(flags & BF16) if flags else None


def _devices(ctx: CheckContext) -> Iterator[Finding]:
    launcher = ctx.cfg.launcher
    count = torch.cuda.device_count() if ctx.device == 'cuda' else 0
    if launcher == 'none' and count > 1:
        fix = f'tools/dist_train.sh {ctx.args.config} {count}'
        message = f'the run uses one of {count} GPUs'
        yield Finding('HW005', '--launcher', message, fix)
