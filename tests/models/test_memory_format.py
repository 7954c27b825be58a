"""The memory format of a model."""

import forked
import pytest
import torch
from helpers import ROOT
from mmengine.registry import DefaultScope
from mmpretrain.models import AlexNet, LinearClsHead, PoolFormer
from torch import nn

from flower_mm.config import read_config
from flower_mm.models.memory_format import use_channels_last
from flower_mm.registry import MODELS

CONFIGS = [
    path
    for path in sorted((ROOT / 'configs' / 'flower').glob('*.py'))
    if not path.stem.endswith('_fast')  # the same networks
]


def is_channels_last(model: nn.Module) -> bool:
    convolutions = [x for x in model.modules() if isinstance(x, nn.Conv2d)]
    return any(
        x.weight.is_contiguous(memory_format=torch.channels_last)
        and not x.weight.is_contiguous()
        for x in convolutions
    )


@pytest.mark.parametrize(
    ('channels', 'size', 'stride', 'moved'),
    [
        (16, 1, 2, True),
        (8, 3, 2, True),
        (8, 1, 1, True),
        (8, 1, 2, False),
        (15, 1, 2, False),
    ],
)
def test_small_strided_convolutions_stay_contiguous(
    channels, size, stride, moved
):
    model = nn.Sequential(
        nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 16, size, stride)
    )
    assert is_channels_last(use_channels_last(model)) == moved


def backward_behind_frozen_layers() -> None:
    """One backward pass in which a GroupNorm's input needs no gradient."""
    torch.set_num_threads(1)
    model = use_channels_last(
        PoolFormer('s12')
    )  # its patch embedding is frozen
    photos = torch.randn(2, 3, 64, 64)
    photos = photos.to(memory_format=torch.channels_last)
    model(photos)[-1].mean().backward()


def test_group_norm_behind_frozen_layers_trains():
    # In a process of its own: torch's mistake is a segmentation fault.
    process = forked.server.Process(target=backward_behind_frozen_layers)
    process.start()
    process.join(120)
    assert process.exitcode == 0


class OwnBackbone(nn.Module):
    """What a user may write: it flattens its feature map by `view`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.linear = nn.Linear(16 * 64, 5)

    def forward(self, photos: torch.Tensor) -> tuple[torch.Tensor]:
        maps = self.conv(photos)
        return (self.linear(maps.view(len(maps), -1)),)


class OwnNorm(nn.Module):
    """A normalization without nn.GroupNorm."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.group_norm(maps, 4)


class OwnHead(LinearClsHead):
    """A head of the user's own, which gets pooled features."""

    def pre_logits(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        return feats[-1].view(len(feats[-1]), -1)


def test_a_backbone_that_flattens_by_view_stays_contiguous():
    photos = torch.randn(2, 3, 8, 8)
    model = use_channels_last(OwnBackbone())
    assert model(photos)[0].shape == (2, 5)
    # As loaders give them that do not copy.
    photos = photos.to(memory_format=torch.channels_last)
    assert model(photos=photos)[0].shape == (2, 5)


def test_group_norm_as_a_function_stays_contiguous():
    model = nn.Sequential(nn.Conv2d(3, 16, 3), OwnNorm())
    assert not is_channels_last(use_channels_last(model))


def test_alexnet_runs():
    model = use_channels_last(AlexNet(num_classes=5))
    model.eval()  # returns nothing
    with torch.no_grad():
        assert model(torch.randn(1, 3, 224, 224))[0].shape == (1, 5)


def test_an_own_head_leaves_the_memory_format_of_its_backbone():
    model = nn.Module()
    model.backbone, model.head = nn.Conv2d(3, 16, 3), OwnHead(5, 16)
    assert is_channels_last(use_channels_last(model))


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs_use_channels_last(config):
    with DefaultScope.overwrite_default_scope('flower_mm'):
        model = MODELS.build(read_config(str(config)).model.backbone)
    assert is_channels_last(use_channels_last(model))
