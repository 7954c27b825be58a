"""The folder of a run: run.json, scalars.json, folds.json and report.json.

The folder may come from a stranger. All of it is data: values are validated
by type and size, and no code in it is executed.
"""

import functools
import json
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from flower_mm.commands import command
from flower_mm.errors import UserError, printable
from flower_mm.layout import RunDir
from flower_mm.links import refuse_links_out
from flower_mm.report.learning_curves import read_scalars

FORMAT = 2  # of report.json and comparison.json
MAX_DEPTH = 20  # of nested lists; a config has about ten
MAX_NUMBER = 1e15  # sums and products of such numbers are finite
# folds.json names the dataset that was split into folds.
DATASET_KEYS = ('data_root', 'started_in', 'dataset_sha256', 'lists_sha256')
TYPES = {
    'string': (str,),
    'integer': (int,),
    'number': (int, float),
    'boolean': (bool,),
    'array': (list,),
    'object': (dict,),
}


@functools.cache
def report_schema() -> dict:
    """The JSON Schema of report.json, which has run.json under `run`."""
    path = resources.files('flower_mm.report') / 'report.schema.json'
    return json.loads(path.read_text(encoding='utf-8'))


@dataclass(frozen=True)
class Run:
    """A finished or running training, read from its folder."""

    folder: Path
    # All keys of run.json in the schema, None if missing; of a run with folds
    # those of the first fold, with the dataset that was split.
    record: dict
    scalars: list[dict]
    folds: list['Run'] = field(default_factory=list)
    fold_results: list[dict] = field(default_factory=list)  # of folds.json

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def best(self) -> Path:
        return self.folder / RunDir.BEST

    @property
    def data_root(self) -> Path | None:
        """The dataset; a relative path starts where training was started."""
        root = self.record['data_root']
        if not root:
            return None
        path = Path(self.record['started_in'] or '', root)
        try:
            return path if path.is_dir() else Path(root)
        except OSError:  # the name is too long for a file system
            return None

    @property
    def last_checkpoint(self) -> Path | None:
        numbered = [
            (int(path.stem.removeprefix('epoch_')), path)
            for path in self.folder.glob('epoch_*.pth')
            if path.stem.removeprefix('epoch_').isdecimal()
        ]
        return max(numbered)[1] if numbered else None


def read_run(folder: Path) -> Run:
    """Read run.json and scalars.json, or those of each fold."""
    names = (RunDir.RECORD, RunDir.BEST, RunDir.SCALARS, RunDir.FOLDS)
    if not any((folder / name).is_file() for name in names):
        raise UserError(_not_a_run(folder, names))
    # Reports are written into the folder.
    refuse_links_out(folder, flag='')
    definitions = report_schema()['$defs']
    keys = definitions['run']['properties']
    split = _read_record(
        folder / RunDir.FOLDS,
        {key: keys[key] for key in DATASET_KEYS}
        | {'folds': definitions['fold_results']},
    )
    results = [
        row
        for row in split.pop('folds') or []
        # Only a folder inside this one.
        if re.fullmatch(r'fold_\d+', row['run'] or '')
        and row['top1'] is not None
    ]
    if not results:
        return _read_single(folder)
    runs = [_read_single(folder / row['run']) for row in results]
    return Run(folder, runs[0].record | split, [], runs, results)


def _not_a_run(folder: Path, names: tuple[str, ...]) -> str:
    if (folder / 'fold_1').is_dir():
        return (
            f'the folds of {folder} are not finished: folds.json is missing.\n'
            'Finish them: the command of the training with --resume'
        )
    fault = 'is not the folder of a run' if folder.is_dir() else 'is missing'
    return (
        f'{folder} {fault}: expected one of {", ".join(names)}.\n'
        'Name the folder that tools/train.py wrote, such as '
        'work_dirs/resnet50_flower'
    )


def _read_single(folder: Path) -> Run:
    scalars = folder / RunDir.SCALARS
    return Run(
        folder,
        _read_record(
            folder / RunDir.RECORD,
            report_schema()['$defs']['run']['properties'],
        ),
        read_scalars(scalars) if scalars.is_file() else [],
    )


def _read_record(path: Path, keys: dict[str, dict]) -> dict:
    try:
        content = _parse(path) if path.is_file() else {}
        return validated(content, {'type': 'object', 'properties': keys})
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} is damaged: {error}') from None


def read_report(folder: Path) -> dict:
    """The content of report.json; empty if it cannot be read."""
    return read_json(folder / RunDir.REPORT_DATA)


def has_other_format(folder: Path) -> bool:
    """Whether report.json is of another version of flower_mm."""
    report = read_report(folder)
    return bool(report) and report.get('format') != FORMAT


def require_current_format(folder: Path) -> None:
    """Raise UserError with the command that renews an old report.json."""
    if has_other_format(folder):
        raise UserError(
            f'{folder / RunDir.REPORT_DATA} is of another version of '
            f'flower_mm: expected "format": {FORMAT}.\n'
            f'Write it again: {command("report", folder)}'
        )


def read_json(path: Path) -> dict:
    """The object in a JSON file; an empty one if it cannot be read."""
    try:
        content = _parse(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _parse(path: Path) -> object:
    """Numbers that are not finite or beyond MAX_NUMBER become text."""
    return json.loads(
        path.read_text(encoding='utf-8'),
        parse_int=lambda text: _number(text, int),
        parse_float=lambda text: _number(text, float),
        parse_constant=str,
    )


def _number(text: str, kind: type) -> float | str:
    return kind(text) if abs(float(text)) <= MAX_NUMBER else text


def validated(value: Any, schema: dict, where: str = '') -> Any:
    """The part of `value` that a JSON Schema names; ValueError if invalid.

    Every value may be null or missing, which gives None. Of the schema only
    type, properties and items are used.
    """
    if value is None and 'properties' not in schema:
        return None
    names = schema.get('type', [])
    names = names if isinstance(names, list) else [names]
    value = {} if value is None else value
    _require_type(value, [name for name in names if name != 'null'], where)
    if 'properties' in schema:
        prefix = f'{where}.' if where else ''
        return {
            key: validated(value.get(key), part, f'{prefix}{key}')
            for key, part in schema['properties'].items()
        }
    if 'items' in schema:
        return [validated(item, schema['items'], where) for item in value]
    _require_depth(value, where)
    return value


def _require_type(value: object, names: list[str], where: str) -> None:
    kinds = tuple(kind for name in names for kind in TYPES[name])
    # A bool is an int to Python.
    is_bool = isinstance(value, bool) and 'boolean' not in names
    if names and (is_bool or not isinstance(value, kinds)):
        is_nested = isinstance(value, (dict, list))
        shown = type(value).__name__ if is_nested else repr(value)
        raise ValueError(
            f'invalid {where or "content"}: expected {" or ".join(names)}, '
            f'got {printable(shown, 60)}'
        )


def _require_depth(value: object, where: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f'{where} is nested more than {MAX_DEPTH} levels')
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _require_depth(item, where, depth + 1)


def checked(value: Any, name: str) -> Any:
    """The value if it is of this JSON type and finite, else None."""
    try:
        value = validated(value, {'type': name})
    except ValueError:
        return None
    is_number = isinstance(value, (int, float))
    return None if is_number and not abs(value) <= MAX_NUMBER else value
