"""A folder of class folders with drawings, as somebody's photos would lie."""

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
from flower_mm.demo.others import OTHERS
from flower_mm.demo.scene import photo, study
from flower_mm.errors import UserError
from flower_mm.files import make_public, temporary_folder
from flower_mm.lock import LOCK, only_run_in

NAMES = tuple(KINDS)
PER_CLASS = 160
QUALITY = 88
Job = tuple[str, int, int, bool]  # the arguments of draw()


def draw(
    kind: str, index: int, seed: int = 0, close: bool = False
) -> Image.Image:
    """Drawing number `index` of a kind, whichever else are drawn.

    A `close` one shows nothing but the flower, large.
    """
    known = KINDS | OTHERS
    if kind not in known:
        raise UserError(
            f'no drawings of {kind!r}; the kinds are {", ".join(known)}'
        )
    # The name counts, not its place in a list, so that kinds can be added.
    key = [seed, zlib.crc32(kind.encode()), index]
    rng = np.random.Generator(np.random.PCG64(key))
    return study(known[kind], rng) if close else photo(known[kind], rng)


def jpeg(kind: str, index: int, seed: int = 0, close: bool = False) -> bytes:
    file = io.BytesIO()
    draw(kind, index, seed, close).save(file, 'JPEG', quality=QUALITY)
    return file.getvalue()


def write_demo(
    out: Path,
    per_class: int = PER_CLASS,
    seed: int = 0,
    kinds: Sequence[str] = NAMES,
    close: bool = False,
) -> int:
    """Write `out`/<kind>/<kind>_0001.jpg and so on; return how many.

    0 when they are all there already. The folder gets its name when its last
    picture is in it.
    """
    out = Path(out)
    jobs = [
        (kind, index, seed, close)
        for kind in kinds
        for index in range(1, per_class + 1)
    ]
    with suppress(OSError):
        out.rmdir()  # an empty folder is as good as none
    if out.exists():
        _check_same(out, jobs)
        return 0
    part = temporary_folder(out)
    try:
        with only_run_in(part):  # tells other processes that it is in use
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
    """Complain unless `out` holds these drawings; the first stands for all."""
    wanted = {_name(kind, index) for kind, index, *_ in jobs}
    found = {path.relative_to(out) for path in out.glob('*/*')}
    same = wanted == found and (
        (out / _name(*jobs[0][:2])).read_bytes() == jpeg(*jobs[0])
    )
    if not same:
        raise UserError(
            f'{out} holds something else than these {len(jobs)} drawings '
            '(another number, another seed, another version, or your own '
            'photos).\nRemove that folder to draw anew, or draw into another.'
        )


def _write_all(folder: Path, jobs: list[Job]) -> None:
    for kind in {kind for kind, *_ in jobs}:
        (folder / kind).mkdir()
    # Spawned, because a fork of a process with threads can hang.
    pool = ProcessPoolExecutor(
        os.cpu_count(),
        mp_context=multiprocessing.get_context('spawn'),
        initializer=_settle,
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


def _settle() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
