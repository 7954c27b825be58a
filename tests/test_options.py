"""Each option in configs/flower/README.md is in force once its line stands."""

import re
from collections.abc import Callable
from itertools import count
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from helpers import ROOT, mostly_nightly
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import Mixup
from mmpretrain.models.utils.batch_augments import CutMix
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.engine import FlowerRunner, precision
from flower_mm.registry import MODELS

README = (ROOT / 'configs' / 'flower' / 'README.md').read_text('utf-8')
OPTIONS = dict(re.findall(r'^\| ([^|`]+) \| `(.+)` \|$', README, re.MULTILINE))
EPOCHS = 4


@pytest.fixture
def runner_with(config: Path, dataset: Path, tmp_path: Path) -> Callable:
    """A runner on the small config, with one more line."""
    number = count()

    def build(line: str, **options: object) -> FlowerRunner:
        path = tmp_path / 'mine.py'
        if not line.startswith('_base_'):
            line = f'_base_ = {str(config)!r}\n{line}'
        path.write_text(f'{line}\n')
        cfg = read_config(
            str(path), {'train_cfg.max_epochs': EPOCHS, **options}
        )
        use_data_root(cfg, str(dataset))
        cfg.work_dir = str(tmp_path / 'run')
        cfg.experiment_name = f'{tmp_path.name}_{next(number)}'
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(num_workers=0, persistent_workers=False)
        cfg.train_dataloader.dataset.indices = 32
        cfg.visualizer.vis_backends = []
        for name in ('pretrained', 'checkpoint', 'report', 'ema'):
            cfg.default_hooks[name] = None
        precision.choose_precision(cfg, 'cpu')
        apply_dataset(cfg)
        return FlowerRunner.from_cfg(cfg)

    return build


def rates(runner: FlowerRunner) -> list[float]:
    runner.train()
    return list(runner.message_hub.log_scalars['train/lr'].data[0])


CONFIGS = sorted((ROOT / 'configs' / 'flower').rglob('*.py'))
OFTEN = ('resnet50_flower', 'mobilenet_v2_flower_fast', 'c_resnet101')


@pytest.mark.parametrize(
    'config',
    mostly_nightly(CONFIGS, OFTEN, attrgetter('stem')),
)
def test_the_lines_fit_every_config(config, tmp_path):
    for option, line in OPTIONS.items():
        if not line.startswith('_base_'):
            line = f'_base_ = {str(config)!r}\n{line}'
        path = tmp_path / 'mine.py'
        path.write_text(f'{line}\n')
        model = read_config(str(path)).model
        assert model.type == 'ImageClassifier', option
        head = MODELS.build(
            {'_scope_': 'mmpretrain', 'num_classes': 3, **model.head}
        )
        scores = torch.rand(2, 3)
        assert head.loss_module(scores, torch.tensor([0, 2])) > 0, option


@pytest.mark.parametrize(
    ('name', 'kind', 'least'), [('Mixup', Mixup, 0.1), ('CutMix', CutMix, 0.3)]
)
def test_mixing(name, kind, least, runner_with, monkeypatch):
    mixed = []
    mix = kind.mix

    def noted(self, inputs, scores):
        found = mix(self, inputs, scores)
        mixed.append(found[1])
        return found

    monkeypatch.setattr(kind, 'mix', noted)
    runner_with(OPTIONS[name]).train()
    assert len(mixed) == EPOCHS * 4
    # Photos of two classes, so that neither has all of it: of Mixup seldom,
    # of CutMix mostly, as far as the line says.
    shares = (torch.cat(mixed).amax(1) < 0.99).float().mean()
    assert shares > least


def test_autoaugment(runner_with):
    augmented = runner_with(OPTIONS['AutoAugment'])
    kinds = [
        type(step).__name__
        for step in augmented.train_dataloader.dataset.pipeline.transforms
    ]
    assert kinds[-2:] == ['AutoAugment', 'PackInputs']
    plain = runner_with('').train_dataloader.dataset
    other = augmented.train_dataloader.dataset
    differing = [
        not torch.equal(plain[i]['inputs'], other[i]['inputs'])
        for i in range(32)
    ]
    assert sum(differing) > 16
    val = augmented.val_dataloader.dataset.pipeline.transforms
    assert 'AutoAugment' not in [type(step).__name__ for step in val]


