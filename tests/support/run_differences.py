"""Are two runs the same, bit for bit, in all but what measures time?"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from flower_mm.report.learning_curves import read_scalars
from flower_mm.weights.read_checkpoint import read_checkpoint

# What may differ, and why. Everything else that a run leaves may not.
MAY_DIFFER = re.compile(
    '|'.join(
        [
            # seconds of an iteration, moment of saving
            r'scalars\.json\.\w+ \d+\.(data_)?time',
            r'\w+\.pth\.message_hub\.log_scalars\.\w+/(data_)?time\..*',
            r'\w+\.pth\.meta\.time',
            # named after the moment of its start
            r'\w+\.pth\.(meta|message_hub\.runtime_info)\.experiment_name',
            # when it ran and how long
            r'run\.json\.(started|seconds|validations)(\..*)?',
            r'(run\.json|\w+\.pth\.message_hub\.runtime_info)'
            r'\.head_first\.seconds',
            # with --resume, where it was killed before the first run.json
            r'run\.json\.command',
            # the commit of the checkout, where one is made meanwhile;
            # MMEngine writes it behind its own version
            r'run\.json\.git_commit',
            r'\w+\.pth\.(meta|message_hub\.runtime_info)\.mmengine_version',
            # whether it was resumed, and from what
            r'run\.json\.resumed_at_epoch',
            r'\w+\.pth\.meta\.cfg\.(resume|load_from)',
        ]
    )
)


def differences(one: Path, two: Path) -> list[str]:
    """Tell where the results of the runs in two folders differ."""
    return [
        where
        for where in _differ(
            *(_nameless(_results(run), (one, two)) for run in (one, two)), ''
        )
        if not MAY_DIFFER.fullmatch(where)
    ]


def _results(run: Path) -> dict:
    """What a run leaves, as values that can be compared."""
    last = max(
        run.glob('epoch_*.pth'),
        key=lambda path: int(path.stem.removeprefix('epoch_')),
        default=None,
    )
    found = {'files': _files(run)}
    for path in (run / 'best.pth', last):
        if path and path.is_file():
            found[path.name] = read_checkpoint(path)
    if (run / 'run.json').is_file():
        found['run.json'] = json.loads((run / 'run.json').read_text('utf-8'))
    if (run / 'scalars.json').is_file():
        found['scalars.json'] = {
            f'{"train" if "loss" in line else "val"} {line["step"]}': line
            for line in read_scalars(run / 'scalars.json')
        }
    return found


def _files(run: Path) -> dict[str, bool]:
    """Names in the folder, without those that are new with each start.

    What a run left that died before its first checkpoint is in earlier/.
    """
    return {
        path.name: path.is_file()
        for path in run.iterdir()
        if not re.match(r'\d{8}_\d{6}', path.name)
        and path.name != 'earlier'
        and path.suffix != '.part'
    }


def _nameless(value: Any, runs: tuple[Path, ...]) -> Any:
    """Put RUN where the folder of a run is named."""
    if isinstance(value, dict):
        return {key: _nameless(item, runs) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_nameless(item, runs) for item in value)
    if isinstance(value, str):
        for run in runs:
            # TensorBoard's folder ends in the name of the run.
            value = value.replace(str(run), 'RUN')
            value = value.removesuffix(f'/{run.name}')
    return value


def _differ(one: Any, two: Any, where: str) -> Iterator[str]:
    if type(one) is not type(two):
        yield where
    elif isinstance(one, dict):
        for key in dict.fromkeys([*one, *two]):
            inner = f'{where}.{key}' if where else str(key)
            if key in one and key in two:
                yield from _differ(one[key], two[key], inner)
            else:
                yield inner
    elif isinstance(one, (list, tuple)):
        if len(one) != len(two):
            yield where
        for number, pair in enumerate(zip(one, two, strict=False)):
            yield from _differ(*pair, f'{where}.{number}')
    elif isinstance(one, torch.Tensor):
        if one.dtype != two.dtype or not torch.equal(one, two):
            yield where
    elif one != two:
        yield where
