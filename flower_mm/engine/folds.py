"""Cross-validation (`--folds K`): predict each photo out of fold.

Train and val photos are split into K folds. Each of K runs, in
WORK_DIR/fold_1 and so on, trains without one fold and predicts it.

A fold is predicted with the weights of the last epoch: the mean of those of
all steps, which the base config keeps, or the plain ones. best.pth would give
too high an accuracy: its epoch, and the choice between averaged and plain
weights, depend on the photos of the fold. folds.json has both accuracies.
"""

import argparse
import copy
import gc
import json
import shutil
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
from mmengine.config import Config

from flower_mm.annotations import (
    describe,
    lists_sha256,
    photos_folder,
    read_annotations,
)
from flower_mm.config import ResolvedRun
from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.hooks.report import report
from flower_mm.engine.resolved_run import resolve_training
from flower_mm.engine.resume import read_run
from flower_mm.engine.run_identity import differences, identity, require_same
from flower_mm.engine.run_start import RUN_FILES, set_aside
from flower_mm.engine.train import train
from flower_mm.errors import UserError
from flower_mm.files import replacing, sweep
from flower_mm.layout import DatasetDir, RunDir
from flower_mm.lock import only_run_in
from flower_mm.prepare.folds import HeldOut, make_folds, read_list
from flower_mm.prepare.photo import Photo
from flower_mm.report.baselines import (
    below_linear_probe,
    below_majority_class,
)
from flower_mm.report.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from flower_mm.report.predictor import Predictor
from flower_mm.report.report_data import linear_probes
from flower_mm.report.run_folder import read_run as read_report_run

SPLITS = ('train', 'val')


def train_folds(
    cfg: Config, run: ResolvedRun, args: argparse.Namespace
) -> int | None:
    """Cross-validate with the parsed arguments of `train`.

    Each fold is a run of its own, resolved from the config as it was read;
    `run` has the dataset and the folder of all folds.
    """
    _refuse(args)
    folder, root = run.work_dir, run.data_root
    args.dataset = root.resolve().name  # of all folds, for trackers
    with only_run_in(folder):
        sweep(folder)
        held = _deal(run, args)
        # The dataset may change while the folds train.
        dataset = {
            'data_root': str(root),
            'started_in': str(Path.cwd()),  # data_root is relative to it
            'dataset_sha256': describe(root).get('sha256'),
            'lists_sha256': lists_sha256(root),
        }
        out_of_fold = []
        for fold in range(1, args.folds + 1):
            print(f'fold {fold} of {args.folds}', flush=True)
            in_fold = [photo for photo in held if photo.fold == fold]
            code = _train(cfg, args, folder, fold, in_fold)
            if code:
                return code
            # The decoded photos of a fold are not needed any more.
            kept = folder / 'folds' / str(fold) / DatasetDir.DECODED
            shutil.rmtree(kept, ignore_errors=True)
            out_of_fold.append(
                read_predictions(_run(folder, fold) / RunDir.HELD_OUT)
            )
        summary = _conclude(folder, held, out_of_fold, dataset)
        if not args.no_report:
            report(folder, print, run.cfg)
    _show(folder, summary, _shortfalls(folder, out_of_fold))
    return None


def _refuse(args: argparse.Namespace) -> None:
    if args.folds < 2:
        raise UserError(
            f'invalid --folds: expected at least 2, got {args.folds}'
        )
    if args.resume not in (None, 'auto'):
        raise UserError(
            '--folds resumes each fold from its own checkpoint: use --resume '
            f'without {args.resume}'
        )
    if args.resume_anyway:
        raise UserError(
            'folds with different settings cannot be compared: use --folds '
            'with --resume, not --resume-anyway'
        )
    if args.launcher != 'none':
        raise UserError('--folds trains in one process: leave out --launcher')


def _run(folder: Path, fold: int) -> Path:
    return folder / f'fold_{fold}'


def _deal(run: ResolvedRun, args: argparse.Namespace) -> list[HeldOut]:
    """Make the folds, or read those of the run to resume."""
    root, folder, classes = run.data_root, run.work_dir, list(run.classes)
    seed = run.cfg.randomness.seed or 0
    note = {
        'of': args.folds,
        'seed': seed,
        'photos': identity(run.cfg, 1)['photos'],
    }
    made = folder / 'folds'
    if args.resume and made.is_dir():
        if describe(made / '1').get('folds') != note:
            raise UserError(
                f'{made} has other photos, another seed or another number of '
                'folds.\nUndo these changes, or start a new run: leave out '
                '--resume'
            )
        return read_list(made, classes)
    if args.resume:
        print(f'nothing to resume in {folder}: starting a new run')
    set_aside(folder, RUN_FILES)
    make_folds(
        _photos(root, classes),
        classes,
        args.folds,
        seed,
        describe(root).get('photos'),
        made,
        note,
    )
    return read_list(made, classes)


def _photos(root: Path, classes: list[str]) -> list[Photo]:
    photos = []
    for side in SPLITS:
        folder = photos_folder(root, side).absolute()
        for name, label in read_annotations(
            root / f'{side}.txt', folder, classes
        ):
            inside = name.removeprefix(f'{classes[label]}/')
            path = f'{classes[label]}/{inside}'
            photos.append(Photo(path, str(folder / name), label))
    return photos


