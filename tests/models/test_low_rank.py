"""LoRA: what is trained, and what best.pth holds."""

import pytest
import timm
import torch
from helpers import CLASSES, tool, train_tiny

from flower_mm import Classifier, TimmBackbone
from flower_mm.errors import UserError
from flower_mm.models.low_rank import merge_low_rank_updates
from flower_mm.weights.load_into_model import load_backbone

NETWORK = ('--backbone', 'test_vit', '--image-size', '64')
OPTIONS = (
    *(*NETWORK, '--from-scratch', '--no-check', '--epochs', '2'),
    *('--workers', '0', '--batch-size', '8', '--lr', '1e-2', '--cfg-options'),
    *('model.backbone.lora_rank=4', 'default_hooks.checkpoint.interval=1'),
    'default_hooks.checkpoint.max_keep_ckpts=-1',
)


def shaken(name: str, **options: object) -> TimmBackbone:
    backbone = TimmBackbone(name, lora_rank=4, **options).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for key, weight in backbone.named_parameters():
            if key.endswith('.up'):
                weight.normal_(std=0.1)
    return backbone


# The second uses the weight of a layer without calling the layer.
@pytest.mark.parametrize('name', ['test_vit', 'swinv2_tiny_window8_256'])
def test_the_merged_network_computes_the_same(name):
    backbone = shaken(name, img_size=64)
    plain = TimmBackbone(name, img_size=64).eval()
    plain.load_state_dict(merge_low_rank_updates(backbone.state_dict()))
    photos = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(plain(photos), backbone(photos))
    # Every update has a gradient, and nothing else has one.
    backbone(photos)[0].sum().backward()
    for key, weight in backbone.named_parameters():
        assert weight.requires_grad == key.endswith(('.up', '.down'))
        assert (weight.grad is not None) == weight.requires_grad, key


def test_a_plain_network_can_be_loaded(tmp_path):
    plain = TimmBackbone('test_vit').eval()
    backbone = shaken('test_vit')
    backbone.load_state_dict(plain.state_dict())
    photos = torch.randn(2, 3, 160, 160)
    assert torch.equal(plain(photos)[0], backbone(photos)[0])

    file = tmp_path / 'weights.pth'
    torch.save(timm.create_model('test_vit').state_dict(), file)
    model = torch.nn.Module()
    model.backbone = shaken('test_vit')
    match = load_backbone(model, file)
    assert (match.missing, match.unused) == ((), ())


def test_a_network_without_attention():
    with pytest.raises(UserError, match='invalid lora_rank'):
        TimmBackbone('test_resnet', lora_rank=4)


def test_a_run_resumes_and_its_best_pth_is_plain(dataset, tmp_path):
    run = train_tiny('timm', dataset, tmp_path / 'run', *OPTIONS)
    again = train_tiny(
        *('timm', dataset, tmp_path / 'again'),
        *('--resume', run / 'epoch_1.pth', *OPTIONS),
    )
    whole, resumed = (
        torch.load(folder / 'epoch_2.pth', weights_only=True)
        for folder in (run, again)
    )
    for part in ('state_dict', 'ema_state_dict'):
        for key, value in whole[part].items():
            assert torch.equal(resumed[part][key], value), (part, key)
    first = torch.load(run / 'epoch_0.pth', weights_only=True)['state_dict']
    changed = {
        key
        for key, value in whole['state_dict'].items()
        if not torch.equal(first[key], value)
    }
    assert changed
    assert all(
        key.endswith(('.up', '.down')) or 'head' in key for key in changed
    )

    best = torch.load(run / 'best.pth', weights_only=True)
    assert not [key for key in best['state_dict'] if 'parametr' in key]
    assert 'lora_rank' not in best['meta']['cfg']['model']['backbone']
    assert Classifier(run / 'best.pth').classes == CLASSES
    # A config with LoRA tests the merged network as one without.
    with_lora, without = (
        tool(
            *('test', 'timm', run / 'best.pth', '--data-root', dataset),
            *(*NETWORK, '--cfg-options', f'model.backbone.lora_rank={rank}'),
        ).stdout
        for rank in (4, 0)
    )
    assert 'top-1' in without
    assert with_lora == without
