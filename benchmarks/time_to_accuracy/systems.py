"""The systems that are compared, and the commands that start them."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Task:
    """What one run is given."""

    python: Path
    data: Path
    weights: Path
    epochs: int
    seed: int
    folder: Path


@dataclass(frozen=True)
class System:
    title: str
    epochs: int
    command: Callable[[Task], list[str]]
    speaks: bool = False  # tells its accuracies on stdout
    peer: bool = False  # by the Python of the peers' environment


def _stock(config: str) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        package = Path(find_spec('mmpretrain').origin).parent
        return [
            str(task.python),
            str(package / '.mim' / 'tools' / 'train.py'),
            f'benchmarks/rivals/{config}.py',
            f'--work-dir={task.folder}',
            '--cfg-options',
            f'train_cfg.max_epochs={task.epochs}',
            f'randomness.seed={task.seed}',
            f'load_from={task.weights}',
            f'train_dataloader.dataset.data_root={task.data}',
            f'val_dataloader.dataset.data_root={task.data}',
        ]

    return command


def _ours(config: str, *flags: str) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        return [
            str(task.python),
            'tools/train.py',
            f'configs/flower/{config}.py',
            *flags,
            f'--data-root={task.data}',
            f'--work-dir={task.folder}',
            f'--seed={task.seed}',
            f'--weights={task.weights}',
            # Of none, --head-only is to say.
            *(
                ['--cfg-options', f'train_cfg.max_epochs={task.epochs}']
                if task.epochs
                else []
            ),
        ]

    return command


def _loop(script: str, *flags: str) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        return [
            str(task.python),
            f'benchmarks/rivals/{script}.py',
            *flags,
            f'--data-root={task.data}',
            f'--weights={task.weights}',
            f'--epochs={task.epochs}',
            f'--seed={task.seed}',
        ]

    return command


SYSTEMS = {
    'head_only': System(
        'ours, --head-only',
        0,
        _ours('mobilenet_v2_flower', '--head-only'),
    ),
    'fast': System('ours, fast', 4, _ours('mobilenet_v2_flower_fast')),
    'ours': System('ours', 5, _ours('mobilenet_v2_flower')),
    'fastai': System(
        'fastai, fine_tune', 5, _loop('fastai_loop'), speaks=True, peer=True
    ),
    'timm': System(
        'timm, AdamW 3e-4', 5, _loop('timm_loop'), speaks=True, peer=True
    ),
    'timm_amp': System(
        'timm, AdamW 3e-4, bfloat16',
        5,
        _loop('timm_loop', '--amp'),
        speaks=True,
        peer=True,
    ),
    'plain_adam': System(
        'plain PyTorch, Adam 1e-3',
        5,
        _loop('plain', '--recipe=adam'),
        speaks=True,
    ),
    'plain_adamw': System(
        'plain PyTorch, AdamW 3e-4',
        5,
        _loop('plain', '--recipe=adamw'),
        speaks=True,
    ),
    'stock_adamw': System(
        'stock MMPretrain, AdamW 3e-4', 10, _stock('stock_adamw')
    ),
    'stock_sgd': System('stock MMPretrain, SGD 1e-3', 10, _stock('stock_sgd')),
    'stock_d1': System(
        "stock MMPretrain, report D1's SGD 5e-3", 10, _stock('stock_d1')
    ),
}
