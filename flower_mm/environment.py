"""Devices, versions of packages, and the commit of the code."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from mmengine.device import get_device

from flower_mm.errors import UserError

PACKAGES = (
    *('flower_mm', 'mmpretrain', 'mmengine', 'mmcv-lite', 'torchvision'),
    # The fork of OpenMMLab's packages, with the same import names.
    *('onedl-mmpretrain', 'onedl-mmengine', 'onedl-mmcv'),
)


def versions() -> dict[str, str]:
    numbers = {
        'python': platform.python_version(),
        'torch': str(torch.__version__),
    }
    for package in PACKAGES:
        try:
            numbers[package] = version(package)
        except PackageNotFoundError:
            continue
    return numbers


def kind_of_device(wanted: str) -> str:
    """Check a `--device` and return its kind: cpu, cuda or mps.

    `auto` is MMEngine's choice.
    """
    kind, _, number = wanted.partition(':')
    if number and not number.isdecimal():
        raise UserError(
            f'invalid --device: expected a number after the colon, got '
            f'{wanted}'
        )
    if kind == 'auto':
        return get_device()
    if not _is_available(kind, int(number or 0)):
        raise UserError(
            f'this machine has no device {wanted}.\n'
            'Omit --device, or use --device cpu'
        )
    return kind


def _is_available(kind: str, number: int) -> bool:
    if kind == 'cuda':
        return number < torch.cuda.device_count()
    return kind == 'cpu' or (
        kind == 'mps' and torch.backends.mps.is_available()
    )


def device_name(device: str) -> str:
    """Return the name of the GPU, or of the processor."""
    if device.startswith('cuda'):
        return torch.cuda.get_device_name(torch.device(device))
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                name = line.partition(':')[2].strip()
                count = torch.get_num_threads()
                return f'{name}, {count} thread{"s" * (count > 1)}'
    return f'{platform.processor() or platform.machine()} CPU'


def git_commit() -> str | None:
    """Return the commit of the checkout, None for an installed copy."""
    root = Path(__file__).parents[1]
    if not (root / '.git').exists():
        return None
    try:
        return subprocess.run(
            ['git', '-C', str(root), 'describe', '--always', '--dirty'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
