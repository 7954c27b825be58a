"""TimmBackbone: features, groups, preprocessing, weights of timm."""

import pytest
import safetensors.torch
import timm
import torch
from helpers import CLASSES, ROOT
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from timm.optim import param_groups_layer_decay

from flower_mm import TimmBackbone
from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.errors import UserError
from flower_mm.registry import MODELS
from flower_mm.timm_record import count_features
from flower_mm.weights.checked_config import config_of
from flower_mm.weights.load_into_model import load_backbone

TIMM = str(ROOT / 'configs' / 'flower' / 'timm_flower.py')
LITE0 = str(ROOT / 'configs' / 'flower' / 'efficientnet_lite0_flower.py')
# One class token, an attention pool, a CNN with a layer after the pooling.
NETWORKS = ('test_vit', 'test_vit4', 'mobilenetv4_conv_small_050')
NAME = 'model.backbone.model_name'


def model_of(config: str = TIMM, **options: object):
    options = {f'model.backbone.{k}': v for k, v in options.items()}
    cfg = read_config(config, options)
    cfg.model.head.num_classes = len(CLASSES)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    with DefaultScope.overwrite_default_scope('flower_mm'):
        return cfg, MODELS.build(cfg.model)


@pytest.mark.parametrize('name', NETWORKS)
def test_the_features_are_those_of_timms_own_classifier(name):
    backbone = TimmBackbone(name).eval()
    photos = torch.randn(2, *timm.get_pretrained_cfg(name).input_size)
    whole = timm.create_model(name, num_classes=5).eval()
    whole.load_state_dict(backbone.timm_model.state_dict(), strict=False)
    with torch.no_grad():
        (features,) = backbone(photos)
        logits = whole.get_classifier()(features)
        torch.testing.assert_close(logits, whole(photos))
    assert features.shape == (2, count_features(name))


@pytest.mark.parametrize('name', ['test_vit', 'test_convnext'])
def test_learning_rates_decay_as_timms_do(name):
    cfg, model = model_of(model_name=name)
    cfg.optim_wrapper.update(
        constructor='LearningRateDecayOptimWrapperConstructor',
        optimizer=ConfigDict(type='AdamW', lr=1e-4),
        paramwise_cfg=ConfigDict(layer_decay_rate=0.5),
    )
    with DefaultScope.overwrite_default_scope('flower_mm'):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    found = {
        weight: group['lr_scale']
        for group in wrapper.optimizer.param_groups
        for weight in group['params']
    }
    network = model.backbone.timm_model
    expected = {
        weight: group['lr_scale']
        for group in param_groups_layer_decay(network, layer_decay=0.5)
        for weight in group['params']
    }
    assert expected == {weight: found[weight] for weight in expected}
    assert min(expected.values()) < 0.5
    assert found[model.head.fc.weight] == 1


def test_frozen_stages_are_groups_of_timm():
    backbone = TimmBackbone('test_efficientnet', frozen_stages=1).train()
    network = backbone.timm_model
    assert not network.bn1.training
    assert not network.blocks[0].training
    assert network.blocks[1].training
    frozen = {
        name
        for name, weight in network.named_parameters()
        if not weight.requires_grad
    }
    stem = ('conv_stem.', 'bn1.', 'blocks.0.')
    names = dict(network.named_parameters())
    assert frozen == {name for name in names if name.startswith(stem)}


def test_a_network_without_groups():
    with pytest.raises(UserError, match='no parameter groups'):
        TimmBackbone('caformer_s18', frozen_stages=1)


def test_arguments_reach_the_network():
    backbone = TimmBackbone(
        'test_vit', img_size=64, drop_path_rate=0.2, with_cp=True
    )
    network = backbone.timm_model
    assert network.patch_embed.img_size == (64, 64)
    assert network.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)
    assert network.grad_checkpointing
    # A CNN takes photos of all sizes.
    TimmBackbone('test_resnet', img_size=64)
    with pytest.raises(UserError, match='repvit_m0_9 of timm does not'):
        TimmBackbone('repvit_m0_9', drop_path_rate=0.1)


@pytest.mark.parametrize(
    'name',
    ['hf-hub:a/b', 'local-dir:/x', 'vit_smal_patch14_dinov2', None, '', ['x']],
)
def test_only_names_in_timms_registry(name):
    with pytest.raises(UserError, match='invalid model_name') as error:
        TimmBackbone(name)
    is_near = 'vit_small_patch14_dinov2' in str(error.value)
    assert is_near == (name == 'vit_smal_patch14_dinov2')


@pytest.mark.parametrize(
    ('name', 'mean', 'size', 'resize'),
    [
        (
            'vit_base_patch16_siglip_384.v2_webli',
            [127.5] * 3,
            384,
            {'type': 'ResizeEdge', 'scale': 426, 'edge': 'short'},
        ),
        (
            'convnext_small.fb_in22k_ft_in1k_384',
            [123.675, 116.28, 103.53],
            384,
            {'type': 'Resize', 'scale': (384, 384), 'keep_ratio': False},
        ),
    ],
)
def test_preprocessing_follows_from_the_name(name, mean, size, resize):
    cfg = read_config(TIMM, {NAME: name})
    assert cfg.data_preprocessor.mean == mean
    assert cfg.model.backbone.img_size == size
    assert cfg.model.head.in_channels == 768
    assert cfg.default_hooks.pretrained.weights == f'timm/{name}'
    pillow = {'interpolation': 'bicubic', 'backend': 'pillow'}
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1] == resize | pillow
        assert loader.dataset.pipeline[2].crop_size == size
    crop = cfg.train_dataloader.dataset.pipeline[1]
    assert crop.scale == size
    assert crop.interpolation == 'bicubic'
    assert "'auto'" not in str(cfg.model)


