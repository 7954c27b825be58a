"""Fit the last layer on the frozen backbone before the first epoch."""

import time
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.dist import all_gather_object, broadcast, get_world_size
from mmengine.hooks import Hook
from torch import Tensor, nn

from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.engine.features import features_of, plain_batches, plain_photos
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.engine.linear_probe import fit
from flower_mm.errors import UserError
from flower_mm.models.structure import classifier_layer, unwrapped
from flower_mm.registry import HOOKS

# Features of more photos take gigabytes, and hardly improve the head.
MOST_PHOTOS = 20_000


@HOOKS.register_module()
class HeadFirstHook(Hook):
    """Fit the head on one pass over the training photos, then validate it.

    In the first hundred steps, a random head changes a pretrained backbone by
    noisy gradients. This head is the result of a linear probe. Photos are
    prepared as in validation, without augmentation.

    Args:
        only: End the run after that, with the fitted head in best.pth.
    """

    # The first checkpoint is written before, and again with the fitted head.
    # Resuming the former fits the same head again.
    comes_last = True

    def __init__(self, only: bool = False) -> None:
        self.only = only

    def before_train(self, runner) -> None:
        if runner.epoch > 0:
            return
        model = unwrapped(runner.model)
        classes = len(runner.train_dataloader.dataset.metainfo['classes'])
        layer = last_layer(model, classes)
        if layer is None:
            if self.only:
                raise UserError(
                    '--head-only fits a linear layer with one output for '
                    f'each of the {classes} classes, which this model does '
                    'not have.\nTrain the whole model: leave out --head-only'
                )
            runner.say(
                f'head not fitted: no linear layer of {classes} outputs'
            )
            return
        # A checkpoint to resume may have the fitted head.
        if 'head_first' not in runner.message_hub.runtime_info:
            self._fit(runner, model, layer, classes)
        runner.train_loop.stop_training |= self.only

    def _fit(
        self, runner, model: nn.Module, layer: nn.Linear, classes: int
    ) -> None:
        start = time.monotonic()
        # This leaves the run's random generators unchanged.
        with drawing(runner.seed):
            loader = runner.train_dataloader
            photos = plain_photos(
                loader.dataset, runner.cfg, MOST_PHOTOS, runner.seed
            )
            batches = features_of(
                model,
                layer,
                plain_batches(photos, runner.cfg, loader.num_workers),
                partial(runner.optim_wrapper.optim_context, model),
            )
            seen, of_seen = zip(*batches, strict=True)
            features, labels = _of_all(torch.cat(seen), torch.cat(of_seen))
            fitted = fit(
                features, labels, classes, runner.seed, _class_weights(model)
            )
        with torch.no_grad():
            for parameter, value in (
                (layer.weight, fitted.weight),
                (layer.bias, fitted.bias),
            ):
                parameter.copy_(value)
                broadcast(parameter.data, 0)
        seconds = time.monotonic() - start
        runner.message_hub.update_info(
            'head_first',
            {
                'photos': len(labels),
                'strength': fitted.strength,
                'held_out': fitted.held_out,
                'held_out_top1': round(fitted.top1, 2),
                'seconds': round(seconds, 2),
            },
        )
        held_out = ''
        if fitted.held_out:
            held_out = (
                f'; held-out accuracy {fitted.top1:.1f} % '
                f'({fitted.held_out} photos)'
            )
        runner.say(
            f'head fitted on {len(labels)} photos in {seconds:.0f} s{held_out}'
        )
        if runner.val_loop:
            runner.val_loop.run()
        else:
            # The first checkpoint has the random head.
            for hook in runner.hooks:
                if isinstance(hook, AtomicCheckpointHook):
                    hook.save(runner, epoch=0)


def last_layer(model: nn.Module, classes: int) -> nn.Linear | None:
    """The linear layer of the logits, if it has a bias to fit."""
    layer = classifier_layer(model, classes)
    return layer if layer is not None and layer.bias is not None else None


def _class_weights(model: nn.Module) -> Sequence[float] | None:
    """The weights that the model's loss gives the classes, if any."""
    weights = (getattr(part, 'class_weight', None) for part in model.modules())
    return next((each for each in weights if each is not None), None)


def _of_all(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gather features and labels, in the order of a single process."""
    count = get_world_size()
    if count == 1:
        return features, labels
    shares = all_gather_object((features.cpu(), labels.cpu()))
    total = sum(len(share[1]) for share in shares)
    # The sampler gives process n the photos n, n + count, and so on.
    indices = torch.cat([torch.arange(n, total, count) for n in range(count)])
    place = indices.argsort()
    return (
        torch.cat([share[0] for share in shares])[place].to(features.device),
        torch.cat([share[1] for share in shares])[place].to(labels.device),
    )
