"""Train the best backbones of `pick`, one after the other."""

import subprocess
import sys
from pathlib import Path

from flower_mm.commands import command
from flower_mm.layout import RunDir
from flower_mm.packaged_configs import config_path
from flower_mm.pick.results import Result


def finetune(results: list[Result], out: Path) -> int | None:
    """Train in folders below `out`; return the exit code of a failed one.

    A training that was stopped is resumed.
    """
    folders = []
    for result in results:
        folder = out / result.name.replace('/', '_')
        print(f'\ntraining {result.name} in {folder}', flush=True)
        if code := _train(result, folder):
            return code
        folders.append(folder)
    if len(folders) > 1:
        print(f'\ncompare them: {command("report", *folders)}')
    return None


def _train(result: Result, folder: Path) -> int:
    config, *options = result.words
    words = [config_path(config), *options, '--work-dir', str(folder)]
    if (folder / RunDir.RECORD).is_file():
        words.append('--resume')
    process = subprocess.Popen(
        # -P: no module in the current folder hides another.
        [sys.executable, '-P', '-m', 'flower_mm', 'train', *words]
    )
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # it saves a checkpoint
        process.wait()
        raise
