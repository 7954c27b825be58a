"""A linear layer fitted on features: regularised logistic regression."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Of the squared weights, on features of unit size: from nearly none to much.
STRENGTHS = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
HELD_OUT = 5  # one photo in that many chooses the strength
STEPS = 100  # of L-BFGS, which ends sooner where the loss is flat


@dataclass(frozen=True)
class Fitted:
    """A layer's weights, and how well they told photos held out of them."""

    weight: Tensor
    bias: Tensor
    strength: float
    held_out: int  # photos
    right: int  # of those

    @property
    def top1(self) -> float:
        return 100 * self.right / self.held_out if self.held_out else 0.0


def fit(features: Tensor, labels: Tensor, classes: int, seed: int) -> Fitted:
    """Choose the strength on a fifth of each class, then fit on all photos.

    The features are moved to their mean and divided by one number. Dividing
    each by its own deviation gives those that hardly vary too much say: on
    flower photos it fitted worse, and the backbone suffered for it afterwards.
    """
    features = features.float()
    mean = features.mean(0)
    centred = features - mean
    scale = centred.square().mean().sqrt().clamp_min(1e-12)
    centred /= scale
    held = _held_out(labels.cpu().numpy(), seed).to(features.device)
    kept, kept_labels = centred[~held], labels[~held]
    best = None
    weights = _zeros(centred, classes)
    # From the strongest on, each fit starts from the one before.
    for strength in STRENGTHS if held.any() else STRENGTHS[1:2]:
        weights = _solve(kept, kept_labels, classes, strength, weights)
        logits = _logits(centred[held], weights)
        loss = float(functional.cross_entropy(logits, labels[held]))
        if best is None or loss < best[0]:
            right = int((logits.argmax(1) == labels[held]).sum())
            best = loss, strength, weights, right
    _, strength, weights, right = best
    weights = _solve(centred, labels, classes, strength, weights)
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


def _solve(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strength: float,
    start: Tensor,
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
        found = functional.cross_entropy(_logits(features, weights), labels)
        # Of the mean loss: the bias goes free.
        found = found + strength / 2 * weights[:, :-1].square().sum()
        found.backward()
        return found

    with torch.enable_grad():
        optimizer.step(loss)
    return weights.detach()


def _held_out(labels: np.ndarray, seed: int) -> Tensor:
    """One photo in five of each class; none of a class that has fewer."""
    rng = np.random.default_rng(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in np.unique(labels):
        photos = rng.permutation(np.flatnonzero(labels == label))
        held[photos[: len(photos) // HELD_OUT]] = True
    return held
