"""The number of classes comes from classes.txt, wherever it is needed."""

import copy
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from mmengine.config import Config, ConfigDict
from mmengine.config import utils as mmengine_utils

from flower_mm.config import (
    apply_dataset,
    base_paths,
    read_config,
    resolve,
    use_data_root,
)
from flower_mm.errors import UserError

CONFIG = ROOT / 'configs' / 'flower' / 'resnet18_flower.py'


def folder_of(tmp_path: Path, count: int) -> Path:
    names = [f'class {i:03}' for i in range(count)]
    (tmp_path / 'classes.txt').write_text('\n'.join(names))
    return tmp_path


@pytest.mark.parametrize(
    ('count', 'topk'), [(2, (1,)), (5, (1,)), (6, (1, 5)), (120, (1, 5))]
)
def test_classes_decide(tmp_path, count, topk):
    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(folder_of(tmp_path, count)))
    cfg.model.train_cfg = ConfigDict(
        augments=[ConfigDict(type='Mixup', alpha=0.8, num_classes=1000)]
    )
    classes = apply_dataset(cfg)
    assert len(classes) == count
    assert cfg.model.head.num_classes == count
    assert cfg.data_preprocessor.num_classes == count
    assert cfg.model.train_cfg.augments[0].num_classes == count
    assert tuple(cfg.val_evaluator[0].topk) == topk
    assert tuple(cfg.model.head.topk) == topk


def test_resolving_leaves_the_config_as_it_was(tmp_path):
    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(folder_of(tmp_path, 3)))
    cfg.work_dir = 'work'
    before = copy.deepcopy(cfg.to_dict())
    run = resolve(cfg)
    assert cfg.to_dict() == before
    assert run.cfg.model.head.num_classes == len(run.classes) == 3
    assert (run.data_root, run.work_dir) == (tmp_path, Path('work'))
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.cfg = cfg
    # The Runner resolves again, which changes nothing.
    assert resolve(run.cfg).cfg.to_dict() == run.cfg.to_dict()


def settled(tmp_path: Path, **model) -> ConfigDict:
    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(folder_of(tmp_path, 5)))
    cfg.model = ConfigDict(type='ImageClassifier', **model)
    apply_dataset(cfg)
    return cfg.model


@pytest.mark.parametrize('stated', [{'num_classes': 1000}, {}])
def test_the_classifier_may_be_in_the_backbone(tmp_path, stated):
    model = settled(
        tmp_path,
        backbone={'type': 'VGG', 'depth': 11, **stated},
        head={'type': 'ClsHead', 'topk': (1, 5)},
    )
    assert model.backbone.num_classes == 5
    assert 'num_classes' not in model.head
    assert model.head.topk == (1,)


def test_a_backbone_without_its_classifier_stays_so(tmp_path):
    model = settled(
        tmp_path,
        backbone={'type': 'VGG', 'depth': 11, 'num_classes': -1},
        neck={'type': 'GlobalAveragePooling'},
        head={'type': 'LinearClsHead', 'in_channels': 512},
    )
    assert model.backbone.num_classes == -1
    assert model.head.num_classes == 5


def test_a_head_that_nobody_knows_is_told_of_the_classes(tmp_path):
    head = {'type': 'HeadOfNobody'}
    model = settled(tmp_path, backbone={'type': 'ResNet'}, head=head)
    assert model.head.num_classes == 5


@pytest.mark.parametrize(
    ('head', 'told'),
    [('LinearClsHead', True), ('MultiLabelLinearClsHead', False)],
)
def test_no_accuracy_of_mixed_photos(tmp_path, head, told):
    """And no word of it to a head that never measures one."""
    model = settled(
        tmp_path,
        backbone={'type': 'ResNet'},
        head={'type': head, 'in_channels': 512},
        train_cfg={'augments': {'type': 'Mixup', 'alpha': 0.8}},
    )
    assert ('cal_acc' in model.head) == told


def test_testing_reads_val_where_there_is_no_test_split(tmp_path):
    root = folder_of(tmp_path, 3)
    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(root))
    apply_dataset(cfg)
    assert cfg.test_dataloader.dataset.split == 'val'
    (root / 'test.txt').write_text('')
    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(root))
    apply_dataset(cfg)
    assert cfg.test_dataloader.dataset.split == 'test'


def test_splits_of_two_datasets_are_refused(tmp_path):
    cfg = read_config(str(CONFIG))
    use_data_root(cfg, str(folder_of(tmp_path, 3)))
    cfg.val_dataloader.dataset.data_root = 'data/imagenet'
    with pytest.raises(UserError, match='different folders'):
        apply_dataset(cfg)


def test_a_config_that_does_not_parse_is_told(tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text('model = dict(')
    with pytest.raises(UserError, match='cannot be read'):
        read_config(str(path))


def test_a_packaged_base_is_found_without_metafiles(tmp_path, monkeypatch):
    def read_metafiles(*_):
        raise AssertionError('reads 85 files')

    monkeypatch.setattr(mmengine_utils, '_get_cfg_metainfo', read_metafiles)
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n")
    cfg = read_config(str(path))
    assert cfg.model.backbone.depth == 50
    (base,) = base_paths(path)
    assert base[1].is_file()
    path.write_text("_base_ = 'flower_mm::flower/nothing.py'\n")
    with pytest.raises(UserError, match=r'nothing\.py does not exist'):
        read_config(str(path))


@pytest.mark.parametrize('name', ['demo', 'vit_small', 'swin_tiny'])
def test_the_text_that_a_run_leaves_of_its_config_reads_back(tmp_path, name):
    options = {'model.head.note': "it's", 'custom_hooks': []}
    cfg = read_config(str(ROOT / f'configs/flower/{name}_flower.py'), options)
    left = tmp_path / 'left.py'
    left.write_text(cfg.pretty_text, 'utf-8')
    assert read_config(str(left)).to_dict() == cfg.to_dict()


def test_a_config_elsewhere_inherits_from_an_editable_install(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'flower_mm::flower/mobilenet_v3_large_flower.py'\n"
    )
    code = (
        'from flower_mm.config import read_config\n'
        "print(read_config('mine.py').model.backbone.type)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == 'MobileNetV3\n', done.stderr


def test_more_augments_come_before_packing_once(tmp_path):
    """Also where a tool of MMPretrain's has read the config."""
    path = tmp_path / 'mine.py'
    path.write_text(
        f'_base_ = {str(CONFIG)!r}\n'
        "more_augments = [dict(type='AutoAugment', policies='imagenet')]\n"
    )
    other = Config.fromfile(path)
    for cfg in (read_config(str(path)), other):
        use_data_root(cfg, str(folder_of(tmp_path, 3)))
        apply_dataset(cfg)
        apply_dataset(cfg)
        steps = [s.type for s in cfg.train_dataloader.dataset.pipeline]
        assert steps[-2:] == ['AutoAugment', 'PackInputs']
        assert steps.count('AutoAugment') == 1
        steps = [s.type for s in cfg.val_dataloader.dataset.pipeline]
        assert 'AutoAugment' not in steps


def test_more_augments_need_a_place(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f'_base_ = {str(CONFIG)!r}\n'
        "more_augments = [dict(type='AutoAugment', policies='imagenet')]\n"
        "train_pipeline = [dict(type='LoadImageFromFile')]\n"
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n'
    )
    with pytest.raises(UserError, match='before PackInputs'):
        read_config(str(path))
