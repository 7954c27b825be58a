"""What a run's model says of photos that it was not trained on.

predictions.csv of an earlier report is taken up as long as best.pth, the list
of photos and their files are the same.
"""

import functools
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flower_mm.datasets.annotations import (
    OTHER_PHOTOS,
    describe,
    lists_sha256,
    photos_folder,
    prepare_command,
    read_annotations,
    read_classes,
    require_dataset,
)
from flower_mm.errors import UserError
from flower_mm.report.predictions import (
    HELD_OUT,
    Predictions,
    read_predictions,
    write_predictions,
)
from flower_mm.report.run_folder import (
    NUMBER,
    Run,
    checked,
    read_json,
)

if TYPE_CHECKING:
    from mmengine.config import Config

    from flower_mm.report.predictor import Predictor

# Of report.json's `measured`, what is taken up with predictions.csv.
NOTED = {
    'split': str,
    'best_sha256': str,
    'predictions_sha256': str,
    'files_sha256': str,
    'photos_per_second': float,
    'device': str,
    'best_epoch': int,
    'best_top1': NUMBER,
    'best_seed': int,
    'best_dataset_sha256': str,
    'other_photos': int,
}
PREDICTIONS, FIGURES = 'predictions.csv', 'report.json'

Load = Callable[[], 'Predictor']


@dataclass(frozen=True)
class Measured:
    """Predictions and how they came about, or why there are none."""

    predictions: Predictions | None = None
    how: dict | None = None
    why: str = ''  # there are no predictions, or no photos to be shown
    new: bool = False  # report.json does not vouch for them yet
    # Who predicted which photos; empty where photos cannot be shown.
    by: list[tuple[Load, range | list[int]]] = field(default_factory=list)


class _Listed(NamedTuple):
    photos: list[str]
    labels: list[int]
    classes: list[str]


def measure(
    run: Run,
    data_root: str | Path | None,
    split: str,
    device: str,
    keep: bool = False,
    config: 'Config | None' = None,
) -> Measured:
    """Predict the split with best.pth, or take what is there of that.

    The dataset that the run has noted, and best.pth, may be gone where
    predictions.csv still serves; a dataset that is given has to be right.
    With `keep` predictions of another split that lie in the folder stay.
    """
    if run.folds:
        return _of_folds(run, data_root, split, device)
    if not run.best.is_file():
        earlier = _earlier(run.folder, None, split)
        if not earlier:
            return Measured(why=_no_best(run))
        why = (
            f'{run.best} is not there any more: the figures are those of an '
            'earlier report.'
        )
        return Measured(earlier.predictions, earlier.how, why)
    load = _loader(run.best, device, config=config)
    sha256 = _sha256(run.best)
    earlier = _earlier(run.folder, sha256, split)
    root = Path(data_root) if data_root else run.data_root
    try:
        listed = _listed(root, split)
    except UserError as error:
        if data_root or not earlier:
            raise
        why = f'{error}\nThen: python tools/report.py {run.folder}'
        return Measured(earlier.predictions, earlier.how, why)
    # Before they are read: what changes meanwhile is noticed next time.
    files = _files_sha256(listed.photos)
    new = not (
        earlier
        and _is_of(earlier.predictions, listed)
        and earlier.how['files_sha256'] == files
    )
    if new:
        others = photos_that_are_others(root, split, listed.photos)
        predictions, how = _predict(load, listed)
        how |= {
            'split': split,
            'folds': None,
            'best_sha256': sha256,
            'predictions_sha256': None,
            'files_sha256': files,
            'other_photos': others,
        }
        if keep and _split_in(run.folder) not in (None, split):
            new = False
        else:
            out = run.folder / PREDICTIONS
            write_predictions(out, predictions)
            how['predictions_sha256'] = _sha256(out)
    else:
        predictions, how = earlier.predictions, earlier.how
    changed = how['other_photos'] > 0 or _has_changed(run, root)
    return Measured(
        predictions,
        how
        | {
            'dataset_changed': changed,
            'equal': equal_places(root, predictions),
        },
        new=new,
        by=[(load, range(len(predictions.photos)))],
    )


def _split_in(folder: Path) -> str | None:
    """Which split the report in there is of, if there is one."""
    figures = read_json(folder / FIGURES)
    how = figures.get('measured') if isinstance(figures, dict) else None
    return how.get('split') if isinstance(how, dict) else None


