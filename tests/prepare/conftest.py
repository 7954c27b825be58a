"""Photos to prepare, and the tool as users call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'prepare_dataset.py'
ENV = os.environ | {'PYTHONPATH': str(ROOT), 'PYTHONIOENCODING': 'utf-8'}


def picture(number: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Smooth colours, different for each number."""
    rng = np.random.default_rng(number)
    colours = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size)


def save(path: Path, number: int, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number).save(path, **options)
    return path


def make_photos(folder: Path, classes: dict[str, int], start: int = 0) -> Path:
    """Make different photos, numbered from `start`."""
    number = start
    for name, count in classes.items():
        for _ in range(count):
            save(folder / name / f'{number:04}.jpg', number)
            number += 1
    return folder


def run(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, TOOL, *map(str, args)],
        capture_output=True,
        encoding='utf-8',
        env=ENV,
        timeout=60,
    )


def ok(*args: object) -> str:
    """Return the output of a successful run."""
    done = run(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*args: object) -> str:
    """Return the output of a run with an error of at most three lines."""
    done = run(*args)
    assert done.returncode == 2, done.stdout + done.stderr
    error = done.stderr[done.stderr.index('error: ') :].strip()
    assert len(error.splitlines()) <= 3
    return done.stdout + error


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return the contents of all files and the names of all folders."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        if p.is_file()
        else None
        for p in folder.rglob('*')
    }


def read_record(out: Path) -> dict:
    return json.loads((out / 'dataset.json').read_text(encoding='utf-8'))


def read_splits(out: Path) -> dict[str, str]:
    """Return the split of each photo according to the lists."""
    return {
        line.rsplit(' ', 1)[0]: split
        for split in ('train', 'val', 'test')
        if (out / f'{split}.txt').exists()
        for line in (out / f'{split}.txt').read_text('utf-8').splitlines()
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / 'photos', {'daisy': 10, 'rose': 12})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / 'data' / 'dataset'


@pytest.fixture
def prepared(photos: Path, out: Path) -> Path:
    ok(photos, '--out', out)
    return out
