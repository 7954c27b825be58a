"""The content of report.json and comparison.json.

report.schema.json describes each key.
"""

import re
import statistics
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import flower_mm
from flower_mm.report import confidence, metrics
from flower_mm.report.baselines import linear_probe
from flower_mm.report.corrected_labels import common_photos
from flower_mm.report.dataset_findings import read_dataset_findings
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.label_errors import find_label_errors
from flower_mm.report.paired_tests import difference, pair, short_names
from flower_mm.report.run_folder import FORMAT, Run

FIGURES = (
    'classes',
    'metrics',
    'per_class',
    'confusion_matrix',
    'confused_pairs',
    'calibration',
    'selective_prediction',
)


def report_of(
    run: Run, evaluation: Evaluation, data_root: str | Path | None
) -> dict:
    """Build the content of report.json."""
    root = data_root or run.data_root
    return {
        **_header(),
        'name': run.name,
        'run': _record(run),
        **_predicted(evaluation),
        'folds': _folds(run),
        'linear_probe': _linear_probe(run),
        'dataset': read_dataset_findings(Path(root)) if root else None,
        'speed': _speed(run, evaluation),
    }


def comparison_of(
    runs: list[Run],
    evaluations: list[Evaluation],
    data_root: str | Path | None = None,
) -> dict:
    """Build the content of comparison.json: each run against the first."""
    names = _unique_names(runs)
    roots = [Path(data_root) if data_root else run.data_root for run in runs]
    first, *others = evaluations
    return {
        **_header(),
        'runs': [
            {
                'name': name,
                'folder': str(run.folder),
                'run': _record(run),
                'evaluation': evaluation.origin,
                'missing_reason': evaluation.reason,
                'metrics': _predicted(evaluation)['metrics'],
                'linear_probe': _linear_probe(run),
                'speed': _speed(run, evaluation),
            }
            for name, run, evaluation in zip(
                names, runs, evaluations, strict=True
            )
        ],
        'pairs': [
            {'first': names[0], 'second': name}
            | _compare(first, other, len(others), (roots[0], root))
            for name, other, root in zip(
                names[1:], others, roots[1:], strict=True
            )
        ],
    }


def _header() -> dict:
    return {
        'format': FORMAT,
        'flower_mm_version': flower_mm.__version__,
        'created': datetime.now().astimezone().isoformat(' ', 'minutes'),
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
    groups: np.ndarray | None = None,
) -> dict:
    """All figures that follow from labels (n,) and scores (n, classes).

    Photos with the same number in `groups` (n,) are near-duplicates and count
    as one photo as evidence.
    """
    # Random draws and sums depend on the order: sort by content, so that the
    # order of the photos changes no figure.
    order = np.lexsort((labels, *scores.T))
    labels, scores = labels[order], scores[order]
    predicted, count = scores.argmax(axis=1), len(classes)
    matrix = metrics.confusion_matrix(labels, predicted, count)
    grouped = None
    if groups is not None and len(np.unique(groups)) < len(groups):
        grouped = metrics.group_photos(labels, predicted, groups[order], count)
    overall = metrics.overall(matrix, classes, seed, grouped)
    if count > 5:
        overall['top5'] = 100 * metrics.top_k(labels, scores, 5)
    return {
        'metrics': overall,
        'per_class': metrics.per_class(matrix, classes),
        'confusion_matrix': matrix.tolist(),
        'confused_pairs': metrics.confused_pairs(matrix, classes),
        'calibration': confidence.calibration(labels, scores, seed),
        'selective_prediction': confidence.selective_prediction(
            labels, scores
        ),
    }


def _predicted(evaluation: Evaluation) -> dict:
    """What follows from the predictions; empty without predictions."""
    predictions = evaluation.predictions
    report: dict[str, Any] = {
        'evaluation': evaluation.origin,
        'missing_reason': evaluation.reason,
        **dict.fromkeys(FIGURES),
        'errors': [],
        'possible_label_errors': [],
    }
    if predictions is None:
        return report
    labels, scores = predictions.labels, predictions.scores
    classes, names = predictions.classes, short_names(predictions.photos)
    predicted = predictions.predicted

    def photo(i: int) -> dict:
        return {
            'photo': predictions.photos[i],
            'name': names[i],
            'label': classes[labels[i]],
            'predicted': classes[predicted[i]],
            'confidence': _percent(scores[i].max()),
        }

    label_errors = find_label_errors(predictions)
    doubted = {error.index for error in label_errors}
    return report | {
        'classes': classes,
        **figures(labels, scores, classes, groups=_group_numbers(evaluation)),
        'errors': [
            photo(i)
            | {
                'label_probability': _percent(scores[i, labels[i]]),
                'possible_label_error': i in doubted,
            }
            for i in confidence.most_confident_errors(labels, scores).tolist()
        ],
        'possible_label_errors': [
            photo(error.index)
            | {
                'suggested': classes[error.suggested],
                'margin': round(error.margin, 4),
            }
            for error in label_errors
        ],
    }


