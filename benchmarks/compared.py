"""What benchmarks share that let tools/compare.py do their work."""

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from flower_mm.engine.hooks.pretrained import find_weights
from flower_mm.errors import UserError
from flower_mm.weights.file_hash import sha256_of

ROOT = Path(__file__).parent.parent


def compare(
    configs: Iterable[Path], out: Path, *flags: str | Path
) -> tuple[list[dict], int]:
    """The rows of the runs that came to their end, and the exit code."""
    begun = time.time()
    # Not by subprocess.run, which kills it on Ctrl-C before it has stopped
    # its trainings.
    process = subprocess.Popen(
        [
            *(sys.executable, ROOT / 'tools' / 'compare.py', *configs),
            *('--out', out, *flags),
        ]
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()
    path = out / 'compare.csv'
    if not path.is_file() or path.stat().st_mtime < begun:
        return [], code
    with path.open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in rows if row['status'] == 'finished']
    return rows, code


def require_weights(parser: argparse.ArgumentParser, weights: str) -> str:
    """The digest of what --weights names."""
    try:
        return sha256_of(find_weights(weights))
    except (OSError, UserError) as error:
        parser.error(f'--weights: {error}')


def by_config(rows: list[dict]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(row['config'], []).append(row)
    return found


def command(benchmark: str, args: argparse.Namespace, name: str) -> str:
    """What was typed, but for where things lie on this machine."""
    length = f'--epochs {args.epochs}' if args.epochs else '--full-length'
    return (
        f'python -m benchmarks.{benchmark} --weights {Path(args.weights).name}'
        f' {length} --seeds {" ".join(args.seeds)} --jobs {args.jobs}'
        f' --only {name}'
    )


def summary(runs: list[dict]) -> dict:
    """One row of several seeds."""
    row = {
        'epochs': runs[0]['epochs'],
        'seeds': ' '.join(run['seed'] for run in runs),
        'train': runs[0]['train'],
        'val': runs[0]['val'],
    }
    for name, key in (('top1', 'best_top1'), ('last_top1', 'last_top1')):
        values = [float(run[key]) for run in runs]
        row |= {
            f'{name}_mean': f'{mean(values):.2f}',
            f'{name}_min': f'{min(values):.2f}',
            f'{name}_max': f'{max(values):.2f}',
        }
    seconds = mean(float(run['seconds']) for run in runs)
    return row | {
        'seconds': f'{seconds:.0f}',
        'at_once': max(int(run['at_once']) for run in runs),
        'optim_wrapper': runs[0]['optim_wrapper'],
    }
