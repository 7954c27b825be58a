"""What this machine can carry: cores, shared memory, devices, precision."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from flower_mm.checks.config_values import value_at
from flower_mm.checks.finding import Finding
from flower_mm.commands import command, python
from flower_mm.config import walk
from flower_mm.cores import cores
from flower_mm.machine_failures import SHARED_MEMORY
from flower_mm.packaged_configs import typed_config

# What writes a log elsewhere, and any one package that does it.
BACKENDS = {
    'TensorboardVisBackend': ('tensorboard', 'tensorboardX'),
    'WandbVisBackend': ('wandb',),
    'MLflowVisBackend': ('mlflow',),
    'ClearMLVisBackend': ('clearml',),
    'NeptuneVisBackend': ('neptune',),
    'DVCLiveVisBackend': ('dvclive',),
    'AimVisBackend': ('aim',),
}
BF16 = frozenset(('avx512_bf16', 'amx_bf16', 'bf16'))  # x86 twice, ARM


def check(case: Case) -> Iterator[Finding]:
    yield from _workers(case)
    yield from _shared_memory(case)
    yield from _precision(case)
    yield from _devices(case)
    yield from _backends(case)


def neighbours(launcher: str) -> int:
    """Processes of this run that share these cores and this memory.

    Slurm gives each its own.
    """
    names = ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE')
    told = next((os.environ[n] for n in names if n in os.environ), 1)
    return 1 if launcher == 'none' else int(told)


def _workers(case: Case) -> Iterator[Finding]:
    loader = case.cfg.train_dataloader
    workers = loader.get('num_workers', 0)
    place = 'train_dataloader.num_workers'
    processes = neighbours(case.cfg.launcher)
    there = cores()
    each = max(1, there // processes)
    if workers * processes > 2 * there:
        times = f' in each of {processes} processes' if processes > 1 else ''
        yield warn(
            f'{workers} workers{times} load photos on {there} cores: they '
            "stand in each other's way.",
            place,
            f'--cfg-options {_fewer(case, each)}',
        )
    elif not workers and case.device == 'cuda':
        yield warn(
            'The GPU waits while the one process reads each photo.',
            place,
            f'--cfg-options {place}={min(8, each)}',
        )


def _shared_memory(case: Case) -> Iterator[Finding]:
    """Workers hand batches over in /dev/shm, some ahead."""
    if not SHARED_MEMORY.is_dir():
        return
    height, width = case.size
    need = 0
    for name in ('train_dataloader', 'val_dataloader'):
        loader = case.cfg.get(name)
        if loader and loader.get('num_workers'):
            need += (
                loader.num_workers
                * (loader.get('prefetch_factor') or 2)
                * loader.get('batch_size', 1)
                * 3  # colours, a byte each
                * height
                * width
            )
    need *= neighbours(case.cfg.launcher)
    free = shutil.disk_usage(SHARED_MEMORY).free
    if need > free:
        fewer = _fewer(case, 1) or _fewer(case, 0)
        yield warn(
            f'The workers hold up to {need / 1e6:.0f} MB of photos ready, and '
            f'{SHARED_MEMORY} has {free / 1e6:.0f} MB free.',
            'train_dataloader.num_workers',
            f'--cfg-options {fewer}; in a container: docker run --shm-size=2g',
        )


def _fewer(case: Case, workers: int) -> str:
    """So many at the most in each loader of the training."""
    loaders = {
        name: case.cfg.get(name)
        for name in ('train_dataloader', 'val_dataloader')
    }
    return ' '.join(
        f'{name}.num_workers={workers}'
        for name, loader in loaders.items()
        if loader and loader.get('num_workers', 0) > workers
    )


def _backends(case: Case) -> Iterator[Finding]:
    """What MMEngine has to import for what the visualizer names."""
    backends = value_at(case.cfg, 'visualizer.vis_backends') or []
    for number, backend in enumerate(backends):
        kind = str(backend.get('type')).rpartition('.')[2]
        needed = BACKENDS.get(kind)
        if needed and not any(find_spec(package) for package in needed):
            yield stop(
                f'{kind} needs the package {needed[0]}, which is not '
                'installed.',
                f'visualizer.vis_backends.{number}',
                f'{python()} -m pip install {needed[0]}, or take it out',
            )


def _precision(case: Case) -> Iterator[Finding]:
    kind = str(case.cfg.optim_wrapper.get('type', '')).rpartition('.')[2]
    place = 'optim_wrapper.type'
    if kind == 'AmpOptimWrapper' and case.device != 'cuda':
        yield stop(
            "MMEngine's AmpOptimWrapper needs a GPU, and this runs on "
            f'{case.device}.',
            place,
            f'--amp, or --cfg-options {place}=flower_mm.Bf16OptimWrapper',
        )
    elif case.device == 'cpu':
        has = _computes_bf16()
        if kind == 'Bf16OptimWrapper' and has is False:
            yield warn(
                'This processor has no bfloat16 arithmetic: --amp makes it '
                'slower, not faster.',
                place,
                f'leave --amp out, or --cfg-options {place}=OptimWrapper',
            )
        elif kind == 'OptimWrapper' and has:
            config = typed_config(case.args.config)
            yield note(
                'This processor has bfloat16 arithmetic, and the run does '
                'without.',
                place,
                f'--amp; {command("check", config, "--time")} '
                'measures how much faster it is',
            )


def _computes_bf16() -> bool | None:
    """Whether the processor has it; None where nothing tells."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return None
    lines = [line.partition(':') for line in text.splitlines()]
    flags = {
        flag
        for key, _, value in lines
        if key.strip() in ('flags', 'Features')
        for flag in value.split()
    }
    return bool(flags & BF16) if flags else None


def _devices(case: Case) -> Iterator[Finding]:
    launcher = case.cfg.launcher
    count = torch.cuda.device_count() if case.device == 'cuda' else 0
    if launcher == 'none' and count > 1:
        yield note(
            f'This machine has {count} GPUs, and the run uses one.',
            '--launcher',
            f'tools/dist_train.sh {case.args.config} {count}',
        )
    norms = [
        part for part in walk(case.cfg.model) if part.get('type') == 'SyncBN'
    ]
    if norms and launcher != 'none' and case.device == 'cpu':
        yield stop(
            'SyncBN exchanges its statistics between GPUs, and this runs on '
            'CPUs.',
            'model.backbone.norm_cfg.type',
            '--cfg-options model.backbone.norm_cfg.type=BN',
        )