def _group_numbers(evaluation: Evaluation) -> np.ndarray | None:
    """A number for each photo, the same one for near-duplicates."""
    predictions, origin = evaluation.predictions, evaluation.origin
    if not predictions or not origin or not origin.get('near_duplicates'):
        return None
    numbers = np.arange(len(predictions.photos))
    for group in origin['near_duplicates']:
        numbers[group] = group[0]
    return numbers


def _percent(score: np.float32) -> float:
    return round(100 * float(score), 2)


def _folds(run: Run) -> dict | None:
    if not run.fold_results:
        return None
    top1 = [row['top1'] for row in run.fold_results]
    return {
        'mean_top1': statistics.mean(top1),
        'min_top1': min(top1),
        'max_top1': max(top1),
        'results': run.fold_results,
        'linear_probes': linear_probes(run),
    }


def linear_probes(run: Run) -> list[dict]:
    """The figures of `linear_probe` of each fold that fitted its head."""
    return [
        {'run': fold.name, **probe}
        for fold in run.folds
        if (probe := _linear_probe(fold))
    ]


def _linear_probe(run: Run) -> dict | None:
    is_fitted = run.record['head_first']['photos'] is not None
    return linear_probe(run.scalars, is_fitted)


def _speed(run: Run, evaluation: Evaluation) -> dict:
    """Seconds and images per second; of folds their mean."""
    train = validate = epochs = trained = validated = 0
    for record in [fold.record for fold in run.folds] or [run.record]:
        # `seconds` of run.json covers the epochs since the last resume.
        done = record['result']['epochs'] or 0
        done = max(0, done - (record['resumed_at_epoch'] or 0))
        photos, seconds = record['photos'], record['seconds']
        train += seconds['train'] or 0
        validate += seconds['validate'] or 0
        epochs += done
        trained += (photos['train'] or 0) * done
        validated += (photos['val'] or 0) * (record['validations'] or done)
    origin = evaluation.origin or {}
    return {
        'train_seconds_per_epoch': _ratio(train, epochs),
        'train_images_per_second': _ratio(trained, train),
        'validation_images_per_second': _ratio(validated, validate),
        'prediction_images_per_second': origin.get('images_per_second'),
        'prediction_device': origin.get('device'),
    }


def _ratio(amount: float, divisor: float) -> float | None:
    return round(amount / divisor, 2) if amount and divisor else None


def _unique_names(runs: list[Run]) -> list[str]:
    """The folders' names, with as much of the path as makes them unique."""
    paths = [run.folder.resolve().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(path[-length:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _compare(
    first: Evaluation,
    second: Evaluation,
    tests: int,
    roots: tuple[Path | None, Path | None],
) -> dict:
    one, two = first.predictions, second.predictions
    if one is None or two is None:
        return {'missing_reason': 'no-predictions'}
    corrections = None
    if common := common_photos(one, two, roots):
        one, two, corrections = common
    paired = pair(one, two)
    if paired is None:
        return {'missing_reason': 'other-photos'}
    names = short_names(one.photos)
    predicted = one.predicted, two.predicted[paired.order]

    def rows(places: np.ndarray) -> list[dict]:
        return [
            {
                'photo': one.photos[i],
                'name': names[i],
                'label': one.classes[one.labels[i]],
                'first_predicted': one.classes[predicted[0][i]],
                'second_predicted': one.classes[predicted[1][i]],
            }
            for i in places.tolist()
        ]

    return {
        'missing_reason': None,
        'corrections': corrections,
        **difference(
            len(paired.worse), len(paired.better), len(one.photos), tests
        ),
        'only_first_photos': rows(paired.worse),
        'only_second_photos': rows(paired.better),
    }
