"""The config in best.pth is built from only where it is a classifier's."""

import copy
from collections.abc import Callable

import pytest
import torch
from helpers import ROOT
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS

from flower_mm.config import read_config
from flower_mm.errors import UserError
from flower_mm.weights.best_checkpoint import plain
from flower_mm.weights.checked_config import config_of

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower.py'))
DEMO = plain(
    read_config(str(ROOT / 'configs/flower/demo_flower.py')).to_dict()
)
CLASSES = ['a', 'b']


def best(path, config, classes=CLASSES):
    """As anybody may write one."""
    meta = {'cfg': config, 'dataset_meta': {'classes': classes}}
    torch.save({'state_dict': {}, 'meta': meta}, path)
    return path


def pipeline(config: dict) -> list:
    return config['test_dataloader']['dataset']['pipeline']


@pytest.fixture
def demo() -> dict:
    config = copy.deepcopy(DEMO)
    del config['custom_imports']
    return config


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_ours_predicts(path, tmp_path):
    config = read_config(str(path))
    config.model.head.num_classes = 2
    found = config_of(best(tmp_path / 'best.pth', plain(config.to_dict())))
    assert set(found) == {
        'default_scope',
        'model',
        'data_preprocessor',
        'test_dataloader',
        'test_cfg',
        'precision',
    }
    assert found.test_cfg == {'fp16': False}
    assert found.precision == config.precision.replace('float32', '')
    own = config.test_dataloader.dataset.pipeline
    names = [part.type for part in found.test_dataloader.dataset.pipeline]
    assert names == [part.type for part in own]
    with DefaultScope.overwrite_default_scope('flower_mm'):
        one, other = (MODELS.build(c.model) for c in (config, found))
    assert parts_of(one) == parts_of(other)


@pytest.mark.parametrize(
    ('tested', 'fp16'),
    [({'fp16': True}, True), ({'fp16': 'os'}, False), (['fp16'], False)],
)
def test_the_precision_it_was_tested_in(tested, fp16, demo, tmp_path):
    demo['test_cfg'] = tested
    found = config_of(best(tmp_path / 'best.pth', demo))
    assert found.test_cfg == {'fp16': fp16}


def parts_of(model) -> list:
    modules = [(name, type(part)) for name, part in model.named_modules()]
    return modules + [(k, t.shape) for k, t in model.state_dict().items()]


def test_settings_of_the_training_are_dropped(demo, tmp_path):
    demo['model']['pretrained'] = 'https://example.org/x.pth'
    demo['model']['backbone']['init_cfg'] = {
        'type': 'Pretrained',
        'checkpoint': 'https://example.org/x.pth',
    }
    demo['launcher'] = 'pytorch'
    found = config_of(best(tmp_path / 'best.pth', demo))
    assert 'example.org' not in str(found)
    assert 'launcher' not in found


def test_scopes_that_are_ours_are_taken_off(demo, tmp_path):
    demo['model']['type'] = 'mmpretrain.ImageClassifier'
    pipeline(demo)[0]['type'] = 'mmcv.LoadImageFromFile'
    found = config_of(best(tmp_path / 'best.pth', demo))
    assert found.model.type == 'ImageClassifier'
    assert found.test_dataloader.dataset.pipeline[0].type == (
        'LoadImageFromFile'
    )


@pytest.mark.parametrize(
    'name',
    [
        'os.system',
        'builtins.eval',
        'torch.hub.load',
        'torch.nn.Linear',
        'mmengine.load',
        'mmpretrain.get_model',
        'mmdet.FasterRCNN',
        '.os.system',
        'os',
        'antigravity',
        'torchvision/os.system',
        'Runner',
        # These load what they are told.
        'VQAGenerationHead',
        'ArcFaceClsHead',
        'Blip2Caption',
        'LoRAModel',
        '',
        None,
        3,
        ['ResNet'],
        {'type': 'ResNet'},
    ],
)
@pytest.mark.parametrize('place', ['model.backbone', 'pipeline'])
def test_other_types_are_refused(name, place, demo, tmp_path):
    part = (
        pipeline(demo)[1] if place == 'pipeline' else demo['model']['backbone']
    )
    part['type'] = name
    path = best(tmp_path / 'best.pth', demo)
    with pytest.raises(UserError, match=rf'{place}.*\.type, no') as error:
        config_of(path)
    assert str(error.value).startswith(f'{path} is refused: its config names')
    assert '\n' not in str(error.value)


