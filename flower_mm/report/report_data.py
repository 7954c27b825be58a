"""report.json: all that is known of a run. docs/report.md describes it."""

import re
import statistics
from datetime import datetime
from pathlib import Path

import numpy as np

import flower_mm
from flower_mm.report import confidence, metrics
from flower_mm.report.baselines import solved_head
from flower_mm.report.evaluate import Measured
from flower_mm.report.label_errors import suspects
from flower_mm.report.learning_curves import phases
from flower_mm.report.paired_tests import difference, names, pair
from flower_mm.report.predictions import Predictions
from flower_mm.report.run_folder import Run, read_data

FORMAT = 1


def facts_of(
    run: Run, measured: Measured, data_root: str | Path | None
) -> dict:
    """Put together what the run left, its figures and its dataset's."""
    root = data_root or run.data_root
    facts = {
        'format': FORMAT,
        **written(),
        'run': {'name': run.name, **_record(run)},
        'classes': None,
        'measured': measured.how,
        **_figures(measured),
        'folds': _folds(run),
        'solved_head': _solved_head(run),
        'data': read_data(Path(root)) if root else None,
        'speed': _speed(run, measured),
    }
    return facts | {'why': _why(run, measured, facts)}


def _record(run: Run) -> dict:
    """What the run noted, without what training in folds sets itself."""
    if not run.folds:
        return run.record
    changes = _without_the_folds(run.record['changes'])
    return run.record | {'changes': changes}


def _without_the_folds(changes: dict) -> dict:
    if changes['settings'] is None:
        return changes
    return changes | {
        'settings': [
            row
            for row in changes['settings']
            if not isinstance(row, dict) or not _of_the_folds(row)
        ]
    }


def _of_the_folds(row: dict) -> bool:
    key, value = str(row.get('key')), str(row.get('run'))
    return (
        key.startswith('default_hooks.report')
        or (
            key.endswith('data_root')
            and bool(re.search(r'[/\\]folds[/\\]\d+$', value))
        )
        or (
            key == 'load_from'
            and bool(re.search(r'fold_\d+[/\\]epoch_\d+\.pth$', value))
        )
    )


def written() -> dict:
    now = datetime.now().astimezone()
    return {
        'written_by': f'flower_mm {flower_mm.__version__}',
        'written': now.isoformat(' ', 'minutes'),
    }


def figures(
    labels: np.ndarray,
    scores: np.ndarray,
    classes: list[str],
    seed: int = 0,
    same: np.ndarray | None = None,
) -> dict:
    """All that follows from labels (n,) and scores (n, classes).

    Photos with the same number in `same` (n,) are equal or nearly so, and
    are no more than one photo as evidence.
    """
    # Draws and sums go by the photos' order: here by what is said of them,
    # so that the order that they came in changes nothing.
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
        'handed_over': confidence.handed_over(labels, scores),
    }
    if len(classes) > 5:
        found['result']['top5'] = 100 * metrics.top_k(labels, scores, 5)
    return found


def _figures(measured: Measured) -> dict:
    found = measured.predictions
    if found is None:
        return dict.fromkeys(
            (
                'result',
                'per_class',
                'confusion',
                'confused_pairs',
                'calibration',
                'handed_over',
            )
        ) | {'wrong': [], 'suspects': []}
    doubtful, shown = suspects(found), names(found.photos)
    return {
        'classes': found.classes,
        **figures(
            found.labels, found.scores, found.classes, same=_same(measured)
        ),
        'wrong': _wrong(found, shown, {one.index for one in doubtful}),
        'suspects': [
            {
                **_photo(found, shown, suspect.index),
                'suggested': found.classes[suspect.suggested],
                'sureness': round(suspect.sureness, 4),
            }
            for suspect in doubtful
        ],
    }


def _same(measured: Measured) -> np.ndarray | None:
    """A number for each photo, the same one for equal photos."""
    groups = measured.how.get('equal')
    if not groups:
        return None
    same = np.arange(len(measured.predictions.photos))
    for group in groups:
        same[group] = group[0]
    return same


def _wrong(
    found: Predictions, shown: list[str], doubtful: set[int]
) -> list[dict]:
    return [
        {
            **_photo(found, shown, i),
            'label_score': _score(found.scores[i, found.labels[i]]),
            'label_doubtful': i in doubtful,
        }
        for i in confidence.most_wrong(found.labels, found.scores).tolist()
    ]


def _photo(found: Predictions, shown: list[str], i: int) -> dict:
    return {
        'photo': found.photos[i],
        'name': shown[i],
        'class': found.classes[found.labels[i]],
        'predicted': found.classes[found.predicted[i]],
        'confidence': _score(found.scores[i].max()),
    }


