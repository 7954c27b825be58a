"""Predict the held-out photos of a run, or reuse the predictions on disk.

predictions.csv is reused while best.pth, the list of photos and the photos'
files are unchanged.
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flower_mm.annotations import require_dataset
from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.layout import RunDir
from flower_mm.report.dataset_findings import disjoint_groups, near_duplicates
from flower_mm.report.evaluated_photos import (
    LabelledPhotos,
    count_replaced,
    files_sha256,
    has_changed,
    photos_of_folds,
    photos_of_split,
)
from flower_mm.report.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from flower_mm.report.run_folder import (
    FORMAT,
    Run,
    has_other_format,
    read_report,
    report_schema,
    validated,
)
from flower_mm.weights.file_hash import sha256_of

if TYPE_CHECKING:
    from mmengine.config import Config

    from flower_mm.report.predictor import Predictor


LoadPredictor = Callable[[], 'Predictor']


@dataclass(frozen=True)
class Evaluation:
    """Predictions with their origin, or why they are missing."""

    predictions: Predictions | None = None
    origin: dict | None = None  # `evaluation` in report.json
    reason: str = ''  # why predictions or photos are missing
    # Which model predicted which photos; empty if the photos are missing.
    predictors: list[tuple[LoadPredictor, Sequence[int]]] = field(
        default_factory=list
    )


class _Earlier(NamedTuple):
    """What an earlier report was about, as in `Evaluation`."""

    predictions: Predictions
    origin: dict


def evaluate(
    run: Run,
    data_root: str | Path | None,
    split: str,
    device: str,
    write: bool = True,
    config: 'Config | None' = None,
) -> Evaluation:
    """Predict a split with best.pth, or reuse earlier predictions.

    The run's own dataset and best.pth may be missing if there are earlier
    predictions; a dataset given as `data_root` must be valid. With `write`,
    new predictions are written into the folder.
    """
    if run.folds:
        return _evaluate_folds(run, data_root, split, device)
    if not run.best.is_file():
        earlier = _earlier(run.folder, None, split)
        if not earlier and has_other_format(run.folder):
            raise UserError(
                f'{run.best} is missing, and the report in this folder is of '
                'another version of flower_mm, which is kept.\n'
                'Restore best.pth, or move report.json away to write a report '
                'about the training only'
            )
        if not earlier:
            return Evaluation(reason=_no_checkpoint(run))
        reason = f'{run.best} is missing: the figures are of an earlier report'
        return Evaluation(*earlier, reason)
    load = _loader(run.best, device, config=config)
    sha256 = sha256_of(run.best)
    earlier = _earlier(run.folder, sha256, split)
    root = Path(data_root) if data_root else run.data_root
    try:
        listed = photos_of_split(root, split)
    except UserError as error:
        if data_root or not earlier:
            raise
        reason = f'{error}\nThen: {command("report", run.folder)}'
        return Evaluation(*earlier, reason)
    assert root is not None  # else `photos_of_split` has raised
    # Before prediction, so that a change in the meantime is detected later.
    files = files_sha256(listed.photos)
    if (
        earlier
        and listed.are_those_of(earlier.predictions)
        and earlier.origin['files_sha256'] == files
    ):
        predictions, origin = earlier
    else:
        replaced = count_replaced(root, split, listed.photos)
        predictions, origin = _predict(load, listed)
        origin |= {
            'split': split,
            'folds': None,
            'checkpoint_sha256': sha256,
            'predictions_sha256': None,
            'files_sha256': files,
            'replaced_photos': replaced,
        }
        if write:
            out = run.folder / RunDir.PREDICTIONS
            write_predictions(out, predictions)
            origin['predictions_sha256'] = sha256_of(out)
    changed = origin['replaced_photos'] > 0 or has_changed(run, root)
    groups = near_duplicates(root, predictions)
    return Evaluation(
        predictions,
        origin | {'dataset_changed': changed, 'near_duplicates': groups},
        predictors=[(load, range(len(predictions.photos)))],
    )


def _no_checkpoint(run: Run) -> str:
    if run.record['photos']['val'] == 0:
        return (
            'This run had no validation, so it has no best.pth.\n'
            'Evaluate a checkpoint with tools/test.py'
        )
    return 'best.pth is missing: it is written after the first validation.'


def _loader(checkpoint: Path, device: str, **kwargs) -> LoadPredictor:
    @functools.cache
    def load() -> 'Predictor':
        # The import takes seconds, and a report without photos needs none.
        from flower_mm.report.predictor import Predictor

        return Predictor(checkpoint, device, **kwargs)

    return load


def _earlier(folder: Path, sha256: str | None, split: str) -> _Earlier | None:
    """The predictions of an earlier report of this best.pth.

    If best.pth is missing, of any: a new training moves old reports away.
    """
    report = read_report(folder)
    try:
        origin = validated(
            report.get('evaluation'), report_schema()['$defs']['evaluation']
        )
    except ValueError:
        return None
    needed = ('checkpoint_sha256', 'images_per_second', 'device')
    if (
        report.get('format') != FORMAT
        or any(origin[key] is None for key in needed)
        or sha256 not in (None, origin['checkpoint_sha256'])
        or origin['split'] != split
    ):
        return None
    path = folder / RunDir.PREDICTIONS
    try:
        if origin['predictions_sha256'] != sha256_of(path):
            return None
        predictions = read_predictions(path)
    except (OSError, UserError):
        return None
    groups = origin['near_duplicates']
    return _Earlier(
        predictions,
        origin
        | {
            'folds': None,
            'replaced_photos': origin['replaced_photos'] or 0,
            'dataset_changed': bool(origin['dataset_changed']),
            'near_duplicates': disjoint_groups(
                groups, len(predictions.photos)
            ),
        },
    )


def _predict(
    load: LoadPredictor, listed: LabelledPhotos
) -> tuple[Predictions, dict]:
    from flower_mm.environment import device_name

    predictor = load()
    if predictor.classes != listed.classes:
        raise UserError(
            'the classes of the dataset differ from those of the model.\n'
            'Name the dataset that it was trained on'
        )
    predictions = predictor.predict(listed.photos, listed.labels)
    return predictions, {
        'images_per_second': round(predictor.images_per_second, 2),
        'device': device_name(predictor.device),
        **predictor.run_of_checkpoint,
    }


def _evaluate_folds(
    run: Run, data_root: str | Path | None, split: str, device: str
) -> Evaluation:
    """Out-of-fold predictions, which training with folds has written."""
    if split == 'test':
        raise UserError(
            f'{run.folder} was trained with --folds: its models have '
            'predicted all train and val photos; for the test split there is '
            'no single model.\nOmit --split, or name a run without folds'
        )
    if data_root:
        require_dataset(Path(data_root))
    root = Path(data_root) if data_root else run.data_root
    path = run.folder / RunDir.PREDICTIONS
    try:
        predictions = read_predictions(path)
    except UserError as error:
        return Evaluation(reason=str(error))
    _require_folds_of(path, predictions, run.fold_results)
    known = photos_of_folds(root)
    index = {
        photo: i
        for i, photo in enumerate(predictions.photos)
        if photo in known
    }
    predictors: list[tuple[LoadPredictor, Sequence[int]]] = []
    for fold in run.folds:
        checkpoint = fold.last_checkpoint
        if not checkpoint:
            continue
        with suppress(UserError):
            held_out = read_predictions(fold.folder / RunDir.HELD_OUT)
            shown = [index[p] for p in held_out.photos if p in index]
            load = _loader(checkpoint, device, unselected=True)
            predictors.append((load, shown))
    unknown = dict.fromkeys(
        report_schema()['$defs']['evaluation']['properties']
    )
    origin = unknown | {
        'split': 'train and val',
        'folds': len(run.folds),
        'predictions_sha256': sha256_of(path),
        'replaced_photos': 0,
        'dataset_changed': False,
        'near_duplicates': near_duplicates(root, predictions)
        if root
        else None,
    }
    return Evaluation(predictions, origin, predictors=predictors)


def _require_folds_of(
    path: Path, predictions: Predictions, results: list[dict]
) -> None:
    """Raise UserError if folds.json is about other predictions."""
    counts = [row['photos'] or 0 for row in results]
    expected = sum(
        count * row['top1'] / 100
        for count, row in zip(counts, results, strict=True)
    )
    photos, correct = len(predictions.photos), int(predictions.correct.sum())
    if photos == sum(counts) and abs(correct - expected) < 0.5:
        return
    raise UserError(
        f'{path} does not match folds.json: expected {sum(counts)} photos, '
        f'{expected:.0f} of them correct, got {photos} and {correct}.\n'
        'Write both again: the command of the training with --resume'
    )
