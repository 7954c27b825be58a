"""The trials of a search in a study of Optuna.

The driver is the only writer. A study that cannot be read is set aside and
made again from the folders of the trials, which keep their parameters.
"""

import json
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import optuna
from optuna.trial import TrialState

from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.sweep.search_rules import Point
from flower_mm.sweep.search_space import Space

STUDY = 'study.db'
PARAMETERS = 'parameters.json'  # in the folder of a trial
DAMAGED = '.damaged'
INDEX, PROMOTED, ERROR = 'index', 'promoted', 'error'  # attributes of trials


class SearchStudy:
    """The trials by their number, as far as they have ended.

    Args:
        storage: Any URL of SQLAlchemy.
        name: Of the study.
        space: The distributions of the parameters.
        folder: That of the search.
    """

    def __init__(
        self, storage: str, name: str, space: Space, folder: Path
    ) -> None:
        self.space, self.folder = space, folder
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = _open(storage, name)
        self.points: dict[int, Point] = {}
        # Stopped trials that went on later. What is proposed and stopped next
        # does not depend on them.
        self.promoted: dict[int, Point] = {}
        self._trials: dict[int, optuna.Trial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            self._read(trial)
        for path in sorted(folder.glob('trial_*')):
            digits = path.name.removeprefix('trial_')
            if digits.isdigit() and int(digits) not in self.points:
                self._add_lost(path / PARAMETERS, int(digits))

    def start(self, index: int, params: dict, promoted: bool = False) -> Point:
        """Record that a trial starts with these parameters."""
        write_parameters(self.folder, index, params)
        attributes = {INDEX: index, PROMOTED: promoted}
        self.study.enqueue_trial(params, user_attrs=attributes)
        trial = self.study.ask(self.space)
        while trial.user_attrs.get(INDEX) != index:
            # Left by a driver that was killed between the two calls.
            self.study.tell(trial, state=TrialState.FAIL)
            trial = self.study.ask(self.space)
        self._trials[index] = trial
        point = Point(index, params)
        (self.promoted if promoted else self.points)[index] = point
        return point

    def latest(self) -> list[Point]:
        """Return the trials by number, promoted ones with later results."""
        return [(self.points | self.promoted)[i] for i in sorted(self.points)]

    def report(self, point: Point, values: dict[int, float]) -> None:
        """Record new accuracies of a running trial."""
        for step in sorted(values.keys() - point.values.keys()):
            self._trials[point.index].report(values[step], step)
            point.values[step] = values[step]

    def end(
        self,
        point: Point,
        state: TrialState,
        value: float | None = None,
        error: str | None = None,
    ) -> None:
        """Record the end of a trial."""
        trial = self._trials.pop(point.index)
        if error:
            trial.set_user_attr(ERROR, error)
        point.state, point.value, point.error = state, value, error
        self.study.tell(trial, value, state)

    def _read(self, trial: optuna.trial.FrozenTrial) -> None:
        index = trial.user_attrs.get(INDEX)
        if not isinstance(index, int):
            return  # added by somebody else, or queued
        if trial.state == TrialState.WAITING:
            return
        point = Point(
            index,
            trial.params,
            trial.state,
            trial.intermediate_values,
            trial.value if trial.state == TrialState.COMPLETE else None,
            trial.user_attrs.get(ERROR),
        )
        if trial.state == TrialState.RUNNING:
            # Its driver was killed: `report` and `tell` need a live trial.
            self._trials[index] = optuna.Trial(self.study, trial._trial_id)
        promoted = bool(trial.user_attrs.get(PROMOTED))
        (self.promoted if promoted else self.points)[index] = point

    def _add_lost(self, path: Path, index: int) -> None:
        """Add a trial that only its folder knows, as running."""
        if not path.is_file():
            return  # the driver was killed before anything started
        try:
            params = dict(json.loads(path.read_text('utf-8')))
            for name, distribution in self.space.items():
                distribution.to_internal_repr(params[name])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{path} is damaged: {error}.\nDelete {path.parent}: the '
                'trial is trained again'
            ) from error
        self.start(index, params)


def trial_folder(folder: Path, index: int) -> Path:
    return folder / f'trial_{index:04}'


def write_parameters(folder: Path, index: int, params: dict) -> None:
    path = trial_folder(folder, index) / PARAMETERS
    if not path.is_file():
        with replacing(path, 'w') as file:
            json.dump(params, file, indent=1)


def study_name(folder: Path) -> str:
    """Return a name that no other search in the same database has."""
    return f'{folder.resolve().name}-{uuid.uuid4().hex[:8]}'


def _open(storage: str, name: str) -> optuna.Study:
    path = Path(storage.removeprefix('sqlite:///'))
    is_file = storage.startswith('sqlite:///')
    if is_file and path.is_file() and not _is_sound(path):
        path.replace(damaged := path.with_name(path.name + DAMAGED))
        # A journal belongs to the file that was set aside.
        path.with_name(f'{path.name}-journal').unlink(missing_ok=True)
        print(
            f'{path} is damaged: kept as {damaged}, and made again from the '
            'folders of the trials',
            flush=True,
        )
    try:
        return _create(storage, name)
    except Exception as error:  # of SQLAlchemy, its drivers, or Optuna
        reason = str(error).splitlines()[0] if str(error) else ''
        raise UserError(
            f'the study in {_without_password(storage)} cannot be opened: '
            f'{type(error).__name__}: {reason}.\nCheck the server and the '
            'URL of --storage, or leave it out for a file in --out'
        ) from error


def _create(storage: str, name: str) -> optuna.Study:
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction='maximize',
        load_if_exists=True,
        # Parameters are proposed by search_rules.
        sampler=optuna.samplers.RandomSampler(0),
        pruner=optuna.pruners.NopPruner(),
    )


def _is_sound(path: Path) -> bool:
    """Return whether SQLite can read all pages of a study."""
    try:
        uri = f'{path.resolve().as_uri()}?mode=rw'
        with closing(sqlite3.connect(uri, uri=True)) as database:
            rows = database.execute('PRAGMA integrity_check').fetchall()
            database.execute('SELECT count(*) FROM trials').fetchall()
        return rows == [('ok',)]
    except sqlite3.DatabaseError:
        return False


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return '--storage'