def _score(value: np.float32) -> float:
    return round(100 * float(value), 2)


def _folds(run: Run) -> dict | None:
    if not run.of_folds:
        return None
    top1 = [row['top1'] for row in run.of_folds]
    return {
        'mean_top1': statistics.mean(top1),
        'lowest_top1': min(top1),
        'highest_top1': max(top1),
        'each': run.of_folds,
    }


def _solved_head(run: Run) -> dict | None:
    is_solved = run.record['head_first']['photos'] is not None
    return solved_head(run.scalars, is_solved)


def _speed(run: Run, measured: Measured) -> dict:
    """Of several folds their mean."""
    runs = [one.record for one in run.folds] or [run.record]
    train = sum(record['seconds']['train'] or 0 for record in runs)
    validate = sum(record['seconds']['validate'] or 0 for record in runs)
    epochs = sum(map(_epochs, runs))
    learned = sum(
        (record['photos']['train'] or 0) * _epochs(record) for record in runs
    )
    asked = sum(
        (record['photos']['val'] or 0)
        * (record['validations'] or _epochs(record))
        for record in runs
    )
    how = measured.how or {}
    return {
        'train_seconds_per_epoch': _ratio(train, epochs),
        'train_photos_per_second': _ratio(learned, train),
        'validation_photos_per_second': _ratio(asked, validate),
        'prediction_photos_per_second': how.get('photos_per_second'),
        'prediction_device': how.get('device'),
    }


def _epochs(record: dict) -> int:
    """Those that the seconds in run.json are of."""
    done = record['result']['epochs'] or 0
    return max(0, done - (record['resumed_at_epoch'] or 0))


def _ratio(amount: float, of: float) -> float | None:
    return round(amount / of, 2) if amount and of else None


def _why(run: Run, measured: Measured, facts: dict) -> dict:
    """Of each part of the page why it lacks; '' where it does not."""
    lacks, record = measured.predictions is None, facts['run']
    # One run is drawn by its training; folds by what they have of the two.
    logged = phases(run.scalars)[0] or any(
        any(phases(fold.scalars)) for fold in run.folds
    )
    none_wrong = measured.why if lacks else 'No photo is wrong.'
    no_suspect = (
        measured.why
        if lacks
        else 'No label looks wrong: nowhere is the model sure of another '
        'class.'
    )
    nothing_logged = (
        'Nothing is logged: there is no scalars.json, or no training in it.'
    )
    no_changes = 'The run did not note what its config changed.'
    no_command = 'The run did not note how it was called.'
    return {
        'result': measured.why if lacks else '',
        'photos': '' if lacks else measured.why,
        'wrong': '' if facts['wrong'] else none_wrong,
        'suspects': '' if facts['suspects'] else no_suspect,
        'curves': '' if logged else nothing_logged,
        'speed': ''
        if any(facts['speed'].values())
        else 'No epoch was finished.',
        'changes': ''
        if record['changes']['settings'] is not None
        else no_changes,
        'command': '' if record['command'] else no_command,
    }


def comparison_of(runs: list[Run], measured: list[Measured]) -> dict:
    """Runs side by side; each of the others against the first."""
    labels = _labels(runs)
    pairs = []
    for number in range(1, len(runs)):
        found = _compared(measured[0], measured[number], len(runs) - 1)
        ends = {'first': labels[0], 'second': labels[number]}
        pairs.append(ends | found)
    return {
        'format': FORMAT,
        **written(),
        'runs': [
            {
                'name': label,
                'folder': str(run.folder),
                'run': _record(run),
                'measured': one.how,
                'result': _figures(one)['result'],
                'solved_head': _solved_head(run),
                'speed': _speed(run, one),
                'why': one.why,
            }
            for label, run, one in zip(labels, runs, measured, strict=True)
        ],
        'pairs': pairs,
    }


def _labels(runs: list[Run]) -> list[str]:
    """Their names, with as much of the path as tells them apart."""
    paths = [run.folder.resolve().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        labels = ['/'.join(path[-length:]) for path in paths]
        if len(set(labels)) == len(labels):
            return labels
    return [f'{label} ({i})' for i, label in enumerate(labels, 1)]


def _compared(first: Measured, second: Measured, tests: int) -> dict:
    one, two = first.predictions, second.predictions
    if one is None or two is None:
        return {'why': 'One of the two has no predictions.'}
    found = pair(one, two)
    if found is None:
        return {
            'why': 'They were not measured on the same photos with the same '
            'labels, so only their intervals can be laid side by side; '
            'which photos are harder is not known.'
        }
    shown = names(one.photos)

    def rows(places: np.ndarray) -> list[dict]:
        return [
            {
                'photo': one.photos[i],
                'name': shown[i],
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
