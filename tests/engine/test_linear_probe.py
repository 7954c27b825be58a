"""The layer that is fitted is the one that a loss has at its bottom."""

import pytest
import torch
from torch.nn import functional

from flower_mm.engine.linear_probe import STRENGTHS, fit

CLASSES = 3


@pytest.fixture
def features() -> tuple[torch.Tensor, torch.Tensor]:
    """Clouds around three centres, far from the origin, that overlap."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(150) % CLASSES
    centres = torch.randn(CLASSES, 20, generator=draws)
    noise = torch.randn(150, 20, generator=draws)
    return 7 + centres[labels] + 1.5 * noise, labels


def right(fitted, features, labels) -> int:
    logits = features @ fitted.weight.T + fitted.bias
    return int((logits.argmax(1) == labels).sum())


def test_no_small_step_makes_the_loss_less(features):
    photos, labels = features
    fitted = fit(photos, labels, CLASSES, seed=0)
    # The layer sees the features as they are; the strength is of features
    # of unit size around their mean.
    size = (photos - photos.mean(0)).square().mean().sqrt()
    weight = fitted.weight.clone().requires_grad_()
    bias = fitted.bias.clone().requires_grad_()
    loss = functional.cross_entropy(photos @ weight.T + bias, labels)
    loss = loss + fitted.strength / 2 * (weight * size).square().sum()
    loss.backward()
    assert weight.grad.abs().max() < 1e-3
    assert bias.grad.abs().max() < 1e-3


def test_it_tells_the_classes_and_says_how_well(features):
    photos, labels = features
    fitted = fit(photos, labels, CLASSES, seed=0)
    assert fitted.held_out == 30
    assert fitted.top1 == pytest.approx(100 * fitted.right / 30)
    assert fitted.right > 20
    assert right(fitted, photos, labels) > 120


def test_more_is_regularised_where_features_say_nothing(features):
    photos, labels = features
    draws = torch.Generator().manual_seed(1)
    noise = torch.randn(150, 300, generator=draws)
    assert fit(noise, labels, CLASSES, seed=0).strength == max(STRENGTHS)
    strength = fit(photos, labels, CLASSES, seed=0).strength
    assert strength < max(STRENGTHS)


def test_size_and_place_of_the_features_change_nothing(features):
    photos, labels = features
    plain = fit(photos, labels, CLASSES, seed=0)
    moved = fit(1000 * photos - 5e4, labels, CLASSES, seed=0)
    assert moved.strength == plain.strength
    assert moved.held_out == plain.held_out
    scores = photos @ plain.weight.T + plain.bias
    others = (1000 * photos - 5e4) @ moved.weight.T + moved.bias
    torch.testing.assert_close(others, scores, rtol=0, atol=0.05)


def test_classes_of_too_few_photos_to_hold_one_out():
    photos, labels = torch.eye(6), torch.tensor([0, 0, 1, 1, 2, 2])
    fitted = fit(photos, labels, CLASSES, seed=0)
    assert fitted.held_out == 0
    assert right(fitted, photos, labels) == 6


def test_a_class_without_photos_is_never_told():
    photos = torch.tensor([[0.0], [0.1], [1.0], [1.1]]).repeat(5, 1)
    labels = torch.tensor([0, 0, 2, 2]).repeat(5)
    fitted = fit(photos, labels, CLASSES, seed=0)
    assert right(fitted, photos, labels) == 20


def test_features_that_are_all_the_same():
    fitted = fit(torch.ones(10, 4), torch.arange(10) % 2, 2, seed=0)
    assert torch.isfinite(fitted.weight).all()
    assert torch.isfinite(fitted.bias).all()
