"""How a model lies in memory."""

import pytest
import torch
from torch import nn

from flower_mm.engine.model import laid_out


@pytest.mark.parametrize(
    ('channels', 'size', 'stride', 'moved'),
    [(16, 1, 2, True), (8, 3, 2, True), (8, 1, 1, True), (8, 1, 2, False)],
)
def test_what_torch_would_ruin_stays_as_it_is(channels, size, stride, moved):
    model = nn.Sequential(
        nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 16, size, stride)
    )
    weight = laid_out(model)[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == moved
