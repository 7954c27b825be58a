"""A converted model must compute what the original computes."""

import pytest
import torch
import torchvision
from architectures import SIZES, build, features, shake

from flower_mm.weights.load_into_model import load_backbone

TORCHVISION = {'resnext50': 'resnext50_32x4d', 'swin_tiny': 'swin_t'}
TIMM = {
    'resnet50': 'resnet50',
    'resnext50': 'resnext50_32x4d',
    'mobilenet_v2': 'mobilenetv2_100',
    'densenet161': 'densenet161',
    'efficientnet_b0': 'tf_efficientnet_b0',
    'convnext_tiny': 'convnext_tiny',
    'swin_tiny': 'swin_tiny_patch4_window7_224',
    'vit_small': 'deit_small_patch16_224',
    'tinyvit_21m': 'tiny_vit_21m_224',
}
LIKE_TORCHVISION = {
    'efficientnet_b0': {
        'conv_cfg': None,
        'norm_cfg': {'type': 'BN', 'eps': 1e-5},
    }
}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def compare(name, original, vectors, tmp_path, **changes):
    path = tmp_path / 'weights.pth'
    torch.save(original.state_dict(), path)
    model = build(name, **changes)
    match = load_backbone(model, path)
    assert match.matched == match.total
    assert match.unused == ()
    model.eval()
    size = SIZES.get(name, 64)
    dice = torch.Generator().manual_seed(1)
    images = torch.randn(1, 3, size, size, generator=dice)
    expected = vectors(images)
    found = features(model.backbone, images)
    difference = (found - expected).abs().max() / expected.abs().max()
    print(f'{name}: {difference:.1e} of the largest, {match}')
    assert difference < 1e-5


@pytest.mark.parametrize(
    'name',
    [
        *('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
        *('mobilenet_v2', 'mobilenet_v3_small', 'mobilenet_v3_large'),
        *('densenet161', 'resnext50', 'efficientnet_b0', 'convnext_tiny'),
        'swin_tiny',
    ],
)
def test_torchvision(name, tmp_path):
    kind = getattr(torchvision.models, TORCHVISION.get(name, name))
    original = shake(kind(weights=None))
    changes = LIKE_TORCHVISION.get(name, {})
    compare(name, original, without_head(original), tmp_path, **changes)


def without_head(original):
    """What reaches the classifier, seen on its way in."""
    name = next(n for n in ('fc', 'classifier', 'head') if n in dir(original))
    last = getattr(original, name)
    if isinstance(original, torchvision.models.ConvNeXt):
        last = last[2]  # the first of it is what MMPretrain calls norm3

    def vectors(images):
        seen = []
        hook = last.register_forward_pre_hook(lambda _, got: seen.append(got))
        original(images)
        hook.remove()
        return seen[0][0].flatten(1)

    return vectors


@pytest.mark.parametrize('name', TIMM)
def test_timm(name, tmp_path):
    timm = pytest.importorskip('timm')
    original = shake(timm.create_model(TIMM[name]))

    def vectors(images):
        found = original.forward_features(images)
        return original.forward_head(found, pre_logits=True)

    compare(name, original, vectors, tmp_path)


def test_swin_of_its_authors(tmp_path):
    """Their files end a stage with what begins the next one in timm's."""
    timm = pytest.importorskip('timm')
    original = shake(timm.create_model(TIMM['swin_tiny']))
    state = {
        name.replace(f'layers.{i + 1}.down', f'layers.{i}.down').replace(
            'head.fc', 'head'
        ): tensor
        for name, tensor in original.state_dict().items()
        for i in [int(name.split('.')[1]) - 1 if 'layers' in name else 0]
    }
    state['layers.0.blocks.1.attn_mask'] = torch.zeros(64, 49, 49)
    model, theirs = build('swin_tiny'), build('swin_tiny')
    torch.save({'model': state}, tmp_path / 'theirs.pth')
    torch.save(original.state_dict(), tmp_path / 'timm.pth')
    match = load_backbone(theirs, tmp_path / 'theirs.pth')
    load_backbone(model, tmp_path / 'timm.pth')
    assert match.matched == match.total
    assert match.unused == ()
    for name, tensor in model.backbone.state_dict().items():
        assert tensor.equal(theirs.backbone.state_dict()[name]), name


def test_densenet_in_the_names_of_2017(tmp_path):
    """The file at torchvision's address was never rewritten."""
    original = torchvision.models.densenet161(weights=None)
    state = {
        name.replace('norm1.', 'norm.1.')
        .replace('norm2.', 'norm.2.')
        .replace('conv1.', 'conv.1.')
        .replace('conv2.', 'conv.2.'): tensor
        for name, tensor in original.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    torch.save(state, tmp_path / 'old.pth')
    match = load_backbone(build('densenet161'), tmp_path / 'old.pth')
    assert match.matched == match.total
    assert match.unused == ()
