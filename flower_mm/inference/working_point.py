"""A copy of best.pth with a working point."""

from pathlib import Path

from flower_mm.errors import UserError
from flower_mm.inference.calibration import KEY, calibration_of
from flower_mm.inference.classifier import file_of
from flower_mm.inference.prediction_files import UNSURE, promise
from flower_mm.weights.best_checkpoint import write_best
from flower_mm.weights.read_checkpoint import read_checkpoint


def set_precision(source: str | Path, precision: float, out: Path) -> str:
    """Write the copy; return what the working point is worth.

    Args:
        source: best.pth, best.safetensors, or the folder of a training.
        precision: The share of predictions that is right above it.
        out: The copy.
    """
    file = file_of(Path(source))
    if out.suffix != '.pth' or out.is_dir():
        raise UserError(f'invalid --out {out}: expected a file *.pth')
    if out.exists():
        raise UserError(f'--out {out} exists.\nName a new file')
    content = read_checkpoint(file)
    meta = content.get('meta')
    if not isinstance(meta, dict) or not isinstance(meta.get(KEY), dict):
        raise UserError(
            f'{file} has no confidences of validation photos.\n'
            'Train again with this version: best.pth then has them'
        )
    classes = meta['dataset_meta']['classes']
    if UNSURE in classes:
        raise UserError(
            f'photos below the working point are labelled {UNSURE!r}, which '
            f'is also a class of {file}.\nTrain with another name'
        )
    point = calibration_of(meta, len(classes), file).working_point(precision)
    meta[KEY]['precision'] = precision
    write_best(out, content['state_dict'], meta)
    return promise(point)
