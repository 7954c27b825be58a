"""What a run left in its folder, as far as it is what a run writes.

The folder may be a stranger's: everything is read as data, nothing is run,
and a value of another kind than a run writes counts as not there.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from flower_mm.errors import UserError
from flower_mm.links import refuse_links_out
from flower_mm.prepare import dataset_json, summary
from flower_mm.report.learning_curves import read_scalars

# How the parts of prepare's report.txt begin that we show.
# (The second ones are those of version 1.)
CONFLICTS = (summary.CONFLICTS, 'Conflicts: one photo under two classes')
DUPLICATES = (summary.DUPLICATES, 'Equal or nearly equal, on one side')
NUMBER = (int, float)
DEEPEST = 20  # lists in lists; a config has about ten
# Beyond what any run notes: a sum or product of such is still a number.
LARGEST = 1e15
# run.json, and the kind of each value.
KINDS = {
    'status': str,
    'config': str,
    'changes': {'bases': list, 'settings': list},
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
    'resumed_although': list,
    'went_back': list,
    'versions': dict,
    'git_commit': str,
    'error': str,
}
# What folds.json says of the dataset, in the words of run.json: that of a
# fold's own run is none that anybody made.
OF_ALL = ('data_root', 'started_in', 'dataset_sha256', 'lists_sha256')
# A fold in folds.json.
FOLD = {
    'run': str,
    'photos': int,
    'top1': NUMBER,
    'epochs': int,
    'best_top1': NUMBER,
    'best_epoch': int,
}


@dataclass(frozen=True)
class Run:
    folder: Path
    # run.json: all of KINDS, None where it is not there; of folds the first
    # one's with the dataset of all.
    record: dict
    scalars: list[dict]
    folds: list['Run'] = field(default_factory=list)
    of_folds: list[dict] = field(default_factory=list)  # from folds.json

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def best(self) -> Path:
        return self.folder / 'best.pth'

    @property
    def data_root(self) -> Path | None:
        """The dataset; a relative one is sought where training began."""
        noted = self.record['data_root']
        if not noted:
            return None
        there = Path(self.record['started_in'] or '', noted)
        try:
            return there if there.is_dir() else Path(noted)
        except OSError:  # no name that a folder can have
            return None

    @property
    def last_checkpoint(self) -> Path | None:
        found = [
            (int(path.stem.removeprefix('epoch_')), path)
            for path in self.folder.glob('epoch_*.pth')
            if path.stem.removeprefix('epoch_').isdecimal()
        ]
        return max(found)[1] if found else None


def read_run(folder: Path) -> Run:
    """Read what is there of run.json and scalars.json, or of the folds'."""
    marks = ('run.json', 'best.pth', 'scalars.json', 'folds.json')
    if not any((folder / name).is_file() for name in marks):
        what = 'holds no run' if folder.is_dir() else 'does not exist'
        unfinished = (folder / 'fold_1').is_dir()
        raise UserError(
            f'{folder} {what}: there is none of {", ".join(marks)}.\n'
            + (
                'Its folds are not finished: go on with train.py --resume'
                if unfinished
                else 'Name the folder that tools/train.py wrote to, e.g. '
                'work_dirs/resnet50_flower'
            )
        )
    # Reports are written into it, and what it holds is shown in them.
    refuse_links_out(folder, flag='')
    found = read_json(folder / 'folds.json')
    folds, of_folds = _folds(folder, found)
    if not folds:
        return _read(folder)
    dataset = _known(found, {key: KINDS[key] for key in OF_ALL})
    return Run(folder, folds[0].record | dataset, [], folds, of_folds)


def _read(folder: Path) -> Run:
    found = read_json(folder / 'run.json')
    scalars = folder / 'scalars.json'
    return Run(
        folder,
        _known(found, KINDS),
        read_scalars(scalars) if scalars.is_file() else [],
    )


def _folds(folder: Path, found: object) -> tuple[list[Run], list[dict]]:
    """The runs that folds.json names, with what it says of each."""
    rows = found.get('folds') if isinstance(found, dict) else None
    runs, kept = [], []
    for row in rows if isinstance(rows, list) else []:
        row = _known(row, FOLD)
        # A folder in this one, and no way out of it.
        inside = re.fullmatch(r'fold_\d+', row['run'] or '')
        if inside and row['top1'] is not None:
            runs.append(_read(folder / row['run']))
            kept.append(row)
    return runs, kept


def read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        return {}


def _known(found: object, kinds: dict) -> dict:
    """What is of the right kind, None for the rest."""
    found = found if isinstance(found, dict) else {}
    return {
        key: _known(found.get(key), kind)
        if isinstance(kind, dict)
        else checked(found.get(key), kind)
        for key, kind in kinds.items()
    }


def checked(value: object, kind: type | tuple) -> object:
    """The value if it is of the kind, else None."""
    # True is an int to Python, but no number of photos.
    if not isinstance(value, kind) or isinstance(value, bool):
        return None
    value = plain(value)
    return value if isinstance(value, kind) else None


def plain(value: object, depth: int = 0) -> object:
    """The same, neither endlessly deep nor with numbers that no run has.

    JSON has no word for those that are infinite or none; Python's integers
    of hundreds of digits are no floats.
    """
    if depth == DEEPEST:
        return '…'
    if isinstance(value, dict):
        return {key: plain(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part, depth + 1) for part in value]
    if isinstance(value, NUMBER) and not abs(value) <= LARGEST:
        return str(value)
    return value


def read_data(root: Path) -> dict:
    """What was found out about the photos when the dataset was prepared."""
    if not root.is_dir():
        error = f'The dataset folder {root} is not here.'
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
    left_out = found.get('left_out')
    return {
        'prepared': True,
        'sha256': found['sha256'],
        'counts': plain(found['counts']),
        'left_out': plain(left_out) if isinstance(left_out, dict) else {},
        'conflicts': _of(parts, CONFLICTS),
        'conflicts_kept': found['options']['on_conflict'] == 'keep',
        'duplicates': _of(parts, DUPLICATES),
        'label_errors': _of(parts, summary.LABEL_ERRORS),
    }


def sections(text: str) -> dict[str, list[str]]:
    """The parts of report.txt, by their titles."""
    found = {}
    for part in text.split('\n\n'):
        title, *lines = part.strip('\n').split('\n')
        if match := re.fullmatch(r'(.*) \(\d+\):', title):
            found[match.group(1)] = lines
    return found


def _of(
    parts: dict[str, list[str]], start: str | tuple[str, ...]
) -> list[str]:
    return [
        line
        for title, lines in parts.items()
        if title.startswith(start)
        for line in lines
    ]
