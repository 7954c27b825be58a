import pytest
import torch
import torchvision
from architectures import build, shake
from torch import nn

from flower_mm.errors import UserError
from flower_mm.weights.load_into_model import (
    check_whole,
    load_backbone,
    load_whole,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'some.pth'


@pytest.fixture(scope='module')
def state():
    return shake(torchvision.models.resnet18(weights=None)).state_dict()


@pytest.fixture
def model():
    return build('resnet18')


def copy_of(model):
    return {k: t.clone() for k, t in model.state_dict().items()}


def is_loaded(model, state):
    found = model.backbone.state_dict()
    return all(t.equal(state[k]) for k, t in found.items())


def test_the_match_counts_tensors(model, state, path):
    torch.save(state, path)
    match = load_backbone(model, path)
    assert str(match) == (
        "100 of 100 backbone tensors (names: torchvision's ResNet)"
    )
    assert is_loaded(model, state)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: {'state_dict': s},
        lambda s: {'model': {'state_dict': s}, 'optimizer': {}},
        lambda s: {'model': {}, 'model_ema': s},
        lambda s: {'state_dict': {'x': torch.ones(1)}, 'state_dict_ema': s},
        lambda s: {f'module.{k}': t for k, t in s.items()},
        lambda s: {f'module._orig_mod.{k}': t for k, t in s.items()},
        lambda s: {'meta': {}, 'state_dict': add('backbone.', s)},
        lambda s: {'state_dict': add('module.backbone.', s)},
    ],
)
def test_wrappers_and_prefixes_are_taken_off(wrap, model, state, path):
    torch.save(wrap(dict(state)), path)
    load_backbone(model, path)
    assert is_loaded(model, state)


def add(prefix, state):
    return {prefix + k: t for k, t in state.items() if k[:3] != 'fc.'}


def test_mmengine_s_average_is_in_the_state_dict(model, state, path):
    """What it calls ema_state_dict is the other half of the swap."""
    other = {'steps': torch.tensor(1)} | {
        f'module.backbone.{k}': t + 1.0 for k, t in state.items()
    }
    torch.save(
        {'state_dict': add('backbone.', state), 'ema_state_dict': other}, path
    )
    load_backbone(model, path)
    assert is_loaded(model, state)


def test_the_neck_is_loaded_and_the_head_is_not(model, state, path):
    model.head = nn.Linear(512, 1000)
    model.neck = nn.Linear(2, 2)
    head = model.head.weight.clone()
    full = add('backbone.', state) | {
        'head.weight': torch.zeros(1000, 512),
        'neck.weight': torch.full((2, 2), 7.0),
        'neck.bias': torch.zeros(3),
    }
    torch.save(full, path)
    load_backbone(model, path)
    assert model.head.weight.equal(head)
    assert model.neck.weight.eq(7).all()


@pytest.mark.parametrize('other', ['resnet34', 'resnet50', 'mobilenet_v2'])
def test_another_model_is_named(other, model, path):
    weights = getattr(torchvision.models, other)(weights=None).state_dict()
    torch.save(weights, path)
    before = copy_of(model)
    with pytest.raises(UserError) as error:
        load_backbone(model, path)
    text = f'this looks like {other}, the config wants resnet18'
    assert text in str(error.value)
    assert all(t.equal(before[k]) for k, t in model.state_dict().items())


def test_a_larger_one_with_all_of_the_names_is_another_model(path):
    """Each tensor of a resnet50 is in a resnet101, name and shape."""
    torch.save(torchvision.models.resnet101(weights=None).state_dict(), path)
    with pytest.raises(UserError, match='looks like resnet101'):
        load_backbone(build('resnet50'), path)


@pytest.mark.parametrize(('kept', 'enough'), [(95, True), (94, False)])
def test_95_percent_is_the_line(kept, enough, model, state, path):
    counted = [
        k for k in state if not k.startswith('fc.') and 'num_batches' not in k
    ]
    # The last of the last block, so that the names are still recognised.
    torch.save({k: state[k] for k in counted[:kept]}, path)
    if enough:
        match = load_backbone(model, path)
        assert (match.matched, match.total) == (95, 100)
        assert 'without layer4.1.' in str(match)
    else:
        with pytest.raises(UserError, match='94 of 100 backbone tensors'):
            load_backbone(model, path)


def test_unused_tensors_are_reported(model, state, path):
    torch.save({**state, 'layer9.weight': torch.ones(1)}, path)
    assert 'not used: layer9.weight' in str(load_backbone(model, path))