def _train(
    cfg: Config,
    args: argparse.Namespace,
    folder: Path,
    fold: int,
    held: list[HeldOut],
) -> int | None:
    """Train without `held` and predict them, unless that is complete."""
    settings = argparse.Namespace(**vars(args))
    settings.work_dir = str(_run(folder, fold))
    settings.data_root = str(folder / 'folds' / str(fold))
    settings.no_report = True  # there is one of all folds
    cfg = copy.deepcopy(cfg)
    # MMEngine distinguishes runs in one process by this name and the second.
    cfg.experiment_name = f'fold_{fold}'
    run = resolve_training(cfg, settings)
    out = run.work_dir / RunDir.HELD_OUT
    kept = checkpoints(run.work_dir)
    if args.resume and kept and out.is_file():
        last = kept[-1]
        require_same(last, differences(read_run(last), run.cfg, 1))
        print(f'{out} is complete')
        return None
    code = train(run, settings)
    # Workers that persist live as long as the loaders of the run.
    gc.collect()
    if not code:
        predictor = Predictor(
            checkpoints(run.work_dir)[-1],
            args.device,
            run.cfg.test_dataloader.get('batch_size', 1),
            # The own config may name types that the one in a file may not.
            config=run.cfg,
            unselected=True,
        )
        write_predictions(
            out,
            predictor.predict(
                [photo.photo for photo in held],
                [photo.label for photo in held],
            ),
        )
    return code


def _conclude(
    folder: Path,
    held: list[HeldOut],
    out_of_fold: list[Predictions],
    dataset: dict,
) -> dict:
    """Combine the folds: write predictions.csv and folds.json."""
    place = {
        photo: (part, row)
        for part, predictions in enumerate(out_of_fold)
        for row, photo in enumerate(predictions.photos)
    }
    rows = [place[photo.photo] for photo in held]
    write_predictions(
        folder / RunDir.PREDICTIONS,
        Predictions(
            [photo.photo for photo in held],
            np.array([photo.label for photo in held]),
            np.stack([out_of_fold[part].scores[row] for part, row in rows]),
            out_of_fold[0].classes,
        ),
    )
    runs = [
        _summary(_run(folder, fold), predictions)
        for fold, predictions in enumerate(out_of_fold, 1)
    ]
    top1 = [run['top1'] for run in runs]
    summary = {
        'photos': len(held),
        'mean_top1': statistics.mean(top1),
        'lowest_top1': min(top1),
        'highest_top1': max(top1),
        'standard_deviation': statistics.stdev(top1),
        'weights': 'of the last epoch',
        **dataset,
        'folds': runs,
    }
    with replacing(folder / RunDir.FOLDS, 'w') as file:
        json.dump(summary, file, indent=2, ensure_ascii=False)
        file.write('\n')
    return summary


def _summary(run: Path, predictions: Predictions) -> dict:
    result = json.loads((run / RunDir.RECORD).read_text('utf-8'))['result']
    return {
        'run': run.name,
        'photos': len(predictions.photos),
        'top1': 100 * float(predictions.correct.mean()),
        'epochs': result['epochs'],
        # These photos chose the epoch, so that this is a little too high.
        'best_top1': result['best_top1'],
        'best_epoch': result['best_epoch'],
    }


def _shortfalls(folder: Path, folds: list[Predictions]) -> list[str]:
    """Notes on baselines that the folds do not exceed."""
    labels = Counter(np.concatenate([fold.labels for fold in folds]).tolist())
    photos = {name: labels[i] for i, name in enumerate(folds[0].classes)}
    correct = sum(int(fold.correct.sum()) for fold in folds)
    lines = [
        f'{probe["run"]}: {line}'
        for probe in linear_probes(read_report_run(folder))
        if (line := below_linear_probe(probe, is_fold=True))
    ]
    if line := below_majority_class(correct, photos):
        lines.append(line)
    return lines


def _show(folder: Path, summary: dict, notes: list[str]) -> None:
    print(f'\n{"":8}  photos  top-1, %  best epoch, %')
    for run in summary['folds']:
        best = run['best_top1']
        print(
            f'{run["run"]:8}  {run["photos"]:6}  {run["top1"]:8.2f}  '
            + ('' if best is None else f'{best:17.2f}')
        )
    print(
        f'mean {summary["mean_top1"]:.2f} % '
        f'({summary["lowest_top1"]:.2f} to {summary["highest_top1"]:.2f}, '
        f'standard deviation {summary["standard_deviation"]:.2f}), out of '
        'fold, with the weights of the last epoch; near-duplicates are in one '
        'fold'
    )
    for line in notes:
        print(f'note: {line}')
    for title, name in (
        ('report', RunDir.REPORT),
        ('predictions', RunDir.PREDICTIONS),
        ('figures', RunDir.FOLDS),
    ):
        if (folder / name).is_file():
            print(f'  {title:11}  {folder / name}', flush=True)
