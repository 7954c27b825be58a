"""Test a checkpoint: metrics, confusion matrix, prediction per photo."""

import argparse
import copy
import dataclasses
import json
from pathlib import Path

import mmengine
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmpretrain.evaluation import ConfusionMatrix, SingleLabelMetric

from flower_mm.commands import command, typed_arguments
from flower_mm.engine.config_differences import differences
from flower_mm.engine.distributed import leave_group
from flower_mm.engine.kept_predictions import KeepPredictions
from flower_mm.engine.resolved_run import resolve_test
from flower_mm.errors import UserError
from flower_mm.files import replacing, write_whole
from flower_mm.inference.calibration import calibration_of
from flower_mm.links import refuse_links_out
from flower_mm.machine_failures import explained
from flower_mm.process_resources import keep_memory
from flower_mm.report.baselines import below_majority_class
from flower_mm.report.learning_curves import draw_confusion
from flower_mm.report.predictions import Predictions, write_predictions
from flower_mm.weights.read_checkpoint import read_checkpoint
from flower_mm.weights.safe_loading import safe_loading

SHOWN = 8  # differences printed; the others are counted


def _with_tta(cfg: Config) -> Config:
    """Average each photo's scores with those of its mirror image."""
    cfg = copy.deepcopy(cfg)
    pipeline = cfg.test_dataloader.dataset.pipeline
    model = cfg.get('tta_model') or ConfigDict(
        type='mmpretrain.AverageClsScoreTTA'
    )
    cfg.model = ConfigDict(**model, module=cfg.model)
    if cfg.get('tta_pipeline'):
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        return cfg
    flips = [{'type': 'RandomFlip', 'prob': p} for p in (1.0, 0.0)]
    cfg.test_dataloader.dataset.pipeline = [
        *copy.deepcopy(pipeline[:-1]),
        {'type': 'TestTimeAug', 'transforms': [flips, [pipeline[-1]]]},
    ]
    return cfg


@safe_loading()
def test(args: argparse.Namespace) -> None:
    """Test with the parsed arguments of `test`."""
    if args.out_item and not args.out:
        raise UserError('--out-item needs --out FILE')
    run = resolve_test(args)
    cfg, classes, folder = run.cfg, list(run.classes), run.work_dir
    keep_memory()
    beside = None if args.work_dir else Path(args.checkpoint).parent
    refuse_links_out(folder, beside)
    if args.show_dir:
        refuse_links_out(Path(args.show_dir), flag='--show-dir')
    if args.out:
        refuse_links_out(Path(args.out), Path(args.out).parent, '--out')
    meta = read_checkpoint(Path(args.checkpoint)).get('meta') or {}
    _same_classes(args.checkpoint, meta, classes)
    if not args.ignore_checkpoint_config:
        _same_config(args, cfg, meta)
    if args.tta:
        cfg = _with_tta(cfg)
    batch_size = cfg.test_dataloader.get('batch_size', 1)
    less = (
        'With a smaller batch: --cfg-options '
        f'test_dataloader.batch_size={max(1, batch_size // 2)}'
    )
    with explained(folder, batch_size, less):
        metrics, kept = _run(cfg, args, classes)
    main = is_main_process()
    leave_group()
    if not main:
        return
    predictions = _calibrated(kept, meta, args.checkpoint)
    figures = evaluate(predictions)
    with replacing(folder / 'test.json', 'w') as file:
        json.dump(
            {
                'checkpoint': args.checkpoint,
                'split': cfg.test_dataloader.dataset.split,
                **figures,
            },
            file,
            indent=2,
            ensure_ascii=False,
        )
    draw_confusion(
        np.array(figures['confusion']), classes, folder / 'confusion.png'
    )
    if _as_csv(args):
        write_predictions(Path(args.out), predictions)
    elif args.out_item == 'metrics':
        kind = Path(args.out).suffix.removeprefix('.')
        content = mmengine.dump(metrics, file_format=kind)
        write_whole(
            args.out, content.encode() if isinstance(content, str) else content
        )
    _show(figures, cfg.test_dataloader.dataset.split, folder, args.out)


def _run(
    cfg: Config, args: argparse.Namespace, classes: list[str]
) -> tuple[dict, KeepPredictions]:
    """Test; return the metrics of the config and the predictions."""
    runner = RUNNERS.build(cfg)
    kept = KeepPredictions(classes)
    runner.test_evaluator.metrics.append(kept)
    if args.out and not _as_csv(args) and args.out_item != 'metrics':
        runner.test_evaluator.metrics.append(DumpResults(args.out))
    return runner.test(), kept