def set_in(part: str, key: str, value: object) -> Callable[[dict], None]:
    def change(config: dict) -> None:
        target = config[part] if part else config
        (target[0] if isinstance(target, list) else target)[key] = value

    return change


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (set_in('model', '_scope_', 'os'), r'has model\._scope_'),
        (set_in('model', '_delete_', True), r'has model\._delete_'),
        (set_in('model', 'neck', {'type': 'os.x'}), r'at model\.neck\.type'),
        (set_in('model', 'neck', [[{'type': 'os.x'}]]), r'neck\.0\.0\.type'),
        (set_in('model', 'x', 1), r'has model\.x, no argument'),
        (set_in('model', 'dtype', 'load("x")'), r'has model\.dtype'),
        (set_in('model', 'neck', b'1'), r'has a bytes at model\.neck'),
        (set_in('', 'default_scope', 'os'), "default_scope is 'os'"),
        (set_in('', 'custom_imports', ['os']), "wants to import 'os'"),
        (set_in('', 'model', None), 'its config has no model'),
        (set_in('', 'model', 'x'), 'its config has no model'),
        (set_in('', 'test_dataloader', 3), r'no test_dataloader\.dataset\.'),
    ],
)
def test_values_with_side_effects_are_refused(change, reason, demo, tmp_path):
    change(demo)
    with pytest.raises(UserError, match=reason) as error:
        config_of(best(tmp_path / 'best.pth', demo))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('kind', 'allowed'),
    [('float32', True), ('uint8', True), ('load', False), ('x' * 500, False)],
)
def test_kinds_of_numbers_are_names_of_torch(kind, allowed, demo, tmp_path):
    """MMPretrain evaluates them."""
    pipeline(demo).insert(
        -1, {'type': 'torchvision/ConvertImageDtype', 'dtype': kind}
    )
    path = best(tmp_path / 'best.pth', demo)
    if allowed:
        found = config_of(path).test_dataloader.dataset.pipeline
        TRANSFORMS.build(found[-2])
    else:
        with pytest.raises(UserError, match=r'pipeline\.3\.dtype') as error:
            config_of(path)
        assert len(str(error.value)) < len(str(path)) + 250


# --- the closed lists --------------------------------------------------------


@pytest.mark.parametrize(
    'step',
    [
        {'type': 'LoadImageFromFile'},
        {'type': 'KeyMapper', 'mapping': {'img_path': 'a'}, 'transforms': []},
        {'type': 'TransformBroadcaster', 'transforms': []},
        {'type': 'RandomApply', 'transforms': []},
        {'type': 'RandomChoice', 'transforms': []},
        {'type': 'Compose', 'transforms': []},
        {'type': 'TestTimeAug', 'transforms': []},
        {'type': 'MultiScaleFlipAug', 'transforms': [], 'scales': (1, 1)},
        {'type': 'LoadAnnotations'},
        {'type': 'Albumentations', 'transforms': []},
        {'type': 'AutoAugment', 'policies': 'imagenet'},
        {'type': 'RandomResize', 'scale': (9, 9), 'resize_type': 'Resize'},
        {'type': 'torchvision/Compose', 'transforms': []},
        {'type': 'torchvision/Lambda', 'lambd': 'os.system'},
        {'type': 'Resize', 'scale': 32, 'keep_ratio': 'http://127.0.0.1/x'},
        {'type': 'Resize', 'scale': 10**9},
        {'type': 'Resize', 'scale_factor': 1e6},
        {'type': 'Resize', 'scale': (32, float('nan'))},
        {'type': 'Resize', 'scale': True},
        {'type': 'Resize', 'scale': 32, 'interpolation': ['bilinear']},
        {'type': 'Resize', 'scale': 32, 'backend_args': {'backend': 'http'}},
        {'type': 'Resize', 'scale': 32, 'file_client_args': {}},
        {'type': 'Resize', 'scale': 32, 'img_path': 'x'},
        {'type': 'Pad', 'size': (10**6, 10**6)},
        {'type': 'Pad', 'size_divisor': 32},  # of a photo of any size
        {'type': 'CenterCrop', 'crop_size': 9, 'pad_cfg': {'type': 'Lambda'}},
        {'type': 'torchvision/ConvertImageDtype', 'dtype': 'load'},
        {'type': 'PackInputs'},
        {'type': 'Resize', 'scale': 32, 1: 2},
        {'type': 'Resize', 'scale': 32, '_scope_': 'os'},
        ['Resize'],
        None,
    ],
    ids=repr,
)
def test_a_transform_that_is_not_on_the_list(step, demo, tmp_path):
    pipeline(demo).insert(1, step)
    with pytest.raises(UserError, match='is refused: its config') as error:
        config_of(best(tmp_path / 'best.pth', demo))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'change',
    [
        {'backend_args': {'backend': 'memcached', 'sys_path': 'best.pth'}},
        {'file_client_args': {'backend': 'http'}},
        {'imdecode_backend': 'tifffile'},
        {'color_type': 'http://127.0.0.1/x'},
        {'ignore_empty': True},
    ],
    ids=repr,
)
def test_a_photo_is_loaded_in_one_way(change, demo, tmp_path):
    pipeline(demo)[0] |= change
    with pytest.raises(UserError, match=r'pipeline\.0\.'):
        config_of(best(tmp_path / 'best.pth', demo))