def test_cosine(runner_with):
    found = rates(runner_with(OPTIONS['cosine schedule, without warm-up']))
    assert found[0] == pytest.approx(3e-3)
    assert found == sorted(found, reverse=True)
    assert found[len(found) // 2] == pytest.approx(1.5e-3, rel=0.1)
    assert found[-1] < 0.1 * found[0]


def test_one_cycle(runner_with):
    found = rates(runner_with(OPTIONS['one-cycle schedule']))
    top = found.index(max(found))
    assert 0.15 < top / len(found) < 0.45  # MMEngine's 30 %
    assert max(found) == pytest.approx(1e-3, rel=0.05)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[0] < 0.1 * max(found)
    assert found[-1] < 0.1 * max(found)


def test_adaptive(runner_with, monkeypatch):
    """The rate falls when the accuracy has not risen for three epochs."""
    top1 = iter([10.0, 20.0, 30.0, 30.0, 30.0, 30.0, 30.0])
    monkeypatch.setattr(
        Accuracy,
        'compute_metrics',
        lambda self, results: {'top1': next(top1)},
    )
    found = rates(
        runner_with(
            OPTIONS['adaptive schedule'],
            **{'train_cfg.max_epochs': 7, 'optim_wrapper.optimizer.lr': 1e-3},
        )
    )
    each_epoch = found[::4]
    assert each_epoch == pytest.approx([1e-3] * 6 + [1e-4], rel=1e-6, abs=0)


def test_label_smoothing(runner_with):
    head = runner_with(OPTIONS['label smoothing']).model.head
    sure = 50.0 * torch.eye(3)
    assert head.loss_module(sure, torch.arange(3)) > 1
    plain = runner_with('').model.head
    assert plain.loss_module(sure, torch.arange(3)) < 1e-3


def test_dropout(runner_with):
    line = OPTIONS['dropout, in a head of two layers']
    head = runner_with(line).model.head
    features = (torch.rand(4, head.in_channels),)
    head.train()
    with torch.no_grad():
        shown = head.pre_logits(features)
        off = (head.pre_logits(features) == 0) != (shown == 0)
    assert off.float().mean() > 0.05  # that are off once and not again
    head.eval()
    assert torch.equal(head(features), head(features))
    assert [layer.fc.out_features for layer in head.layers] == [256, 3]


def test_accumulation(runner_with):
    runner = runner_with(OPTIONS['gradient accumulation'])
    steps = []
    counting = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    runner.train()
    counting.remove()
    assert (runner.iter, len(steps)) == (EPOCHS * 4, EPOCHS)


@pytest.mark.parametrize(('speed_up', 'pays'), [(2.0, True), (0.9, False)])
def test_mixed_precision(speed_up, pays, runner_with, monkeypatch):
    monkeypatch.setattr(precision, 'speed_up', lambda device: speed_up)
    runner = runner_with(OPTIONS['mixed precision, where it is faster'])
    seen = set()
    layer = next(m for m in runner.model.modules() if type(m) is nn.Conv2d)
    layer.register_forward_hook(
        lambda module, _, out: seen.add((module.training, out.dtype))
    )
    runner.train()
    dtype = torch.bfloat16 if pays else torch.float32
    # In training and in validation.
    assert seen == {(True, dtype), (False, dtype)}


def test_another_backbone(runner_with):
    runner = runner_with(OPTIONS['another backbone, MobileNetV3'])
    assert type(runner.model.backbone).__name__ == 'MobileNetV3'


def test_every_option_has_its_test():
    said = Path(__file__).read_text('utf-8')
    for name in OPTIONS:
        assert f'{name!r}' in said, name
    assert len(OPTIONS) == 11
