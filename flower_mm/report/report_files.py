"""Write report.html and comparison.html with their JSON files."""

import json
import sys
from collections.abc import Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.errors import UserError
from flower_mm.files import write_whole
from flower_mm.layout import RunDir
from flower_mm.report import html
from flower_mm.report.confusion_table import rows_of_cells
from flower_mm.report.evaluate import Evaluation, evaluate
from flower_mm.report.html import Photo
from flower_mm.report.nearest_photos import NearestPhotos, nearest_photos
from flower_mm.report.report_data import comparison_of, report_of
from flower_mm.report.run_folder import (
    Run,
    checked,
    read_json,
    read_run,
    require_current_format,
)
from flower_mm.report.train_batch import read_train_batch

if TYPE_CHECKING:
    from mmengine.config import Config

# Pixels of the longer side of a photo.
LARGE, SMALL, SMALLEST = 256, 112, 72


def write_report(
    folder: str | Path,
    data_root: str | Path | None = None,
    split: str = 'val',
    device: str = 'auto',
    config: 'Config | None' = None,
) -> Path:
    """Write the report into the folder of a run; return the page's path.

    Parts for which the run left no data say so. If the photos cannot be
    predicted, no file is changed. `config` replaces that of best.pth, which
    the user's own run may do.
    """
    run = read_run(Path(folder))
    evaluation = evaluate(run, data_root, split, device, config=config)
    out = run.folder / RunDir.REPORT
    _keep_photos(out, evaluation)
    report = report_of(run, evaluation, data_root)
    cells = {}
    if evaluation.predictions and evaluation.predictors:
        cells = rows_of_cells(evaluation.predictions)
    root = Path(data_root) if data_root else run.data_root
    nearest = nearest_photos(
        evaluation, root, report['errors'][: html.MAX_ERRORS]
    )
    photos = load_photos(
        evaluation,
        large=_paths(report['possible_label_errors'][: html.MAX_LABEL_ERRORS]),
        with_heat=_paths(report['errors'][: html.MAX_ERRORS]),
        small={row['photo'] for rows in cells.values() for row in rows},
    )
    if evaluation.reason:
        print(f'not in the report: {evaluation.reason}', file=sys.stderr)
    batch = read_train_batch(run.folder)
    page = html.render_report(
        report,
        run,
        photos,
        cells,
        batch,
        nearest,
        _training_pictures(evaluation, nearest),
    )
    _write(out, page, report)
    return out


def _training_pictures(
    evaluation: Evaluation, nearest: NearestPhotos
) -> Mapping[str, bytes]:
    """Thumbnails of training photos as their model gets them."""
    if not nearest.of_photo:
        return {}
    from flower_mm.inference.heat_map import thumbnail

    predictor = evaluation.predictors[0][0]()
    pictures: dict[str, bytes] = {}
    for neighbours in nearest.of_photo.values():
        for photo in {each.photo for each in neighbours} - pictures.keys():
            with suppress(UserError, OSError):
                seen = predictor.seen(predictor.packed(photo))
                pictures[photo] = thumbnail(seen, SMALLEST)
    return pictures


def _paths(rows: list[dict]) -> set[str]:
    return {row['photo'] for row in rows}


def write_comparison(
    folders: list[str | Path],
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    split: str = 'val',
    device: str = 'auto',
) -> Path:
    """Compare runs with the first one; return the page's path.

    A JSON file of the same name has the figures. The folders of the runs stay
    as they are.
    """
    paths = [Path(folder).resolve() for folder in folders]
    if repeated := [path for path in paths if paths.count(path) > 1]:
        raise UserError(
            f'{repeated[0]} is given twice: expected different runs'
        )
    runs = [read_run(Path(folder)) for folder in folders]
    for run in runs:
        require_current_format(run.folder)
    out = Path(out or paths[0].parent / 'comparison.html')
    if out.suffix != '.html':
        raise UserError(f'invalid --out {out}: expected a .html file')
    _refuse_to_replace(out)
    evaluations = [
        evaluate(run, data_root, split, device, write=False) for run in runs
    ]
    _keep_photos(out, evaluations[0])
    comparison = comparison_of(runs, evaluations, data_root)
    changed = {
        row['photo']
        for pair in comparison['pairs']
        for key in html.CHANGED
        for row in pair.get(key, [])[: html.MAX_CHANGED]
    }
    photos = load_photos(evaluations[0], large=changed)
    configs = [_resolved_config(run) for run in runs]
    page = html.render_comparison(comparison, runs, photos, configs)
    _write(out, page, comparison)
    return out


