"""Can the head learn from labels as this run has them?

Tried on features of the right shapes, for which no backbone is needed.
"""

import copy
import inspect
import warnings
from collections.abc import Iterator

import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import nn

from flower_mm.checks.building.assemble import PHOTOS, reason
from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.quiet import quiet
from flower_mm.datasets.augmentation_seed import drawing

LARGE = 20_000_000  # weights of a head, from which copying them takes time
SIDE = 8  # of the pictures that bring the labels; whatever mixes take


def learn(case: Case, model: nn.Module, given: object) -> Iterator[Finding]:
    """Compute a loss from what the head is given, as shapes."""
    head = getattr(model, 'head', None)
    if not isinstance(head, nn.Module) or not _is_plain(model):
        return
    if sum(weight.numel() for weight in head.parameters()) > LARGE:
        return
    loss = getattr(head, 'loss_module', None)
    weights = getattr(loss, 'class_weight', None)
    if weights is not None and len(weights) != len(case.classes):
        return  # told with the classes
    try:
        with drawing(0):
            head, features = _with_numbers(head), _filled(given)
            samples = _samples(case, model)
    except Exception:
        return  # it is given something else than photos and labels
    loss, reached = getattr(head, 'loss_module', None), []
    if isinstance(loss, nn.Module):
        loss.register_forward_pre_hook(lambda *_: reached.append(True))
    try:
        with drawing(0), quiet(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            head.loss(features, samples)
    except Exception as error:
        mixed = 'gt_score' in samples[0]
        yield _refused(case, head, loss if reached else None, mixed, error)


def _is_plain(model: nn.Module) -> bool:
    """Whether it hands features and labels to its head, and that is all."""
    return (
        isinstance(model, ImageClassifier)
        and type(model).loss is ImageClassifier.loss
    )


def _with_numbers(head: nn.Module) -> nn.Module:
    """A copy whose weights are small numbers, not what memory held."""
    head = copy.deepcopy(head)
    for weight in head.parameters():
        nn.init.normal_(weight, std=0.01)
    return head.train()


def _filled(given: object) -> object:
    if isinstance(given, torch.Tensor):
        if not given.is_floating_point():
            raise TypeError
        return torch.randn(given.shape)
    if isinstance(given, (list, tuple)):
        return type(given)(map(_filled, given))
    raise TypeError


def _samples(case: Case, model: nn.Module) -> list[DataSample]:
    """Labels as the head sees them: photos may have been mixed."""
    preprocessor = model.data_preprocessor
    channels = getattr(preprocessor, 'mean', torch.zeros(3)).numel()
    last = len(case.classes) - 1
    data = {
        'inputs': torch.rand(PHOTOS, channels, SIDE, SIDE),
        'data_samples': [
            DataSample().set_gt_label(label) for label in (0, last)
        ],
    }
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return preprocessor(data, training=True)['data_samples']


def is_distilled(head: nn.Module | None, error: Exception) -> bool:
    """Whether MMPretrain refuses to train a head for its distillation."""
    return (
        isinstance(error, NotImplementedError)
        and 'distillation' in inspect.signature(type(head)).parameters
    )


def distilled(head: nn.Module, place: str) -> Finding:
    return stop(
        f'MMPretrain does not train {type(head).__name__} with distillation.',
        f'{place}.distillation',
        f'--cfg-options {place}.distillation=False',
    )


def _refused(
    case: Case,
    head: nn.Module,
    loss: nn.Module | None,
    mixed: bool,
    error: Exception,
) -> Finding:
    """What is wrong with the loss or, if it was not come to, the head."""
    place = 'model.module' if 'module' in case.cfg.model else 'model'
    place += '.head'
    if loss is None and is_distilled(head, error):
        return distilled(head, place)
    if loss is None:
        return stop(
            f'The head cannot learn: {reason(error)}',
            place,
            "settings with which it can, or dict(type='LinearClsHead', "
            'in_channels=…)',
        )
    kind, place = type(loss).__name__, f'{place}.loss'
    count, found = len(case.classes), getattr(loss, 'num_classes', None)
    if isinstance(found, int) and found != count:
        return stop(
            f'{kind} is for {found} classes, and classes.txt names {count}.',
            f'{place}.num_classes',
            f'--cfg-options {place}.num_classes={count}',
        )
    if getattr(loss, 'use_sigmoid', False) and not mixed:
        return stop(
            f'{kind} with use_sigmoid takes a number for each class, and the '
            'labels are one class a photo.',
            f'{place}.use_sigmoid',
            f'--cfg-options {place}.use_sigmoid=False; or '
            'data_preprocessor.to_onehot=True',
        )
    return stop(
        f"{kind} does not take this run's labels: {reason(error)}",
        place,
        "loss=dict(type='CrossEntropyLoss', loss_weight=1.0)",
    )
