"""The content of report.json and comparison.json.

report.schema.json describes each key.
"""

import re
import statistics
from datetime import datetime
from pathlib import Path

import numpy as np

import flower_mm
from flower_mm.report import confidence, metrics
from flower_mm.report.baselines import solved_head
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.label_errors import find_label_errors
from flower_mm.report.learning_curves import phases
from flower_mm.report.paired_tests import difference, pair, short_names
from flower_mm.report.predictions import Predictions
from flower_mm.report.run_folder import Run, read_dataset_findings

FORMAT = 1


def report_of(
    run: Run, evaluation: Evaluation, data_root: str | Path | None
) -> dict:
    """Build the content of report.json."""
    root = data_root or run.data_root
    report = {
        'format': FORMAT,
        **_written(),
        'run': {'name': run.name, **_record(run)},
        'classes': None,
        'measured': evaluation.origin,
        **_figures(evaluation),
        'folds': _folds(run),
        'solved_head': _solved_head(run),
        'data': read_dataset_findings(Path(root)) if root else None,
        'speed': _speed(run, evaluation),
    }
    return report | {'why': _reasons(run, evaluation, report)}


def comparison_of(runs: list[Run], evaluations: list[Evaluation]) -> dict:
    """Build the content of comparison.json: each run against the first."""
    names = _unique_names(runs)
    first, *others = evaluations
    pairs = [
        {'first': names[0], 'second': name}
        | _compare(first, other, len(others))
        for name, other in zip(names[1:], others, strict=True)
    ]
    return {
        'format': FORMAT,
        **_written(),
        'runs': [
            {
                'name': name,
                'folder': str(run.folder),
                'run': _record(run),
                'measured': evaluation.origin,
                'result': _figures(evaluation)['result'],
                'solved_head': _solved_head(run),
                'speed': _speed(run, evaluation),
                'why': evaluation.reason,
            }
            for name, run, evaluation in zip(
                names, runs, evaluations, strict=True
            )
        ],
        'pairs': pairs,
    }


def _written() -> dict:
    now = datetime.now().astimezone()
    return {
        'written_by': f'flower_mm {flower_mm.__version__}',
        'written': now.isoformat(' ', 'minutes'),
    }


def _record(run: Run) -> dict:
    """run.json, without the settings that training with folds makes."""
    changes = run.record['changes']
    if not run.folds or changes['settings'] is None:
        return run.record
    settings = [
        row for row in changes['settings'] if not _is_set_by_folds(row)
    ]
    return run.record | {'changes': changes | {'settings': settings}}


def _is_set_by_folds(row: dict) -> bool:
    key, value = str(row['key']), str(row['run'])
    if key.startswith('default_hooks.report'):
        return True
    if key.endswith('data_root'):
        return bool(re.search(r'[/\\]folds[/\\]\d+$', value))
    pattern = r'fold_\d+[/\\]epoch_\d+\.pth$'
    return key == 'load_from' and bool(re.search(pattern, value))


def figures(
    labels: np.ndarray,
    scores: np.ndarray,
    classes: list[str],
    seed: int = 0,
    same: np.ndarray | None = None,
) -> dict:
    """All figures that follow from labels (n,) and scores (n, classes).

    Photos with the same number in `same` (n,) are near-duplicates and count
    as one photo as evidence.
    """
    # Random draws and sums depend on the order: sort by content, so that the
    # order of the photos changes no figure.
    order = np.lexsort((labels, *scores.T))
    labels, scores = labels[order], scores[order]
    predicted = scores.argmax(axis=1)
    matrix = metrics.confusion(labels, predicted, len(classes))
    units = None
    if same is not None and len(np.unique(same)) < len(same):
        units = metrics.units_of(labels, predicted, same[order], len(classes))
    found = {
        'result': metrics.result(matrix, classes, seed, units),
        'per_class': metrics.per_class(matrix, classes),
        'confusion': matrix.tolist(),
        'confused_pairs': metrics.confused_pairs(matrix, classes),
        'calibration': confidence.calibration(labels, scores, seed),
        'handed_over': confidence.selective_prediction(labels, scores),
    }
    if len(classes) > 5:
        found['result']['top5'] = 100 * metrics.top_k(labels, scores, 5)
    return found


def _figures(evaluation: Evaluation) -> dict:
    found = evaluation.predictions
    if found is None:
        keys = ('result', 'per_class', 'confusion', 'confused_pairs')
        keys += ('calibration', 'handed_over')
        return dict.fromkeys(keys) | {'wrong': [], 'suspects': []}
    names = short_names(found.photos)
    label_errors = find_label_errors(found)
    doubtful = {error.index for error in label_errors}
    return {
        'classes': found.classes,
        **figures(
            found.labels,
            found.scores,
            found.classes,
            same=_group_numbers(evaluation),
        ),
        'wrong': [
            {
                **_photo(found, names, i),
                'label_score': _percent(found.scores[i, found.labels[i]]),
                'label_doubtful': i in doubtful,
            }
            for i in confidence.most_wrong(found.labels, found.scores).tolist()
        ],
        'suspects': [
            {
                **_photo(found, names, error.index),
                'suggested': found.classes[error.suggested],
                'sureness': round(error.margin, 4),
            }
            for error in label_errors
        ],
    }


