"""Write the folder that `flower-mm share` makes of a run."""

import json
import shutil
import sys
from pathlib import Path

from mmengine.config import Config, ConfigDict
from PIL import Image

from flower_mm.errors import UserError
from flower_mm.export.export_model import export
from flower_mm.files import (
    make_public,
    sync_folder,
    temporary_folder,
    write_whole,
)
from flower_mm.inference.calibration import KEY as CALIBRATION
from flower_mm.inference.classifier import Classifier
from flower_mm.inference.known_photos import KEY as KNOWN_PHOTOS
from flower_mm.layout import RunDir
from flower_mm.lock import LOCK, only_run_in
from flower_mm.report.formatting import one_decimal
from flower_mm.report.report_files import write_report
from flower_mm.report.run_folder import (
    checked,
    read_report,
    read_run,
    require_current_format,
)
from flower_mm.share.example_photos import (
    DatasetPhoto,
    photos_to_share,
    write_examples,
)
from flower_mm.share.model_card import Model, model_card
from flower_mm.weights.best_checkpoint import write_safetensors
from flower_mm.weights.checked_config import config_of, own_modules
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.load_into_model import architecture_of, parameters_of
from flower_mm.weights.pretrained_table import read_table
from flower_mm.weights.read_checkpoint import read_checkpoint

ONNX = {
    'best.onnx': 'for ONNX Runtime, float32, with the preprocessing',
    'best_tensor.onnx': 'for ONNX Runtime, float32, takes tensors',
    'predict_onnx.py': 'how to use it',
}
# The metadata of best.pth to share; other keys may contain paths.
SHARED_META = (
    'classes',
    'dataset_meta',
    'metrics',
    CALIBRATION,
    KNOWN_PHOTOS,
    'epoch',
    'weights',
    'dataset_sha256',
    'seed',
    'pretrained',
    'versions',
    'flower_mm',
)


def share(
    work_dir: Path,
    out: Path,
    data_root: str | None = None,
    examples: int = 0,
    device: str = 'auto',
) -> list[Path]:
    """Write the folder `out` and return its files; nothing after an error.

    Args:
        work_dir: The folder of a run.
        out: The folder to write.
        data_root: The dataset, if it has moved since the training.
        examples: The number of photos of each class to include.
        device: As in `--device`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f'{out} exists: expected an empty or a new folder.\n'
            'Name another folder, or delete it'
        )
    run = read_run(work_dir)
    if run.folds or not run.best.is_file():
        raise UserError(
            f'{work_dir} has several models: expected one run, such as '
            f'{work_dir / "fold_1"}'
            if run.folds
            else f'{work_dir} has no best.pth: expected the folder of a '
            'training'
        )
    facts = _facts(work_dir, data_root, device)
    root = Path(data_root) if data_root else run.data_root
    photos = {}
    if examples:
        trained_on = read_checkpoint(run.best)['meta'].get('dataset_sha256')
        photos = photos_to_share(
            root, facts['evaluation']['split'], trained_on
        )
    folder = temporary_folder(out)
    try:
        with only_run_in(folder):  # so that other processes leave it
            _fill(folder, run.best, facts, str(root or ''), photos, examples)
        (folder / LOCK).unlink()
        make_public(folder, 0o777)
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(out.parent)
    return sorted(path for path in out.rglob('*') if path.is_file())


def _facts(work_dir: Path, data_root: str | None, device: str) -> dict:
    """Read report.json of this best.pth; measure it again if necessary."""
    best = sha256_of(work_dir / RunDir.BEST)
    require_current_format(work_dir)
    for attempt in range(2):
        facts = read_report(work_dir)
        evaluation = facts.get('evaluation') or {}
        if facts.get('metrics') and (
            evaluation.get('checkpoint_sha256') == best
        ):
            return facts
        if not attempt:
            write_report(work_dir, data_root, device=device)
    reason = facts.get('missing_reason') or 'photos are missing'
    raise UserError(
        f'the accuracy of {work_dir}/best.pth is unknown: {reason}\n'
        'Name the dataset of the training: --data FOLDER'
    )


def _fill(
    folder: Path,
    best: Path,
    facts: dict,
    data_root: str,
    photos: dict[str, DatasetPhoto],
    count: int,
) -> None:
    examples = []
    if count:  # first: predictions of another dataset are refused
        predictions = best.with_name(RunDir.PREDICTIONS)
        examples = write_examples(folder, predictions, photos, count)
    checkpoint = read_checkpoint(best)
    config = config_of(best)
    meta = checkpoint['meta']
    model = _model(checkpoint, config)
    weights = folder / RunDir.BEST_SAFETENSORS
    write_safetensors(
        weights,
        checkpoint['state_dict'],
        {
            **{key: meta[key] for key in SHARED_META if key in meta},
            'cfg': config.to_dict(),
        },
    )
    write_whole(
        folder / 'config.json',
        (json.dumps(config.to_dict(), indent=2) + '\n').encode(),
    )
    files = [
        (weights, 'weights, classes and config'),
        (folder / 'config.json', 'the config, to read'),
    ]
    files += _export_onnx(folder, best, data_root)
    _verify(folder, best)
    card = model_card(facts, model, files, examples)
    write_whole(folder / 'README.md', card.encode())


def _export_onnx(
    folder: Path, best: Path, data_root: str
) -> list[tuple[Path, str]]:
    """Return the files of ONNX with descriptions, or none with a warning."""
    try:
        exported = export(best, 'onnx', folder, data_root)
    except UserError as error:
        print(f'warning: shared without ONNX: {error}', file=sys.stderr)
        return []
    for note in exported.notes:
        print(note, file=sys.stderr)
    if folder / 'best.onnx' in exported.files:
        # Programs that prepare tensors themselves can use the weights.
        (folder / 'best_tensor.onnx').unlink(missing_ok=True)
    files = []
    for path in filter(Path.is_file, exported.files):
        description = ONNX[path.name]
        if path.name in exported.accuracy:
            accuracy = one_decimal(exported.accuracy[path.name])
            description += (
                f'; accuracy {accuracy} % on {exported.photos} validation '
                'photos'
            )
        files.append((path, description))
    return files


def _architecture(model: ConfigDict) -> str:
    """Return the name of a network that is not in the table of weights."""
    backbone = model.get('backbone', model)
    return str(backbone.get('model_name', backbone.type))


def _model(checkpoint: dict, config: Config) -> Model:
    state = checkpoint['state_dict']
    backbone = {
        key.removeprefix('backbone.'): tensor
        for key, tensor in state.items()
        if key.startswith('backbone.')
    }
    name = architecture_of(parameters_of(backbone))
    meta = checkpoint['meta']
    return Model(
        read_table()[name].architecture
        if name
        else _architecture(config.model),
        parameters_of(state),
        checked(meta.get('pretrained'), 'object'),
        'pretrained' in meta,
        own_modules(config),
        meta.get(KNOWN_PHOTOS) is not None,
    )


def _verify(folder: Path, best: Path) -> None:
    """Raise unless the copy and best.pth predict bit-identically."""
    photo = Image.effect_noise((300, 260), 80).convert('RGB')
    copied, original = (
        Classifier(path, device='cpu')(photo) for path in (folder, best)
    )
    if copied != original:
        raise RuntimeError('the copy of the weights predicts differently')