def _no_best(run: Run) -> str:
    if run.record['photos']['val'] == 0:
        return (
            'Nothing was measured: this run had no validation, so there is '
            'no best.pth.\ntools/test.py measures a checkpoint.'
        )
    return (
        'Nothing was measured: there is no best.pth, which is written after '
        'the first validation.'
    )


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _files_sha256(photos: list[str]) -> str:
    """Tell photos from others that have come under their names.

    By size and times, without reading them. The time of the last change of
    the entry notices what keeps the other one: `cp -p`, `mv`, unpacking. A
    copied dataset has other times; it is predicted anew for nothing.
    """
    found = hashlib.sha256()
    for photo in photos:
        try:
            about = Path(photo).stat()
            noted = (about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        except OSError:  # predicting tells what is the matter
            noted = None
        found.update(f'{noted}\n'.encode())
    return found.hexdigest()


def _loader(checkpoint: Path, device: str, **kwargs) -> Load:
    @functools.cache
    def load() -> 'Predictor':
        # Seconds of imports that a report without photos does not pay.
        from flower_mm.report.predictor import Predictor

        return Predictor(checkpoint, device, **kwargs)

    return load


def _has_changed(run: Run, root: Path) -> bool:
    """Whether photos may have been learned that are held out today.

    The run's lists are not kept, only what tells them from others.
    """
    record = run.record
    if any(
        str(line).startswith(OTHER_PHOTOS)
        for line in record['resumed_although'] or []
    ):
        return True
    if record['lists_sha256']:
        return record['lists_sha256'] != lists_sha256(root)
    # An older run has noted no more than this, if that.
    noted = record['dataset_sha256']
    return noted is not None and noted != describe(root).get('sha256')


def photos_that_are_others(root: Path, split: str, photos: list[str]) -> int:
    """How many are not those that dataset.json lists under their names.

    It is not asked about photos that it does not list; the lists are
    compared by themselves.
    """
    files = describe(root).get('files')
    noted = files.get(split) if isinstance(files, dict) else None
    if not isinstance(noted, dict):
        return 0
    folder = photos_folder(root, split).absolute()
    others = 0
    for photo in photos:
        sha256 = noted.get(Path(photo).relative_to(folder).as_posix())
        if isinstance(sha256, str):
            try:
                others += _sha256(Path(photo)) != sha256
            except OSError:  # predicting tells what is the matter
                continue
    return others


def equal_places(root: Path, predictions: Predictions) -> list | None:
    """The places of photos that are equal, group by group.

    As prepare_dataset.py found them; None where nobody looked.
    """
    try:
        groups = describe(root).get('equal')
    except (UserError, OSError):
        return None
    if not isinstance(groups, list):
        return None
    place = {}
    for i, photo in enumerate(predictions.photos):
        label = predictions.classes[predictions.labels[i]]
        inside = photo.replace('\\', '/').rpartition(f'/{label}/')[2]
        place[f'{label}/{inside}'] = i
    found = []
    for group in groups:
        same = [
            place[path]
            for path in (group if isinstance(group, list) else [])
            if isinstance(path, str) and path in place
        ]
        if len(same) > 1:
            found.append(same)
    return _places(found, len(predictions.photos))


def _places(groups: object, photos: int) -> list[list[int]] | None:
    """The groups, if each photo is in one of them at most."""
    if not isinstance(groups, list):
        return None
    if not all(isinstance(group, list) for group in groups):
        return None
    flat = [place for group in groups for place in group]
    sound = all(type(i) is int and 0 <= i < photos for i in flat)
    return groups if sound and len(set(flat)) == len(flat) else None


def _listed(root: Path | None, split: str) -> _Listed:
    if not root:
        raise UserError(
            'Where the photos are is not known: --data-root FOLDER'
        )
    classes = read_classes(root)
    if split == 'test' and not (root / 'test.txt').is_file():
        raise UserError(
            f'{root} has no test photos: there is no test.txt.\n'
            'Set some aside, and train again without them: '
            f'{prepare_command(root, "--test 0.15")}'
        )
    folder = photos_folder(root, split).absolute()
    photos = read_annotations(root / f'{split}.txt', folder, classes)
    return _Listed(
        [str(folder / photo.name) for photo in photos],
        [photo.label for photo in photos],
        classes,
    )


def _earlier(folder: Path, sha256: str | None, split: str) -> Measured | None:
    """The predictions of an earlier report, if they are of this best.pth.

    Where that is gone, of any: a new training sets old reports aside.
    """
    figures = read_json(folder / FIGURES)
    how = figures.get('measured') if isinstance(figures, dict) else None
    if (
        not isinstance(how, dict)
        or not isinstance(how.get('best_sha256'), str)
        or sha256 not in (None, how['best_sha256'])
        or how.get('split') != split
        or checked(how.get('photos_per_second'), float) is None
        or checked(how.get('device'), str) is None
    ):
        return None
    path = folder / PREDICTIONS
    try:
        if how.get('predictions_sha256') != _sha256(path):
            return None
        predictions = read_predictions(path)
    except (OSError, UserError):
        return None
    known = {key: checked(how.get(key), kind) for key, kind in NOTED.items()}
    if known['files_sha256'] is None or known['other_photos'] is None:
        # An older report; predicting anew tells.
        known |= {'files_sha256': None, 'other_photos': 0}
    return Measured(
        predictions,
        known
        | {
            'folds': None,
            'dataset_changed': how.get('dataset_changed') is True,
            'equal': _places(how.get('equal'), len(predictions.photos)),
        },
    )


def _is_of(predictions: Predictions, listed: _Listed) -> bool:
    return (
        predictions.photos == listed.photos
        and predictions.labels.tolist() == listed.labels
        and predictions.classes == listed.classes
    )


def _predict(load: Load, listed: _Listed) -> tuple[Predictions, dict]:
    from flower_mm.environment import device_name

    predictor = load()
    if predictor.classes != listed.classes:
        raise UserError(
            'the dataset has other classes than the model. Name the one '
            'that it was trained on: --data-root FOLDER'
        )
    predictions = predictor.predict(listed.photos, listed.labels)
    return predictions, {
        'photos_per_second': round(predictor.photos_per_second, 2),
        'device': device_name(predictor.device),
        **predictor.noted,
    }


def _of_folds(
    run: Run, data_root: str | Path | None, split: str, device: str
) -> Measured:
    """Out-of-fold predictions, as training in folds left them."""
    if split == 'test':
        raise UserError(
            f'{run.folder} was trained with --folds: it was asked all train '
            'and val photos, and has no one model for the test photos.\n'
            'Leave --split out, or name a run without folds'
        )
    if data_root:
        require_dataset(Path(data_root))
    path = run.folder / PREDICTIONS
    try:
        predictions = read_predictions(path)
    except UserError as error:
        return Measured(why=str(error))
    place = {photo: i for i, photo in enumerate(predictions.photos)}
    root = Path(data_root) if data_root else run.data_root
    known = _photos_of(root)
    by = []
    for fold, noted in zip(run.folds, run.of_folds, strict=True):
        checkpoint = fold.last_checkpoint
        try:
            held = read_predictions(fold.folder / HELD_OUT)
        except UserError:
            continue
        mine = [place[p] for p in held.photos if p in place]
        shown = [place[p] for p in held.photos if p in place and p in known]
        right = int(predictions.correct[mine].sum())
        _require(path, fold.name, len(mine), right, [noted])
        if checkpoint:
            load = _loader(checkpoint, device, plain=True)
            by.append((load, shown))
    photos, right = len(predictions.photos), int(predictions.correct.sum())
    _require(path, 'all folds', photos, right, run.of_folds)
    return Measured(
        predictions,
        {
            'split': 'train and val',
            'folds': len(run.folds),
            'best_sha256': None,
            'predictions_sha256': _sha256(run.folder / PREDICTIONS),
            'files_sha256': None,
            'photos_per_second': None,
            'device': None,
            'best_epoch': None,
            'best_top1': None,
            'best_seed': None,
            'best_dataset_sha256': None,
            'other_photos': 0,
            'dataset_changed': False,
            'equal': equal_places(root, predictions) if root else None,
        },
        by=by,
    )


def _photos_of(root: Path | None) -> set[str]:
    """The photos that were dealt into folds, as the dataset lists them.

    predictions.csv may be a stranger's and name any other file.
    """
    known = set()
    for split in ('train', 'val'):
        # Without its dataset a report has no photos.
        with suppress(UserError):
            known.update(_listed(root, split).photos)
    return known


def _require(
    path: Path, where: str, photos: int, right: int, noted: list[dict]
) -> None:
    """Stop where folds.json tells of other predictions than these."""
    counts = [row['photos'] or 0 for row in noted]
    hits = [
        count * row['top1'] / 100
        for count, row in zip(counts, noted, strict=True)
    ]
    if photos == sum(counts) and abs(right - sum(hits)) < 0.5:
        return
    raise UserError(
        f'{path} is not of this run: of {where} it has {photos} photos, '
        f'{right} of them right; folds.json tells of {sum(counts)} and '
        f'{sum(hits):.0f}.\nThe command of the training with --resume '
        'writes both anew'
    )
