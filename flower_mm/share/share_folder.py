"""Put together what others need of a run."""

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
from flower_mm.inference.classifier import Classifier
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
    Shareable,
    shareable,
    write_examples,
)
from flower_mm.share.model_card import Model, card
from flower_mm.weights.best_checkpoint import write_safetensors
from flower_mm.weights.checked_config import config_of, own_modules
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.load_into_model import architecture_of, parameters_of
from flower_mm.weights.pretrained_table import read_table
from flower_mm.weights.read_checkpoint import read_checkpoint

ONNX = {
    'best.onnx': 'for ONNX Runtime in float32, preprocessing inside',
    'best_tensor.onnx': 'for ONNX Runtime in float32, of tensors',
    'predict_onnx.py': 'how to use it',
}
# What of best.pth's notes goes out: nothing that names a place.
NOTES = (
    'classes',
    'dataset_meta',
    'metrics',
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
    """Make `out`; return its files. Nothing is there if this raises.

    Args:
        work_dir: The folder of a run.
        out: The folder to make.
        data_root: The dataset, where it is not where the run had it.
        examples: How many photos of each class go with it.
        device: As in `--device`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f'{out} is there already: name another folder, or delete it'
        )
    run = read_run(work_dir)
    if run.folds or not run.best.is_file():
        raise UserError(
            f'{work_dir} holds no best.pth of one run'
            + (
                '; of folds there is a model each: name one, such as '
                f'{work_dir / "fold_1"}'
                if run.folds
                else ''
            )
        )
    facts = _facts(work_dir, data_root, device)
    root = Path(data_root) if data_root else run.data_root
    photos = {}
    if examples:
        trained_on = read_checkpoint(run.best)['meta'].get('dataset_sha256')
        photos = shareable(root, facts['evaluation']['split'], trained_on)
    part = temporary_folder(out)
    try:
        with only_run_in(part):  # tells other processes that it is in use
            _fill(part, run.best, facts, str(root or ''), photos, examples)
        (part / LOCK).unlink()
        make_public(part, 0o777)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(out.parent)
    return sorted(path for path in out.rglob('*') if path.is_file())


def _facts(work_dir: Path, data_root: str | None, device: str) -> dict:
    """report.json's of this best.pth; it is measured where that is missing."""
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
    why = facts.get('missing_reason') or 'its photos are missing'
    raise UserError(
        f'nothing tells how good {work_dir}/best.pth is: {why}\n'
        'Name the dataset it was trained on: --data-root FOLDER'
    )


def _fill(
    part: Path,
    best: Path,
    facts: dict,
    data_root: str,
    photos: dict[str, Shareable],
    examples: int,
) -> None:
    checkpoint = read_checkpoint(best)
    config = config_of(best)
    meta = checkpoint['meta']
    model = _model(checkpoint, config)
    weights = part / RunDir.BEST_SAFETENSORS
    write_safetensors(
        weights,
        checkpoint['state_dict'],
        {
            **{key: meta[key] for key in NOTES if key in meta},
            'cfg': config.to_dict(),
        },
    )
    write_whole(
        part / 'config.json',
        (json.dumps(config.to_dict(), indent=2) + '\n').encode(),
    )
    files = [
        (weights, 'the weights, with classes and config'),
        (part / 'config.json', 'the config, for people; the weights have it'),
    ]
    files += _onnx(part, best, data_root)
    shown = []
    if examples:
        predictions = best.with_name(RunDir.PREDICTIONS)
        shown = write_examples(part, predictions, photos, examples)
    _check(part, best)
    write_whole(part / 'README.md', card(facts, model, files, shown).encode())


def _onnx(part: Path, best: Path, data_root: str) -> list[tuple[Path, str]]:
    """The files of ONNX and what they are, or none and why."""
    try:
        found = export(best, 'onnx', part, data_root)
    except UserError as error:
        print(f'not in it, ONNX: {error}', file=sys.stderr)
        return []
    for note in found.notes:
        print(note, file=sys.stderr)
    if part / 'best.onnx' in found.files:
        # Who can make tensors has the weights as well.
        (part / 'best_tensor.onnx').unlink(missing_ok=True)
    files = []
    for path in filter(Path.is_file, found.files):
        what = ONNX[path.name]
        if path.name in found.accuracy:
            right = one_decimal(found.accuracy[path.name])
            what += f'; {right} % of {found.photos} photos of val right'
        files.append((path, what))
    return files


def _architecture(model: ConfigDict) -> str:
    """The name of a network that the table of weights does not have."""
    part = model.get('backbone', model)
    return str(part.get('model_name', part.type))


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
    )


def _check(part: Path, best: Path) -> None:
    """The copy says to the bit what best.pth says of a photo."""
    photo = Image.effect_noise((300, 260), 80).convert('RGB')
    ours, theirs = (
        Classifier(path, device='cpu')(photo) for path in (part, best)
    )
    if ours != theirs:
        raise RuntimeError('the copy of the weights says something else')
