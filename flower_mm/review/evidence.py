"""What a model says about the photos: probabilities and features.

The probabilities are out-of-fold where possible: a model repeats a wrong label
that it was trained on.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flower_mm.console import track
from flower_mm.engine.linear_probe import scores_by_fold
from flower_mm.errors import UserError
from flower_mm.inference.features import FeatureModel, features_of
from flower_mm.prepare.folds import assign_folds
from flower_mm.report.evaluate import evaluate
from flower_mm.report.run_folder import read_run
from flower_mm.review.dataset_photos import ReviewedDataset
from flower_mm.weights.candidates import find_candidates

FOLDS, SEED = 5, 0


@dataclass(frozen=True)
class Evidence:
    """What is known about each photo.

    Attributes:
        scores: (photos, classes) probabilities, NaN where they are unknown.
        vectors: (photos, features) of length 1, zero where they are unknown;
            None without a model.
        source: Where the probabilities come from.
    """

    scores: np.ndarray
    vectors: np.ndarray | None
    source: str


def evidence_of(
    dataset: ReviewedDataset, args: argparse.Namespace
) -> Evidence:
    if args.run and args.weights:
        raise UserError('use either --run or --weights')
    if args.run:
        return _of_run(dataset, args)
    candidates = find_candidates(args.weights and [args.weights])
    stored = [each for each in candidates if each.path()]
    if not stored:
        if args.weights:
            raise UserError(
                f'the weights {args.weights} are not stored.\n'
                f'Download them: flower-mm weights {args.weights}'
            )
        unknown = np.full(
            (len(dataset.photos), len(dataset.classes)), np.nan, np.float32
        )
        return Evidence(
            unknown,
            None,
            'without a model: --run is missing, and no pretrained weights '
            'are stored (flower-mm weights mobilenet_v2)',
        )
    model = FeatureModel.of_backbone(stored[0], args.device)
    vectors, has_vector = _vectors(model, dataset)
    scores = out_of_fold(dataset, vectors, has_vector)
    return Evidence(
        scores,
        vectors,
        f'out-of-fold predictions of a linear classifier on features of '
        f'{stored[0].name}',
    )


def out_of_fold(
    dataset: ReviewedDataset, vectors: np.ndarray, has_vector: np.ndarray
) -> np.ndarray:
    """Return the probabilities of photos by classifiers without them."""
    labels = np.array([photo.label for photo in dataset.photos])
    groups = dataset.group_numbers()
    places = np.flatnonzero(has_vector)
    scores = np.full((len(labels), len(dataset.classes)), np.nan, np.float32)
    if len(places) < 2 * FOLDS:
        return scores
    folds = np.array(
        assign_folds(
            [groups[i] for i in places],
            labels[places].tolist(),
            ['/'.join(dataset.photos[i].key).encode() for i in places],
            FOLDS,
            SEED,
        )
    )
    by_fold = scores_by_fold(
        torch.from_numpy(vectors[places]),
        torch.from_numpy(labels[places]),
        folds,
        len(dataset.classes),
        SEED,
    )
    for held, logits in track(by_fold, FOLDS, 'fitting classifiers'):
        scores[places[held]] = torch.softmax(logits, 1).numpy()
    return scores


def _vectors(
    model: FeatureModel, dataset: ReviewedDataset
) -> tuple[np.ndarray, np.ndarray]:
    found = features_of(model, [photo.file for photo in dataset.photos])
    count = len(dataset.photos)
    vectors = np.zeros((count, found.vectors.shape[1]), np.float32)
    vectors[found.indices] = found.vectors
    has_vector = np.zeros(count, bool)
    has_vector[found.indices] = True
    return vectors, has_vector


def _of_run(dataset: ReviewedDataset, args: argparse.Namespace) -> Evidence:
    run = read_run(Path(args.run))
    evaluation = evaluate(
        run,
        None if run.folds else dataset.root,
        'val',
        args.device,
        write=False,
    )
    predictions = evaluation.predictions
    if predictions is None:
        raise UserError(evaluation.reason)
    if predictions.classes != dataset.classes:
        raise UserError(
            f'{args.run} has other classes than {dataset.root}: expected a '
            'training on this dataset'
        )
    place = {photo: i for i, photo in enumerate(predictions.photos)}
    scores = np.full(
        (len(dataset.photos), len(dataset.classes)), np.nan, np.float32
    )
    known = 0
    for i, photo in enumerate(dataset.photos):
        if photo.file in place:
            scores[i] = predictions.scores[place[photo.file]]
            known += 1
    if not known:
        raise UserError(
            f'{args.run} has predictions of other photos than those of '
            f'{dataset.root}.\nName a training on this dataset, or omit '
            '--run'
        )
    vectors = None
    if run.best.is_file():
        model = FeatureModel.of_run(run.best, args.device, args.imports)
        vectors, _ = _vectors(model, dataset)
    kind = 'out-of-fold' if run.folds else 'validation'
    return Evidence(
        scores, vectors, f'{kind} predictions of {run.name}: {known} photos'
    )