def test_unknown_names(model, path):
    torch.save({'what.is.this': torch.ones(3)}, path)
    with pytest.raises(UserError, match=r'such as what\.is\.this'):
        load_backbone(model, path)


def test_a_file_without_tensors(model, path):
    torch.save({'state_dict': {'a': 1}, 'epoch': 3}, path)
    with pytest.raises(UserError, match='holds no tensors'):
        load_backbone(model, path)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), 1e300])
def test_nan_and_inf(bad, model, state, path):
    """The last is one in double precision, which the file may have."""
    name = 'layer1.0.conv1.weight'
    broken = state | {name: state[name].double()}
    broken[name][0, 0, 0, 0] = bad
    torch.save(broken, path)
    before = copy_of(model)
    with pytest.raises(UserError, match=r'NaN .* layer1\.0\.conv1\.weight'):
        load_backbone(model, path)
    assert all(t.equal(before[k]) for k, t in model.state_dict().items())


@pytest.mark.parametrize(
    ('kind', 'said'),
    [(torch.int64, 'integers'), (torch.int8, 'int'), (torch.bool, 'booleans')],
)
def test_numbers_of_another_kind(kind, said, model, state, path):
    name = 'layer1.0.conv1.weight'
    torch.save(state | {name: state[name].to(kind)}, path)
    before = copy_of(model)
    with pytest.raises(UserError, match=rf'{said}.* in layer1\.0\.conv1'):
        load_backbone(model, path)
    assert all(t.equal(before[k]) for k, t in model.state_dict().items())


def test_nan_in_the_neck(model, state, path):
    model.neck = nn.Linear(2, 2)
    neck = {'neck.weight': torch.full((2, 2), float('nan'))}
    torch.save(add('backbone.', state) | neck, path)
    before = copy_of(model)
    with pytest.raises(UserError, match=r'NaN .* in neck\.weight'):
        load_backbone(model, path)
    assert all(t.equal(before[k]) for k, t in model.state_dict().items())


def test_counts_may_come_as_any_kind(model, state, path):
    """Some halve all that is in a file to publish it."""
    torch.save({k: t.half() for k, t in state.items()}, path)
    assert load_backbone(model, path).matched == 100
    assert model.backbone.bn1.num_batches_tracked.dtype == torch.int64


def test_names_that_are_numbers_are_ignored(model, state, path):
    torch.save({1: torch.ones(1), **state}, path)
    load_backbone(model, path)
    assert is_loaded(model, state)


def test_more_tensors_than_any_model_has(model, path):
    torch.save({f'x{i}': torch.ones(1) for i in range(10_001)}, path)
    with pytest.raises(UserError, match='holds 10001 tensors'):
        load_backbone(model, path)


def test_positions_that_form_another_shape_than_a_square(path):
    state = build('vit_small').backbone.state_dict()
    torch.save(state | {'pos_embed': torch.ones(1, 8, 384)}, path)
    with pytest.raises(UserError, match='does not fit this config') as error:
        load_backbone(build('vit_small'), path)
    assert '\n' not in str(error.value)


def test_half_precision_becomes_the_model_s(model, state, path):
    halves = {k: t.half() if t.ndim > 1 else t for k, t in state.items()}
    torch.save(halves, path)
    load_backbone(model, path)
    assert model.backbone.conv1.weight.dtype == torch.float32


def test_positions_are_brought_to_another_image_size(path):
    torch.save(build('vit_small').backbone.state_dict(), path)
    model = build('vit_small', img_size=96)
    match = load_backbone(model, path)
    assert match.matched == match.total
    assert model.backbone.pos_embed.shape[1] == 1 + 6 * 6


def test_windows_of_another_size_are_refused(path):
    """MMPretrain's hook for them needs a SciPy of before 1.14."""
    torch.save(build('swin_tiny').backbone.state_dict(), path)
    with pytest.raises(UserError, match='looks like swin_tiny'):
        load_backbone(build('swin_tiny', window_size=4), path)


def test_tinyvit_in_the_mode_of_evaluation_sees_its_new_biases(path):
    """It copies its biases whenever it enters that mode, not on loading."""
    model, other = build('tinyvit_21m'), build('tinyvit_21m')
    with torch.no_grad():
        shake(other.backbone)
        torch.save(other.backbone.state_dict(), path)
        model.eval()
        load_backbone(model, path)
        images = torch.ones(1, 3, 224, 224)
        assert model.backbone(images)[0].equal(other.backbone(images)[0])


