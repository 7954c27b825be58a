"""The last layer solved on the frozen backbone, before anything is trained."""

import copy
import time

import torch
from mmengine.dataset import Compose, DefaultSampler, default_collate
from mmengine.dist import all_gather_object, broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import TRANSFORMS
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.engine.linear_probe import fit
from flower_mm.errors import UserError
from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS


@HOOKS.register_module()
class HeadFirstHook(Hook):
    """Fit the head on one pass over the training photos, then validate it.

    A head of random weights sends noise through a pretrained backbone in the
    first hundred steps. This one begins where a linear probe ends. The photos
    are seen as in validation, without augmentation.

    Args:
        only: End the run there: photos to best.pth in one pass.
    """

    # The first checkpoint is written before, and once more with the head;
    # resuming from the former comes here again: the same features, the same
    # head.
    comes_last = True

    def __init__(self, only: bool = False) -> None:
        self.only = only

    def before_train(self, runner) -> None:
        if runner.epoch > 0:
            return
        if 'head_first' in runner.message_hub.runtime_info:
            # Resumed from behind it, with that head.
            runner.train_loop.stop_training |= self.only
            return
        start = time.monotonic()
        model = unwrapped(runner.model)
        classes = len(runner.train_dataloader.dataset.metainfo['classes'])
        layer = last_layer(model, classes)
        # What is drawn here, is not drawn from the run's own generators.
        with drawing(runner.seed):
            features, labels = self._look(runner, model, layer)
            fitted = fit(features, labels, classes, runner.seed)
        with torch.no_grad():
            for parameter, found in (
                (layer.weight, fitted.weight),
                (layer.bias, fitted.bias),
            ):
                parameter.copy_(found)
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
        held = ''
        if fitted.held_out:
            held = (
                f'; fitted without {fitted.held_out} of them it tells '
                f'{fitted.top1:.1f} % of those'
            )
        runner.say(
            f'head fitted on {len(labels)} photos in {seconds:.0f} s{held}'
        )
        if runner.val_loop:
            runner.val_loop.run()
        else:
            # The first checkpoint has the head of before.
            for hook in runner.hooks:
                if isinstance(hook, AtomicCheckpointHook):
                    hook.save(runner, epoch=0)
        if self.only:
            runner.train_loop.stop_training = True

    @torch.no_grad()
    def _look(
        self, runner, model: nn.Module, layer: nn.Linear
    ) -> tuple[Tensor, Tensor]:
        """What the layer sees of each photo, and the photo's label."""
        seen = []
        hook = layer.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].detach().float())
        )
        labels = []
        was_training = model.training
        model.eval()
        try:
            for batch in _batches(runner):
                data = model.data_preprocessor(batch, training=False)
                with runner.optim_wrapper.optim_context(model):
                    model(data['inputs'], mode='tensor')
                labels += [s.gt_label for s in data['data_samples']]
        finally:
            hook.remove()
            model.train(was_training)
        features = torch.cat(seen)
        return _of_all(features, torch.cat(labels).to(features.device))


def last_layer(model: nn.Module, classes: int) -> nn.Linear:
    """The linear layer whose outputs are the classes' scores."""
    layers = [
        layer
        for layer in model.modules()
        if type(layer) is nn.Linear and layer.out_features == classes
    ]
    if not layers or layers[-1].bias is None:
        raise UserError(
            'HeadFirstHook fits a linear layer with one output for each of '
            f'the {classes} classes, and this model ends in none.\n'
            'Leave it out: --cfg-options default_hooks.head_first=None'
        )
    return layers[-1]


def _batches(runner) -> DataLoader:
    """This process's share of the training photos, as validation sees them."""
    loader = runner.train_dataloader
    cfg = runner.cfg.get('val_dataloader') or runner.cfg.test_dataloader
    plain = Compose([TRANSFORMS.build(step) for step in cfg.dataset.pipeline])
    photos = _seen_by(loader.dataset, plain)
    return DataLoader(
        photos,
        batch_size=cfg.batch_size,
        sampler=DefaultSampler(photos, shuffle=False, round_up=False),
        num_workers=loader.num_workers,
        collate_fn=default_collate,
    )


def _seen_by(dataset: Dataset, pipeline: Compose) -> Dataset:
    """The photos of a dataset, each once, through another pipeline."""
    if hasattr(dataset, 'datasets'):  # joined
        return ConcatDataset(
            [_seen_by(each, pipeline) for each in dataset.datasets]
        )
    if hasattr(dataset, 'dataset'):  # repeated or balanced
        return _seen_by(dataset.dataset, pipeline)
    view = copy.copy(dataset)
    view.pipeline = pipeline
    return view


def _of_all(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Those of all processes, in the order of one."""
    count = get_world_size()
    if count == 1:
        return features, labels
    shares = all_gather_object((features.cpu(), labels.cpu()))
    total = sum(len(share[1]) for share in shares)
    # The sampler deals the photos out like cards.
    dealt = torch.cat([torch.arange(n, total, count) for n in range(count)])
    place = dealt.argsort()
    return (
        torch.cat([share[0] for share in shares])[place].to(features.device),
        torch.cat([share[1] for share in shares])[place].to(labels.device),
    )
