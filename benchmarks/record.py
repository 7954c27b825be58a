"""Committed results: CSV rows that carry the machine they were measured on."""

import csv
import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean

import torch

from flower_mm.files import replacing

RESULTS = Path(__file__).parent / 'results'
PACKAGES = ('torch', 'torchvision', 'mmpretrain', 'mmengine', 'mmcv-lite')


def machine() -> str:
    """Processor, cores and GPU, as short as tells two machines apart."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                name = line.split(':', 1)[1].strip()
                break
    found = f'{name}, {os.cpu_count()} cores'
    if torch.cuda.is_available():
        found += f', {torch.cuda.get_device_name()}'
    return found


def versions() -> str:
    found = [f'python {platform.python_version()}']
    for package in PACKAGES:
        try:
            found.append(f'{package} {version(package)}')
        except PackageNotFoundError:
            continue
    return ' '.join(found)


def recorded(table: str) -> list[dict]:
    """The rows of results/`table`.csv; none where it was not measured."""
    path = RESULTS / f'{table}.csv'
    if not path.exists():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def record(table: str, rows: list[dict], key: tuple[str, ...]) -> Path:
    """Put rows into results/`table`.csv; rows of the same `key` are replaced.

    The machine, the versions and the day are added to each row; one that was
    measured in another environment brings its own versions.
    """
    path = RESULTS / f'{table}.csv'
    env = {
        'machine': machine(),
        'versions': versions(),
        'date': datetime.date.today().isoformat(),
    }
    new = [{k: str(v) for k, v in (row | (env | row)).items()} for row in rows]
    fresh = {tuple(row[k] for k in key) for row in new}
    old = [
        row
        for row in recorded(table)
        if tuple(row.get(k, '') for k in key) not in fresh
    ]
    columns = list(dict.fromkeys(c for row in new + old for c in row))
    with replacing(path, 'w') as file:
        writer = csv.DictWriter(file, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(old + new)
    return path


def ends(best: list[float]) -> dict[str, str]:
    """The columns of several runs' top-1."""
    of = {'mean': mean, 'min': min, 'max': max}
    return {f'top1_{end}': f'{of[end](best):.2f}' for end in of}


def spread(row: dict) -> str:
    middle, low, high = (row[f'top1_{end}'] for end in ('mean', 'min', 'max'))
    return middle if low == high else f'{middle} ({low} to {high})'


def seeds(number: int) -> str:
    return f', {number} seeds' if number > 1 else ', 1 seed'