def _group_numbers(evaluation: Evaluation) -> np.ndarray | None:
    """A number for each photo, the same one for near-duplicates."""
    groups = evaluation.origin.get('equal')
    if not groups:
        return None
    numbers = np.arange(len(evaluation.predictions.photos))
    for group in groups:
        numbers[group] = group[0]
    return numbers


def _photo(found: Predictions, names: list[str], i: int) -> dict:
    return {
        'photo': found.photos[i],
        'name': names[i],
        'class': found.classes[found.labels[i]],
        'predicted': found.classes[found.predicted[i]],
        'confidence': _percent(found.scores[i].max()),
    }


def _percent(score: np.float32) -> float:
    return round(100 * float(score), 2)


def _folds(run: Run) -> dict | None:
    if not run.fold_results:
        return None
    top1 = [row['top1'] for row in run.fold_results]
    return {
        'mean_top1': statistics.mean(top1),
        'lowest_top1': min(top1),
        'highest_top1': max(top1),
        'each': run.fold_results,
        'solved_heads': solved_heads(run),
    }


def solved_heads(run: Run) -> list[dict]:
    """The figures of `solved_head` of each fold that fitted its head."""
    return [
        {'run': fold.name, **figures}
        for fold in run.folds
        if (figures := _solved_head(fold))
    ]


def _solved_head(run: Run) -> dict | None:
    is_solved = run.record['head_first']['photos'] is not None
    return solved_head(run.scalars, is_solved)


def _speed(run: Run, evaluation: Evaluation) -> dict:
    """Seconds and photos per second; of folds their mean."""
    runs = [fold.record for fold in run.folds] or [run.record]
    train = sum(record['seconds']['train'] or 0 for record in runs)
    validate = sum(record['seconds']['validate'] or 0 for record in runs)
    epochs = sum(map(_timed_epochs, runs))
    trained = sum(
        (record['photos']['train'] or 0) * _timed_epochs(record)
        for record in runs
    )
    validated = sum(
        (record['photos']['val'] or 0)
        * (record['validations'] or _timed_epochs(record))
        for record in runs
    )
    origin = evaluation.origin or {}
    return {
        'train_seconds_per_epoch': _ratio(train, epochs),
        'train_photos_per_second': _ratio(trained, train),
        'validation_photos_per_second': _ratio(validated, validate),
        'prediction_photos_per_second': origin.get('photos_per_second'),
        'prediction_device': origin.get('device'),
    }


def _timed_epochs(record: dict) -> int:
    """The epochs that `seconds` in run.json covers."""
    done = record['result']['epochs'] or 0
    return max(0, done - (record['resumed_at_epoch'] or 0))


def _ratio(amount: float, divisor: float) -> float | None:
    return round(amount / divisor, 2) if amount and divisor else None


def _reasons(run: Run, evaluation: Evaluation, report: dict) -> dict:
    """For each part of the page why it is empty; '' if it is not."""
    is_missing = evaluation.predictions is None
    reason, record = evaluation.reason, report['run']
    # The curves of a run need training, those of folds either phase.
    is_logged = phases(run.scalars)[0] or any(
        any(phases(fold.scalars)) for fold in run.folds
    )
    parts = {
        'result': (not is_missing, reason),
        'photos': (is_missing or not reason, reason),
        'wrong': (
            report['wrong'],
            reason if is_missing else 'All photos are classified correctly.',
        ),
        'suspects': (
            report['suspects'],
            reason
            if is_missing
            else 'The predictions give no reason to doubt a label.',
        ),
        'curves': (
            is_logged,
            'scalars.json is missing or contains no training.',
        ),
        'speed': (any(report['speed'].values()), 'No epoch was finished.'),
        'changes': (
            record['changes']['settings'] is not None,
            'run.json does not list the changed settings.',
        ),
        'command': (record['command'], 'run.json does not list the command.'),
    }
    return {
        part: '' if is_there else why
        for part, (is_there, why) in parts.items()
    }


def _unique_names(runs: list[Run]) -> list[str]:
    """The folders' names, with as much of the path as makes them unique."""
    paths = [run.folder.resolve().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(path[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f'{name} ({i})' for i, name in enumerate(names, 1)]


def _compare(first: Evaluation, second: Evaluation, tests: int) -> dict:
    one, two = first.predictions, second.predictions
    if one is None or two is None:
        return {'why': 'One of the two runs has no predictions.'}
    found = pair(one, two)
    if found is None:
        return {
            'why': 'The two runs were not evaluated on the same photos with '
            'the same labels, so a paired test is impossible. Compare their '
            'intervals.'
        }
    names = short_names(one.photos)

    def rows(places: np.ndarray) -> list[dict]:
        return [
            {
                'photo': one.photos[i],
                'name': names[i],
                'class': one.classes[one.labels[i]],
                'first_said': one.classes[one.predicted[i]],
                'second_said': one.classes[two.predicted[found.order[i]]],
            }
            for i in places.tolist()
        ]

    return difference(
        len(found.worse), len(found.better), len(one.photos), tests
    ) | {
        'why': None,
        'right_then_wrong_photos': rows(found.worse),
        'wrong_then_right_photos': rows(found.better),
    }
