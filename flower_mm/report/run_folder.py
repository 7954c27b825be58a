"""The folder of a run: run.json, scalars.json and the dataset's findings.

The folder may come from a stranger. All of it is data: values are validated
by type and size, and no code in it is executed.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from flower_mm.errors import UserError, printable
from flower_mm.links import refuse_links_out
from flower_mm.prepare import dataset_json, summary
from flower_mm.report.learning_curves import read_scalars

# Titles in report.txt; the second ones are those of version 1.
CONFLICTS = (summary.CONFLICTS, 'Conflicts: one photo under two classes')
DUPLICATES = (summary.DUPLICATES, 'Equal or nearly equal, on one side')
NUMBER = (int, float)
MAX_DEPTH = 20  # of nested lists; a config has about ten
MAX_NUMBER = 1e15  # sums and products of such numbers are finite
# run.json: the type of each value, any of which may be missing or null.
RUN = {
    'status': str,
    'config': str,
    'changes': {
        'bases': [str],
        'settings': [{'key': str, 'base': object, 'run': object}],
    },
    'command': str,
    'seed': int,
    'result': {
        'best_top1': NUMBER,
        'best_metric': str,
        'best_score': NUMBER,
        'best_epoch': int,
        'epochs': int,
        'max_epochs': int,
    },
    'data_root': str,
    'started_in': str,
    'dataset_sha256': str,
    'lists_sha256': str,
    'photos': {'train': int, 'val': int},
    'skipped_photos': {'count': int},
    'device': str,
    'processes': int,
    'initial_weights': str,
    'head_first': {'photos': int},
    'optim_wrapper': str,
    'seconds': {'train': NUMBER, 'validate': NUMBER},
    'validations': int,
    'started': str,
    'resumed_at_epoch': int,
    'resumed_although': [str],
    'went_back': list,
    'versions': dict,
    'git_commit': str,
    'error': str,
}
# folds.json has the dataset that was split into folds.
DATASET_KEYS = ('data_root', 'started_in', 'dataset_sha256', 'lists_sha256')
FOLDS = {
    **{key: RUN[key] for key in DATASET_KEYS},
    'folds': [
        {
            'run': str,
            'photos': int,
            'top1': NUMBER,
            'epochs': int,
            'best_top1': NUMBER,
            'best_epoch': int,
        }
    ],
}


@dataclass(frozen=True)
class Run:
    folder: Path
    # All keys of RUN; of a run with folds those of the first fold, with the
    # dataset that was split.
    record: dict
    scalars: list[dict]
    folds: list['Run'] = field(default_factory=list)
    fold_results: list[dict] = field(default_factory=list)  # of folds.json

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def best(self) -> Path:
        return self.folder / 'best.pth'

    @property
    def data_root(self) -> Path | None:
        """The dataset; a relative path starts where training was started."""
        noted = self.record['data_root']
        if not noted:
            return None
        path = Path(self.record['started_in'] or '', noted)
        try:
            return path if path.is_dir() else Path(noted)
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
    names = ('run.json', 'best.pth', 'scalars.json', 'folds.json')
    if not any((folder / name).is_file() for name in names):
        raise UserError(_not_a_run(folder, names))
    # Reports are written into the folder.
    refuse_links_out(folder, flag='')
    found = _read_record(folder / 'folds.json', FOLDS)
    results = [
        row
        for row in found['folds'] or []
        # Only a folder inside this one.
        if re.fullmatch(r'fold_\d+', row['run'] or '')
        and row['top1'] is not None
    ]
    if not results:
        return _read(folder)
    folds = [_read(folder / row['run']) for row in results]
    data = {key: found[key] for key in DATASET_KEYS}
    return Run(folder, folds[0].record | data, [], folds, results)


def _not_a_run(folder: Path, names: tuple[str, ...]) -> str:
    if (folder / 'fold_1').is_dir():
        return (
            f'the folds of {folder} are not finished: folds.json is missing.\n'
            'Finish them: the command of the training with --resume'
        )
    what = 'is not the folder of a run' if folder.is_dir() else 'is missing'
    return (
        f'{folder} {what}: expected one of {", ".join(names)}.\n'
        'Name the folder that tools/train.py wrote, such as '
        'work_dirs/resnet50_flower'
    )


def _read(folder: Path) -> Run:
    scalars = folder / 'scalars.json'
    return Run(
        folder,
        _read_record(folder / 'run.json', RUN),
        read_scalars(scalars) if scalars.is_file() else [],
    )


def _read_record(path: Path, schema: dict) -> dict:
    try:
        content = _parse(path) if path.is_file() else {}
        return validated(content, schema)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} is damaged: {error}') from None


def read_json(path: Path) -> object:
    """The content of a JSON file; an empty dict if it cannot be read."""
    try:
        return _parse(path)
    except (OSError, ValueError, RecursionError):
        return {}


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


def validated(value: object, schema: object, where: str = '') -> object:
    """The part of `value` that the schema names, with None for what is null.

    A schema is a type (`object` for any), a tuple of types, a dict of schemas
    or a list with the schema of its items. ValueError if a type differs.
    """
    if isinstance(schema, dict):
        value = {} if value is None else value
        _require_type(value, dict, where)
        prefix = f'{where}.' if where else ''
        return {
            key: validated(value.get(key), part, f'{prefix}{key}')
            for key, part in schema.items()
        }
    if value is None:
        return None
    if isinstance(schema, list):
        _require_type(value, list, where)
        (part,) = schema
        return [validated(item, part, where) for item in value]
    _require_type(value, schema, where)
    _require_depth(value, where)
    return value


def _require_type(value: object, kind: type | tuple, where: str) -> None:
    # A bool is an int to Python.
    is_bool = isinstance(value, bool) and kind is not object
    if is_bool or not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = ' or '.join(kind.__name__ for kind in kinds)
        is_nested = isinstance(value, (dict, list))
        shown = type(value).__name__ if is_nested else repr(value)
        raise ValueError(
            f'invalid {where or "content"}: expected {expected}, got '
            f'{printable(shown, 60)}'
        )


def _require_depth(value: object, where: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f'{where} is nested more than {MAX_DEPTH} levels')
    if isinstance(value, (dict, list)):
        items = value.values() if isinstance(value, dict) else value
        for item in items:
            _require_depth(item, where, depth + 1)


def checked(value: object, kind: type | tuple) -> object:
    """The value if it is valid, else None."""
    try:
        found = validated(value, kind)
    except ValueError:
        return None
    is_number = isinstance(found, NUMBER)
    return None if is_number and not abs(found) <= MAX_NUMBER else found


def read_dataset_findings(root: Path) -> dict:
    """What tools/prepare_dataset.py found in the photos."""
    if not root.is_dir():
        error = f'The dataset folder {root} is missing.'
        return {'prepared': False, 'error': error}
    if not (root / 'dataset.json').is_file():
        return {'prepared': False}
    try:
        found = dataset_json.load(root)
    except UserError as error:
        return {'prepared': False, 'error': str(error)}
    path = root / 'report.txt'
    text = path.read_text('utf-8', errors='replace') if path.is_file() else ''
    parts = sections(text)
    return {
        'prepared': True,
        'sha256': found['sha256'],
        'counts': {
            split: _only(counts, int)
            for split, counts in found['counts'].items()
        },
        'left_out': _only(found.get('left_out'), str),
        'conflicts': lines_of(parts, CONFLICTS),
        'conflicts_kept': found['options']['on_conflict'] == 'keep',
        'duplicates': lines_of(parts, DUPLICATES),
        'label_errors': lines_of(parts, summary.LABEL_ERRORS),
    }


def _only(values: object, kind: type) -> dict:
    """The valid items of a dictionary; an empty one for other values."""
    items = values.items() if isinstance(values, dict) else ()
    return {
        key: value for key, value in items if checked(value, kind) is not None
    }


def sections(text: str) -> dict[str, list[str]]:
    """The parts of report.txt by their titles."""
    found = {}
    for part in text.split('\n\n'):
        title, *lines = part.strip('\n').split('\n')
        if match := re.fullmatch(r'(.*) \(\d+\):', title):
            found[match.group(1)] = lines
    return found


def lines_of(
    parts: dict[str, list[str]], title: str | tuple[str, ...]
) -> list[str]:
    return [
        line
        for name, lines in parts.items()
        if name.startswith(title)
        for line in lines
    ]