def test_other_tools_read_the_config_as_well(dataset):
    cfg = Config.fromfile(TIMM)
    assert cfg.data_preprocessor.mean == 'auto'
    use_data_root(cfg, str(dataset))
    apply_dataset(cfg)
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.model.head.in_channels == 1280


def test_a_network_that_the_user_registered_without_a_record(monkeypatch):
    def my_network(pretrained=False, **kwargs):
        return timm.create_model('test_convnext', **kwargs)

    entrypoints = timm.models._registry._model_entrypoints
    monkeypatch.setitem(entrypoints, 'my_network', my_network)
    cfg = read_config(TIMM, {NAME: 'my_network'})
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.model.head.in_channels == count_features('test_convnext')


def test_a_record_that_our_pipelines_do_not_cover():
    with pytest.raises(UserError, match='1024 pixels'):
        read_config(TIMM, {NAME: 'vit_base_patch16_sapiens2.fb'})


def test_lite0_has_the_numbers_of_its_authors():
    cfg = read_config(LITE0)
    assert cfg.data_preprocessor.mean == [127.0] * 3
    assert cfg.data_preprocessor.std == [128.0] * 3
    resize, crop = cfg.test_dataloader.dataset.pipeline[1:3]
    assert (resize.scale, resize.interpolation) == (256, 'bicubic')
    assert crop.crop_size == 224


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('name', ['test_vit', 'test_resnet', 'test_convnext'])
def test_files_with_timms_names_fill_every_tensor(name, suffix, tmp_path):
    original = timm.create_model(name)
    state = {
        key: torch.rand_like(tensor) if tensor.is_floating_point() else tensor
        for key, tensor in original.state_dict().items()
    }
    file = tmp_path / f'weights{suffix}'
    if suffix == '.pth':
        torch.save(state, file)
    else:
        safetensors.torch.save_file(state, file)
    _, model = model_of(model_name=name)
    match = load_backbone(model, file)
    assert (match.missing, match.unused) == ((), ())
    loaded = model.backbone.timm_model.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


@pytest.mark.parametrize('prefix', ['', 'backbone.timm_model.'])
def test_positions_of_another_image_size(prefix, tmp_path):
    state = timm.create_model('test_vit').state_dict()
    file = tmp_path / 'weights.pth'
    torch.save({prefix + key: value for key, value in state.items()}, file)
    _, model = model_of(model_name='test_vit', img_size=64)
    match = load_backbone(model, file)
    assert match.missing == ()
    shape = model.backbone.timm_model.pos_embed.shape
    assert shape != state['pos_embed'].shape


@pytest.mark.parametrize(
    'state',
    [
        timm.create_model('test_resnet').state_dict(),
        # On which timm's filter fails.
        {'patch_embed.proj.weight': torch.ones(1), 'pos_embed': torch.ones(1)},
    ],
    ids=['test_resnet', 'crafted'],
)
def test_weights_of_another_network(state, tmp_path):
    file = tmp_path / 'weights.pth'
    torch.save(state, file)
    _, model = model_of(model_name='test_vit')
    with pytest.raises(UserError, match=r'weights\.pth'):
        load_backbone(model, file)


def checkpoint(path, **changes):
    cfg, _ = model_of(model_name='test_vit', img_size=64)
    cfg.model.backbone.update(changes)
    config = {
        'model': cfg.model.to_dict(),
        'data_preprocessor': cfg.data_preprocessor.to_dict(),
        'test_dataloader': {
            'dataset': {
                'pipeline': [
                    step.to_dict()
                    for step in cfg.test_dataloader.dataset.pipeline
                ]
            }
        },
    }
    meta = {'cfg': config, 'dataset_meta': {'classes': CLASSES}}
    torch.save({'state_dict': {}, 'meta': meta}, path)
    return path


def test_a_file_may_name_the_class_and_its_arguments(tmp_path):
    file = tmp_path / 'best.pth'
    kept = config_of(checkpoint(file, frozen_stages=2, pretrained=True))
    assert kept.model.backbone.to_dict() == {
        'type': 'TimmBackbone',
        'model_name': 'test_vit',
        'img_size': 64,
        'frozen_stages': 2,
    }


@pytest.mark.parametrize(
    'change',
    [
        {'model_name': 'hf-hub:a/b'},
        {'model_name': 'local-dir:/elsewhere'},
        {'model_name': ['test_vit']},
        {'checkpoint_path': 'x.pth'},
        {'pretrained_cfg_overlay': {'file': 'x'}},
        {'img_size': 10**6},
        {'frozen_stages': 'all'},
        {'with_cp': 'os.system'},
    ],
    ids=repr,
)
def test_what_a_file_may_not_name(change, tmp_path):
    with pytest.raises(UserError, match=r'is refused: its config has .*model'):
        config_of(checkpoint(tmp_path / 'best.pth', **change))