def _resolved_config(run: Run) -> dict | None:
    """The resolved config of a run, as data from its best.pth."""
    from flower_mm.weights.read_checkpoint import read_checkpoint

    path = run.folds[0].last_checkpoint if run.folds else run.best
    if path is None:
        return None
    try:
        config = read_checkpoint(path)['meta']['cfg']
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return None
    return checked(config, 'object')


def _refuse_to_replace(out: Path) -> None:
    """Raise UserError if `out` or its JSON file is something else."""
    figures = out.with_suffix('.json')
    is_report = (
        out.name == RunDir.REPORT and (out.parent / RunDir.RECORD).exists()
    )
    if is_report or (figures.exists() and 'pairs' not in read_json(figures)):
        raise UserError(
            f'--out {out} would replace {out if is_report else figures}, '
            'which is not a comparison.\nName another file'
        )


def _keep_photos(out: Path, evaluation: Evaluation) -> None:
    """Raise UserError if a page with photos would lose them."""
    is_without_photos = evaluation.predictions and evaluation.reason
    if not is_without_photos or not out.is_file():
        return
    if b'data:image/jpeg' in out.read_bytes():
        raise UserError(
            f'{evaluation.reason.splitlines()[0]}\n{out} has photos and is '
            'kept. Restore what is missing, name the dataset (--data-root '
            'FOLDER), or delete the page to write one without photos'
        )


def _write(out: Path, page: str, figures: dict) -> None:
    text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False)
    for path, content in (
        (out.with_suffix('.json'), text + '\n'),
        (out, page),
    ):
        # A file name may be no valid text.
        write_whole(path, content.encode('utf-8', 'backslashreplace'))


def load_photos(
    evaluation: Evaluation,
    large: Set[str] = frozenset(),
    with_heat: Set[str] = frozenset(),
    small: Set[str] = frozenset(),
) -> Mapping[str, Photo]:
    """Pictures of photos as their model got them.

    Args:
        evaluation: Predictions with the models that made them.
        large: Photos to show large.
        with_heat: Photos to show large with a heat map of their prediction.
        small: Photos to show small.
    """
    predictions = evaluation.predictions
    if predictions is None:
        return {}
    photos = predictions.photos
    large = large | with_heat
    pictures = {}
    for load, indices in evaluation.predictors:
        indices = [i for i in indices if photos[i] in large | small]
        if not indices:
            continue
        from flower_mm.inference.heat_map import heat_maps, overlay, thumbnail

        predictor = load()
        inputs = {}
        for i in indices:
            # A photo that was deleted in the meantime is not shown.
            with suppress(UserError, OSError):
                inputs[i] = predictor.packed(photos[i])
        hot = [i for i in inputs if photos[i] in with_heat]
        predicted = predictions.predicted[hot].tolist()
        heats = {}
        # Some backbones have no feature map.
        with suppress(ValueError):
            maps = heat_maps(
                predictor.model, [inputs[i] for i in hot], predicted
            )
            heats = dict(zip(hot, maps, strict=True))
        for i, photo in inputs.items():
            name, pixels = photos[i], predictor.seen(photo)
            pictures[name] = Photo(
                thumbnail(pixels, LARGE) if name in large else None,
                overlay(pixels, heats[i], LARGE) if i in heats else None,
                thumbnail(pixels, SMALL) if name in small else None,
            )
    return pictures