def _calibrated(
    kept: KeepPredictions, meta: dict, checkpoint: str
) -> Predictions:
    """The predictions with the probabilities of `predict`."""
    found = kept.predictions
    if found is None:
        raise UserError(f'the model in {checkpoint} is not a classifier')
    figures = calibration_of(meta, len(found.classes), checkpoint)
    scores = figures.calibrated(found.scores)
    return dataclasses.replace(found, scores=scores)


def _as_csv(args: argparse.Namespace) -> bool:
    return bool(args.out) and Path(args.out).suffix == '.csv'


def evaluate(predictions: Predictions) -> dict:
    """Top-1 and, per class, precision, recall and F1 in per cent."""
    classes = predictions.classes
    predicted = torch.from_numpy(predictions.predicted)
    labels = torch.from_numpy(predictions.labels)
    precision, recall, f1, support = SingleLabelMetric.calculate(
        predicted, labels, num_classes=len(classes), average=None
    )
    matrix = ConfusionMatrix.calculate(
        predicted, labels, num_classes=len(classes)
    )
    return {
        'top1': 100 * (predicted == labels).float().mean().item(),
        'photos': len(predictions.photos),
        'classes': {
            name: {
                'precision': precision[i].item(),
                'recall': recall[i].item(),
                'f1': f1[i].item(),
                'photos': int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        'confusion': matrix.int().tolist(),
    }


def _same_classes(checkpoint: str, meta: dict, classes: list[str]) -> None:
    """Require that the checkpoint has the classes of the dataset."""
    trained = list((meta.get('dataset_meta') or {}).get('classes', classes))
    if trained != classes:
        raise UserError(
            f'{checkpoint} was trained on {_few(trained)};\n'
            f'the dataset has {_few(classes)}.\n'
            'Test on the dataset of the training: --data FOLDER'
        )


def _same_config(args: argparse.Namespace, cfg: Config, meta: dict) -> None:
    """Require that the model computes as in training."""
    try:
        changes = differences(cfg, meta.get('cfg'))
    except RecursionError as error:
        raise UserError(
            f'{args.checkpoint} holds an invalid config: its nesting is too '
            'deep.'
        ) from error
    if not changes:
        return
    more = len(changes) - SHOWN
    shown = [*map(str, changes[:SHOWN]), *[f'… and {more} more'] * (more > 0)]
    options = [difference.option for difference in changes]
    if all(options):
        fix = command('test', *typed_arguments(), '--cfg-options', *options)
        fix = f'Use its values: {fix}'
    else:
        fix = 'Name the config and the --cfg-options of its training.'
    raise UserError(
        f'{args.config} differs from the config that {args.checkpoint} was '
        'trained with:\n  '
        + '\n  '.join(shown)
        + f'\n{fix}\nTo test with this config all the same: '
        '--ignore-checkpoint-config'
    )


def _few(names: list[str]) -> str:
    shown = ', '.join(names[:8]) + (', …' if len(names) > 8 else '')
    return f'{len(names)} classes ({shown})'


def _show(figures: dict, split: str, folder: Path, out: str | None) -> None:
    rows = figures['classes']
    width = max(5, *(len(name) for name in rows))
    print(
        f'top-1 {figures["top1"]:.2f} % of {figures["photos"]} photos '
        f'({split} split)\n'
    )
    print(f'{"class":{width}}  precision  recall     F1  photos')
    for name, row in rows.items():
        print(
            f'{name:{width}}  {row["precision"]:9.2f}  {row["recall"]:6.2f}'
            f'  {row["f1"]:5.2f}  {row["photos"]:6d}'
        )
    photos = {name: row['photos'] for name, row in rows.items()}
    correct = sum(row[i] for i, row in enumerate(figures['confusion']))
    if line := below_majority_class(correct, photos):
        print(f'\nnote: {line}')
    print('\nconfusion matrix (rows: labels, columns: predicted classes):')
    cell = max(4, *(len(str(n)) for row in figures['confusion'] for n in row))
    for name, row in zip(rows, figures['confusion'], strict=True):
        print(f'{name:{width}} ', *(f'{n:{cell}d}' for n in row))
    print(f'\n  picture   {folder / "confusion.png"}')
    print(f'  figures   {folder / "test.json"}')
    if out:
        print(f'  {"photos" if out.endswith(".csv") else "results"}    {out}')