def test_another_backend_is_refused(demo, tmp_path):
    pipeline(demo)[0]['backend_args'] = None
    found = config_of(best(tmp_path / 'best.pth', demo))
    assert found.test_dataloader.dataset.pipeline[0] == {
        'type': 'LoadImageFromFile'
    }


@pytest.mark.parametrize(
    'value',
    [
        *('a/b', 'best.pth', '/etc/passwd', 'http://a', 'os.system', '..'),
        *('x' * 65, 'a\0', 'a\n', '', 10**9, float('nan'), float('inf')),
    ],
    ids=repr,
)
def test_values_other_than_sizes_and_words(value, demo, tmp_path):
    backbone = {'type': 'ResNet', 'depth': 18, 'style': value}
    demo['model']['backbone'] = backbone
    with pytest.raises(UserError, match=r'at model\.backbone\.style') as error:
        config_of(best(tmp_path / 'best.pth', demo))
    assert '\n' not in str(error.value)


def timm_backbone(**changes: object) -> dict:
    return {'type': 'TIMMBackbone', 'model_name': 'resnet18', **changes}


@pytest.mark.parametrize(
    'change',
    [
        {'model_name': 'hf-hub:a/b'},
        {'model_name': 'local-dir:/elsewhere/x'},
        {'model_name': '/elsewhere/x'},
        {'model_name': 'https://a/b'},
        {'model_name': 'no_such_model_of_timm'},
        {'model_name': None},
        {'checkpoint_path': 'x.pth'},
        {'pretrained_cfg': {'url': 'http://127.0.0.1'}},
        {'pretrained_cfg_overlay': {'file': 'x'}},
        {'cache_dir': 'x'},
        {'norm_layer': 'os.system'},
        {'img_size': 10**6},
    ],
    ids=repr,
)
def test_names_that_timm_would_download(change, demo, tmp_path):
    demo['model']['backbone'] = timm_backbone(**change)
    with pytest.raises(UserError, match=r'is refused: its config has .*model'):
        config_of(best(tmp_path / 'best.pth', demo))


def test_timm_wrappers_without_a_download(demo, tmp_path):
    demo['model']['backbone'] = timm_backbone(pretrained=True)
    found = config_of(best(tmp_path / 'best.pth', demo))
    assert found.model.backbone.to_dict() == timm_backbone(pretrained=False)
    demo['model'] = {
        **timm_backbone(pretrained=True, num_classes=2),
        'type': 'mmpretrain.TimmClassifier',
        'loss': {'type': 'CrossEntropyLoss'},
    }
    found = config_of(best(tmp_path / 'best.pth', demo))
    assert found.model.pretrained is False
    assert MODELS.build(found.model).model.num_classes == 2


def hugging_face(**changes: object) -> dict:
    return {
        'type': 'HuggingFaceClassifier',
        'model_name': 'microsoft/resnet-50',
        'pretrained': True,
        **changes,
    }


def test_hugging_face_from_its_cache_only(demo, tmp_path):
    demo['model'] = hugging_face(num_labels=2)
    found = config_of(best(tmp_path / 'best.pth', demo)).model
    assert found.to_dict() == hugging_face(
        num_labels=2,
        pretrained=False,
        local_files_only=True,
        trust_remote_code=False,
    )


@pytest.mark.parametrize(
    'change',
    [
        {'model_name': '../x'},
        {'model_name': 'https://a/b'},
        {'model_name': 'a/folder'},
        {'trust_remote_code': True},
        {'cache_dir': 'x'},
        {'config': 'x'},
    ],
    ids=repr,
)
def test_what_transformers_would_load(change, demo, tmp_path, monkeypatch):
    (tmp_path / 'a' / 'folder').mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    demo['model'] = hugging_face(**change)
    with pytest.raises(UserError, match='is refused: its config has'):
        config_of(best(tmp_path / 'best.pth', demo))


def test_missing_class_names(demo, tmp_path):
    with pytest.raises(UserError, match='no classes'):
        config_of(best(tmp_path / 'best.pth', demo, classes=[]))


@pytest.mark.parametrize('config', ['import os', None, [1]])
def test_a_config_in_another_form(config, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(
        {'meta': {'cfg': config, 'dataset_meta': {'classes': CLASSES}}}, path
    )
    with pytest.raises(UserError, match='no config as plain values'):
        config_of(path)


def test_mmengine_builds_what_is_refused(tmp_path):
    """When this fails, MMEngine and MMPretrain have been mended."""
    canaries = [tmp_path / 'type', tmp_path / 'dtype']
    MODELS.build({'type': 'os.system', 'command': f'touch {canaries[0]}'})
    code = f'float32 if open({str(canaries[1])!r}, "w") else 0'
    TRANSFORMS.build({'type': 'torchvision/ConvertImageDtype', 'dtype': code})
    assert all(canary.exists() for canary in canaries)
