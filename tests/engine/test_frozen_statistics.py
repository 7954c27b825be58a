"""Batch-norm statistics stay those of the pretrained network."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from flower_mm.engine.hooks.frozen_statistics import FrozenStatisticsHook


@pytest.mark.parametrize('pretrained', [True, False])
def test_statistics_of_pretrained_weights_stay(pretrained):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout())
    info = {'pretrained': {'file': 'a.pth'}} if pretrained else {}
    runner = SimpleNamespace(
        model=model, message_hub=SimpleNamespace(runtime_info=info)
    )
    hook = FrozenStatisticsHook()
    before = model[1].running_mean.clone()
    for _ in range(2):  # epochs, before which the loop does this
        model.train()
        for batch in range(2):
            hook.before_train_iter(runner, batch)
            model(torch.rand(2, 3, 4, 4)).sum().backward()
    assert torch.equal(model[1].running_mean, before) == pretrained
    assert model[1].weight.grad is not None
    assert model[2].training
