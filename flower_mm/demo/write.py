"""Write drawings into class folders, the usual layout of a user's photos."""

import io
import multiprocessing
import os
import shutil
import signal
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from flower_mm.console import track
from flower_mm.demo.kinds import KINDS
from flower_mm.demo.scene import photo
from flower_mm.errors import UserError
from flower_mm.files import make_public, temporary_folder
from flower_mm.lock import LOCK, only_run_in

NAMES = tuple(KINDS)
PER_CLASS = 160
QUALITY = 88
Job = tuple[str, int, int]  # the arguments of draw()


def draw(kind: str, index: int, seed: int = 0) -> Image.Image:
    """Drawing number `index` of a kind; independent of all other drawings."""
    if kind not in KINDS:
        raise UserError(
            f'unknown kind {kind!r}: expected one of {", ".join(KINDS)}'
        )
    # The name counts, not its place in a list, so that kinds can be added.
    key = [seed, zlib.crc32(kind.encode()), index]
    rng = np.random.Generator(np.random.PCG64(key))
    return photo(KINDS[kind], rng)


def jpeg(kind: str, index: int, seed: int = 0) -> bytes:
    file = io.BytesIO()
    draw(kind, index, seed).save(file, 'JPEG', quality=QUALITY)
    return file.getvalue()


def write_demo(
    out: Path,
    per_class: int = PER_CLASS,
    seed: int = 0,
    kinds: Sequence[str] = NAMES,
) -> int:
    """Write `out`/<kind>/<kind>_0001.jpg and so on; return their number.

    Returns 0 when the drawings exist already. A temporary folder is renamed
    to `out` after the last picture, so `out` is always complete.
    """
    out = Path(out)
    jobs = [
        (kind, index, seed)
        for kind in kinds
        for index in range(1, per_class + 1)
    ]
    with suppress(OSError):
        out.rmdir()  # an empty folder does not count as drawings
    if out.exists():
        _check_same(out, jobs)
        return 0
    part = temporary_folder(out)
    try:
        with only_run_in(part):  # other processes then leave it alone
            _write_all(part, jobs)
        (part / LOCK).unlink()
        make_public(part, 0o777)
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return len(jobs)


def _name(kind: str, index: int) -> Path:
    return Path(kind, f'{kind}_{index:04d}.jpg')


def _check_same(out: Path, jobs: list[Job]) -> None:
    """Raise UserError unless `out` holds these drawings.

    File names and the bytes of the first drawing are compared.
    """
    expected = {_name(kind, index) for kind, index, _ in jobs}
    existing = {path.relative_to(out) for path in out.glob('*/*')}
    first = jobs[0]
    if expected == existing and (
        (out / _name(*first[:2])).read_bytes() == jpeg(*first)
    ):
        return
    raise UserError(
        f'{out} exists and differs from these {len(jobs)} drawings (another '
        'number, seed or version, or your own photos).\n'
        'Delete that folder, or choose another one with --out FOLDER.'
    )


def _write_all(folder: Path, jobs: list[Job]) -> None:
    for kind in {kind for kind, _, _ in jobs}:
        (folder / kind).mkdir()
    # Spawned, because a fork of a process with threads can hang.
    pool = ProcessPoolExecutor(
        os.cpu_count(),
        mp_context=multiprocessing.get_context('spawn'),
        initializer=_follow_parent,
    )
    try:
        done = pool.map(
            _write_one, [(folder, job) for job in jobs], chunksize=4
        )
        for _ in track(done, len(jobs), 'drawing'):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _write_one(folder_and_job: tuple[Path, Job]) -> None:
    folder, job = folder_and_job
    (folder / _name(*job[:2])).write_bytes(jpeg(*job))


def _follow_parent() -> None:
    """Ignore Ctrl-C in a worker process, and exit when the parent exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
