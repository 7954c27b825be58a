"""Fit a linear layer on features: regularised logistic regression."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Factors of the squared weights, for features of unit size.
STRENGTHS = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
HELD_OUT = 5  # one photo in five chooses the strength
STEPS = 100  # of L-BFGS at most


@dataclass(frozen=True)
class Fitted:
    """The weights of a layer, and its accuracy on held-out photos."""

    weight: Tensor
    bias: Tensor
    strength: float
    held_out: int  # photos
    right: int  # of the held-out photos

    @property
    def top1(self) -> float:
        return 100 * self.right / self.held_out if self.held_out else 0.0


def fit(
    features: Tensor,
    labels: Tensor,
    classes: int,
    seed: int,
    class_weights: Sequence[float] | None = None,
) -> Fitted:
    """Choose the strength on a fifth of each class, then fit on all photos.

    The loss of a photo counts with the weight of its class.

    All features are divided by one common scale. Dividing each by its own
    deviation gave features that hardly vary too much weight: on flower photos
    the fit was worse, and fine-tuning from it as well.
    """
    features = features.float()
    mean = features.mean(0)
    centred = features - mean
    scale = centred.square().mean().sqrt().clamp_min(1e-12)
    centred /= scale
    held = _held_out(labels.cpu().numpy(), seed).to(features.device)
    kept, kept_labels = centred[~held], labels[~held]
    best = None
    by_class = None
    if class_weights is not None:
        by_class = features.new_tensor(class_weights)
    weights = _zeros(centred, classes)
    # Each fit starts from the result for the next larger strength.
    for strength in STRENGTHS if held.any() else STRENGTHS[1:2]:
        weights = _solve(
            kept, kept_labels, classes, strength, weights, by_class
        )
        logits = _logits(centred[held], weights)
        loss = float(functional.cross_entropy(logits, labels[held], by_class))
        if best is None or loss < best[0]:
            right = int((logits.argmax(1) == labels[held]).sum())
            best = loss, strength, weights, right
    assert best is not None  # at least one strength was tried
    _, strength, weights, right = best
    weights = _solve(centred, labels, classes, strength, weights, by_class)
    weight = weights[:, :-1] / scale
    return Fitted(
        weight,
        weights[:, -1] - weight @ mean,
        strength,
        int(held.sum()),
        right,
    )


def _zeros(features: Tensor, classes: int) -> Tensor:
    return features.new_zeros(classes, features.shape[1] + 1)


def _logits(features: Tensor, weights: Tensor) -> Tensor:
    return features @ weights[:, :-1].T + weights[:, -1]


def scores_by_fold(
    features: Tensor,
    labels: Tensor,
    folds: np.ndarray,
    classes: int,
    seed: int,
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield the photos of each fold, and their logits without them.

    The strength of the regularisation is chosen inside the training part of
    each fold.

    Args:
        features: (photos, features)
        labels: (photos,)
        folds: (photos,) their numbers
        classes: Number of classes.
        seed: As for `fit`.
    """
    for fold in np.unique(folds):
        held = folds == fold
        mask = torch.from_numpy(held).to(features.device)
        fitted = fit(features[~mask], labels[~mask], classes, seed)
        yield held, features[mask].float() @ fitted.weight.T + fitted.bias


def _solve(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strength: float,
    start: Tensor,
    by_class: Tensor | None,
) -> Tensor:
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=STEPS,
        tolerance_grad=1e-5,
        line_search_fn='strong_wolfe',
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(
            _logits(features, weights), labels, by_class
        )
        # The bias is not regularised.
        value = value + strength / 2 * weights[:, :-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return weights.detach()


def _held_out(labels: np.ndarray, seed: int) -> Tensor:
    """Choose one photo in five of each class, rounded down."""
    rng = np.random.default_rng(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in np.unique(labels):
        photos = rng.permutation(np.flatnonzero(labels == label))
        held[photos[: len(photos) // HELD_OUT]] = True
    return held
