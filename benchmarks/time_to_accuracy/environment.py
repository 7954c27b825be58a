"""The peers' Python environment, made when one of them is first asked for."""

import re
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.time_to_accuracy.watch import RivalError
from flower_mm.files import replacing

REQUIREMENTS = Path(__file__).parents[1] / 'rivals' / 'requirements.txt'
HERE = Path(sys.executable)
NAMED = ('torch', 'torchvision', 'fastai', 'timm')


def python_of(folder: Path, log: Path) -> Path:
    """The Python of the environment in `folder`, which is made if need be."""
    python = folder / 'bin' / 'python'
    made_of = folder / REQUIREMENTS.name
    wanted = REQUIREMENTS.read_text()
    if made_of.exists() and made_of.read_text() == wanted:
        return python
    print(f'installing the peers into {folder}: minutes, and 6 GB', flush=True)
    venv.create(folder, with_pip=True)
    with log.open('w') as file:
        done = subprocess.run(
            [python, '-m', 'pip', 'install', '-r', REQUIREMENTS],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise RivalError(f'the peers could not be installed: {log}')
    with replacing(made_of, 'w') as file:
        file.write(wanted)
    return python


def warm(python: Path) -> None:
    """Bring what an environment imports into memory, whoever comes first."""
    peers = 'fastai.vision.all, timm'
    stock = 'mmpretrain.apis, torch.utils.tensorboard'
    subprocess.run(
        [python, '-c', f'import {stock if python == HERE else peers}'],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def peer_versions() -> str:
    """As in the rows of the others, of what the peers' environment has."""
    pins = dict(
        re.findall(r'^([\w-]+)==(\S+)', REQUIREMENTS.read_text(), re.M)
    )
    python = '.'.join(map(str, sys.version_info[:3]))
    return ' '.join(
        [f'python {python}', *(f'{name} {pins[name]}' for name in NAMED)]
    )
