"""Photos to try on, and the tool as people call it."""

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
    """So many photos per class; `start` numbers them, so none is twice."""
    number = start
    for name, count in classes.items():
        for _ in range(count):
            save(folder / name / f'{number:04}.jpg', number)
            number += 1
    return folder


def run(*args: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, TOOL, *map(str, args)],
        capture_output=True,
        encoding='utf-8',
        env=ENV,
        timeout=60,
        **options,
    )


def everything(folder: Path) -> dict[str, bytes | None]:
    """Contents of all files and the names of all folders."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        if p.is_file()
        else None
        for p in folder.rglob('*')
    }


def sides(out: Path) -> dict[str, str]:
    """Side of each photo, read as a training would."""
    found = {}
    for side in ('train', 'val', 'test'):
        if (out / f'{side}.txt').exists():
            text = (out / f'{side}.txt').read_text(encoding='utf-8')
            for line in text.splitlines():
                found[line.rsplit(' ', 1)[0]] = side
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / 'photos', {'daisy': 10, 'rose': 12})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / 'data' / 'dataset'


@pytest.fixture
def prepared(photos: Path, out: Path) -> Path:
    done = run(photos, '--out', out)
    assert done.returncode == 0, done.stderr
    return out
