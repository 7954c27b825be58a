"""One group for all weights of a setting, stepped as MMEngine's are."""

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import flower_mm.engine  # noqa: F401, registers


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )


def wrapper(net: nn.Module, constructor: str):
    DefaultScope.get_instance('test_groups', scope_name='flower_mm')
    return build_optim_wrapper(
        net,
        {
            'type': 'OptimWrapper',
            'constructor': constructor,
            'optimizer': {'type': 'AdamW', 'lr': 1e-2, 'weight_decay': 0.5},
            'paramwise_cfg': {
                'norm_decay_mult': 0.0,
                'bias_decay_mult': 0.0,
                'custom_keys': {'5.weight': {'lr_mult': 10.0}},
            },
        },
    )


def test_as_many_groups_as_settings():
    net = model()
    groups = wrapper(net, 'FewGroups').optimizer.param_groups
    names = {id(weight): name for name, weight in net.named_parameters()}
    found = [
        (g['lr'], g['weight_decay'], {names[id(w)] for w in g['params']})
        for g in groups
    ]
    assert found == [
        (0.01, 0.5, {'0.weight', '2.weight'}),
        (0.01, 0.0, {'0.bias', '1.weight', '1.bias', '2.bias', '5.bias'}),
        (0.1, 0.5, {'5.weight'}),
    ]


def test_the_same_steps():
    photos = torch.randn(4, 3, 8, 8)
    stepped = []
    for constructor in ('FewGroups', 'DefaultOptimWrapperConstructor'):
        net = model()
        steps = wrapper(net, constructor)
        for _ in range(3):
            steps.update_params(net(photos).square().mean())
        stepped.append(net.state_dict())
    one, other = stepped
    assert all(torch.equal(one[name], other[name]) for name in one)
