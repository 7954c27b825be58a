"""What this machine offers: cores, devices, precision, packages."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import bare_name, set_options, value_at
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding
from flower_mm.commands import python
from flower_mm.cores import cores

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


def check(ctx: CheckContext) -> Iterator[Finding]:
    yield from _workers(ctx)
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


def neighbours(launcher: str) -> int:
    """Return the processes of this run on this machine.

    Slurm gives each its own cores and memory.
    """
    names = ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE')
    count = next((os.environ[n] for n in names if n in os.environ), 1)
    return 1 if launcher == 'none' else int(count)


def fewer_workers(ctx: CheckContext, workers: int) -> str:
    """Return the options for so many workers at most."""
    loaders = ('train_dataloader', 'val_dataloader')
    return set_options(
        {
            f'{name}.num_workers': workers
            for name in loaders
            if (ctx.cfg.get(name) or {}).get('num_workers', 0) > workers
        }
    )


def _workers(ctx: CheckContext) -> Iterator[Finding]:
    workers = ctx.cfg.train_dataloader.get('num_workers', 0)
    place = 'train_dataloader.num_workers'
    processes, available = neighbours(ctx.cfg.launcher), cores()
    each = max(1, available // processes)
    if workers * processes > 2 * available:
        message = (
            f'{workers} workers in each of {processes} process(es) share '
            f'{available} cores'
        )
        yield Finding('HW001', place, message, fewer_workers(ctx, each))
    elif not workers and ctx.device == 'cuda':
        message = 'one process loads the photos, and the GPU waits for it'
        fix = set_options({place: min(8, each)})
        yield Finding('HW002', place, message, fix)


def _precision(ctx: CheckContext) -> Iterator[Finding]:
    kind = bare_name(ctx.cfg.optim_wrapper.get('type', ''))
    place = 'optim_wrapper.type'
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