def test_an_efficientnet_that_pads_in_another_way_is_refused(path):
    torch.save(
        torchvision.models.efficientnet_b0(weights=None).state_dict(), path
    )
    with pytest.raises(UserError, match='conv_cfg=None'):
        load_backbone(build('efficientnet_b0'), path)


def test_deit3_is_refused_where_a_norm_is_skipped(path):
    """When this fails, MMPretrain is fixed: remove the refusal."""
    with torch.no_grad():
        deit3 = build('vit_small', type='DeiT3', arch='s').backbone
        deit3.eval()
        images = torch.rand(1, 3, 224, 224)
        before = deit3(images)[0]
        for layer in deit3.layers:
            layer.ln2.weight.fill_(9)
        assert deit3(images)[0].equal(before)
    model = build('vit_small', type='DeiT3', arch='s')
    torch.save(model.backbone.state_dict(), path)
    with pytest.raises(UserError, match='skips the second norm'):
        load_backbone(model, path)


# --- a whole checkpoint ------------------------------------------------------


@pytest.fixture
def small():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def checkpoint_of(model):
    """With an average, as EMAHook has it."""
    state = copy_of(model)
    average = {f'module.{k}': t + 1 for k, t in state.items()}
    return {
        'state_dict': state,
        'ema_state_dict': average | {'steps': torch.tensor(3)},
    }


def test_a_whole_checkpoint(small):
    other = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    load_whole(small, checkpoint_of(other), 'x.pth')
    target = other.state_dict()
    assert all(t.equal(target[k]) for k, t in small.state_dict().items())


def test_weights_alone_are_one_too(small):
    load_whole(small, copy_of(small), 'x.pth')


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda c: c['state_dict'].pop('0.bias'), r'Missing key.*0\.bias'),
        (
            lambda c: c['state_dict'].update(x=torch.ones(1)),
            'Unexpected key.*"x"',
        ),
        (
            lambda c: c['state_dict'].update({'0.bias': torch.ones(3)}),
            r'size mismatch for 0\.bias',
        ),
        (
            lambda c: c['state_dict']['0.bias'].fill_(float('nan')),
            r'NaN .* in 0\.bias',
        ),
        (
            lambda c: c['state_dict'].update(
                {'0.bias': torch.tensor([1e300, 0], dtype=torch.float64)}
            ),
            r'NaN .* in 0\.bias',
        ),
        (
            lambda c: c['state_dict'].update({'0.bias': torch.tensor([1, 2])}),
            r'integers in 0\.bias, .* has floating-point',
        ),
        (
            lambda c: c['ema_state_dict']['module.0.bias'].fill_(float('inf')),
            r'NaN .* in module\.0\.bias',
        ),
        (lambda c: c.update(state_dict=[1]), 'expected tensors by name'),
        (
            lambda c: c['state_dict'].update({'0.bias': 1}),
            'expected tensors by name',
        ),
        (
            lambda c: c['state_dict'].update({1: torch.ones(1)}),
            'expected tensors',
        ),
        (lambda c: c.update(ema_state_dict=1), 'expected tensors by name'),
    ],
)
def test_a_checkpoint_that_does_not_fit(change, reason, small):
    checkpoint = checkpoint_of(small)
    change(checkpoint)
    with pytest.raises(UserError, match=reason) as error:
        load_whole(small, checkpoint, 'x.pth')
    assert str(error.value).startswith('x.pth ')
    assert '\n' not in str(error.value)


def test_an_average_without_its_weights(small):
    checkpoint = checkpoint_of(small)
    del checkpoint['state_dict']['0.bias']
    with pytest.raises(UserError, match=r'Missing key 0\.bias, of which'):
        check_whole(small, checkpoint, 'x.pth')


def test_a_mask_of_the_model_s_own_may_be_infinite(small):
    small.register_buffer('mask', torch.tensor([0, float('-inf')]))
    load_whole(small, copy_of(small), 'x.pth')


def test_buffers_that_a_model_drops_while_loading_are_not_missing():
    def drop(state, *_) -> None:
        state.pop('table', None)

    model = torch.nn.Linear(2, 2)
    model.register_buffer('table', torch.ones(3))
    state = model.state_dict()
    model._register_load_state_dict_pre_hook(drop)
    load_whole(model, {'state_dict': state}, 'best.pth')
    del state['weight']
    with pytest.raises(UserError, match='Missing key'):
        load_whole(model, {'state_dict': state}, 'best.pth')
