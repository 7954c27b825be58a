"""What cannot be built stops the run, in words of ours."""

import shlex
from pathlib import Path

import forked
import pytest
from examining import STOP, WARN, Examined, look_at, read, write
from making import TINY_ON_BASE, custom, make_dataset

from flower_mm.checks.dataset import sizes
from flower_mm.checks.run import check_before_training

CLASSES = ('daisy', 'rose', 'tulip')
VGG = """
_base_ = ['mmpretrain::_base_/models/vgg11.py', 'BASE']
train_dataloader = dict(batch_size=2, num_workers=0)
val_dataloader = dict(num_workers=0)
"""
UNLABELLED = 'barlowtwins/barlowtwins_resnet50_8xb256-coslr-300e_in1k'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    counts = dict.fromkeys(CLASSES, 6)
    return make_dataset(tmp_path / 'mine', train=counts, val=counts)


@pytest.fixture
def examine(tmp_path: Path, root: Path):
    def run(text: str, *words: str, **how) -> Examined:
        path = write(tmp_path, text)
        options = ('--data-root', root, '--device', 'cpu', '--from-scratch')
        return look_at(path, *options, *words, **how)

    return run


def stops(seen: Examined) -> list:
    """Those that stop, and what could not be looked at."""
    return [
        f
        for f in seen.found
        if f.level == STOP or 'could not be checked' in f.what
    ]


def pasted(mend: str) -> list[str]:
    """The words of a mend that begins with --cfg-options."""
    assert mend.startswith('--cfg-options ')
    return shlex.split(mend.partition(';')[0])


# --- datasets ----------------------------------------------------------------


def test_keys_of_the_dataset_before(examine, root):
    text = custom(root, f'metainfo=dict(classes={list(CLASSES)}),')
    assert stops(examine(text)) == []
    text = text.replace('CustomDataset', 'FlowerDataset')
    (found,) = stops(examine(text))
    assert found.where == 'train_dataloader.dataset.data_prefix'
    assert 'val_dataloader.dataset.metainfo' in found.what
    assert "split='train'" in found.mend


def test_keys_of_one_loader(examine):
    line = "val_dataloader['dataset']['data_prefix'] = 'val'\n"
    (found,) = stops(examine(TINY_ON_BASE + line))
    assert found.where == 'val_dataloader.dataset.data_prefix'
    assert 'train_dataloader' not in found.text


def test_keys_where_nothing_is_validated(examine):
    line = "train_dataloader['dataset']['metainfo'] = None\n"
    (found,) = stops(examine(TINY_ON_BASE + line, '--no-validate'))
    assert found.where == 'train_dataloader.dataset.metainfo'


def test_keys_inside_a_wrapper(examine):
    text = (
        TINY_ON_BASE
        + """
train_dataloader['dataset'] = dict(
    _delete_=True, type='RepeatDataset', times=2, dataset=dict(
        type='FlowerDataset', data_root='x', split='train', metainfo=None,
        pipeline=train_pipeline))
"""
    )
    (found,) = stops(examine(text))
    assert found.where == 'train_dataloader.dataset.dataset.metainfo'
    assert stops(examine(text.replace(' metainfo=None,', ''))) == []


def test_the_way_to_our_dataset_leads_there(examine, root):
    """Nobody is told to change the type alone where keys are in its way."""
    text = custom(root).replace("ann_file='train.txt'", "ann_file='gone.txt'")
    seen = examine(text)
    (found,) = [f for f in stops(seen) if 'cannot be read' in f.what]
    assert "dataset=dict(type='flower_mm.FlowerDataset'" in found.what
    assert 'dataset.type=flower_mm' not in found.what


# --- loaders -----------------------------------------------------------------


@pytest.mark.parametrize(
    ('loader', 'level'), [('train', STOP), ('val', STOP), ('test', WARN)]
)
def test_shuffled_twice(examine, loader, level):
    place = f'{loader}_dataloader.shuffle'
    text = f"{TINY_ON_BASE}{loader}_dataloader['shuffle'] = True\n"
    seen = examine(text)
    found = seen.one('stands beside a sampler')
    assert (found.level, found.where) == (level, place)
    again = examine(text, *pasted(found.mend))
    assert again.about('beside a sampler') == stops(again) == []
    assert stops(examine(text.replace('True', 'False'))) == []


def test_no_sampler(examine):
    text = (
        TINY_ON_BASE
        + """
train_dataloader = dict(
    _delete_=True, batch_size=8, num_workers=0, dataset=dict(
        type='FlowerDataset', data_root='x', split='train',
        pipeline=train_pipeline))
"""
    )
    (found,) = stops(examine(text))
    assert found.where == 'train_dataloader.sampler'
    words = pasted(found.mend)
    assert 'train_dataloader.sampler.shuffle=True' in words
    assert stops(examine(text, *words)) == []


def test_a_loader_that_torch_refuses(examine):
    line = "train_dataloader['timeout'] = -1\n"
    (found,) = stops(examine(TINY_ON_BASE + line))
    assert found.where == 'train_dataloader'
    assert 'timeout' in found.what


def test_a_batch_of_more_photos_than_there_are(examine):
    text = (
        TINY_ON_BASE
        + "train_dataloader['batch_size'] = 32\n"
        + "train_dataloader['drop_last'] = True\n"
    )
    (found,) = stops(examine(text))
    assert found.where == 'train_dataloader.drop_last'
    assert '32' in found.what
    assert '18 photos' in found.what
    assert stops(examine(text, *pasted(found.mend))) == []
    assert stops(examine(text.replace('32\n', '18\n'))) == []


# --- the model ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('line', 'where', 'said'),
    [
        (
            "model['train_cfg'] = dict(augment=dict(type='Mixup', alpha=.8))",
            'model.train_cfg',
            "'augment'",
        ),
        ("model['backbone']['depth'] = 19", 'model.backbone', 'depth 19'),
        (
            "model['backbone']['strides'] = (1, 2, 2)",
            'model.backbone',
            'len(strides)',  # MMPretrain's assertion says nothing itself
        ),
        (
            "model['head']['loss'] = dict(type='LabelSmoothLoss')",
            'model.head.loss',
            'label_smooth_val',
        ),
        (
            "model['head'] = dict(type='StackedLinearClsHead', "
            'in_channels=32)',
            'model.head',
            'mid_channels',
        ),
        (
            'data_preprocessor = dict(std=None)',
            'data_preprocessor',
            '`mean` and `std`',
        ),
        (
            "train_pipeline[1] = dict(type='RandomResizedCrop')",
            'train_dataloader.dataset.pipeline.1',
            "'scale'",
        ),
    ],
)
def test_a_part_that_cannot_be_built(examine, line, where, said):
    (found,) = stops(examine(f'{TINY_ON_BASE}{line}\n'))
    assert found.where == where
    assert said in found.what
    assert '\n' not in found.what


def test_rates_by_depth_for_a_model_that_has_none(examine):
    text = (
        TINY_ON_BASE
        + """
optim_wrapper = dict(
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7))
"""
    )
    found = examine(text).one("does not take this model's weights")
    assert (found.level, found.where) == (STOP, 'optim_wrapper')


def test_a_head_for_another_backbone(examine):
    text = TINY_ON_BASE + "model['head']['in_channels'] = 512\n"
    (found,) = stops(examine(text))
    assert '512' in found.what
    assert '32' in found.what
    assert found.where == 'model.head.in_channels'
    assert stops(examine(text, *pasted(found.mend))) == []


def test_a_head_without_a_neck(examine):
    (found,) = stops(examine(TINY_ON_BASE + "model['neck'] = None\n"))
    assert 'maps of 32 x 4 x 4' in found.what
    assert 'GlobalAveragePooling' in found.mend


def test_a_head_that_tells_no_classes(examine):
    text = TINY_ON_BASE + "model['head'] = dict(type='ClsHead')\n"
    found = examine(text).one('gives 32 numbers', 'names 3')
    assert found.level == WARN


# --- the loss ----------------------------------------------------------------

SIGMOID = "loss = dict(type='CrossEntropyLoss', use_sigmoid=True)\n"
MIXUP = "model['train_cfg'] = dict(augments=dict(type='Mixup', alpha=0.8))\n"


def with_loss(line: str) -> str:
    return f"{TINY_ON_BASE}{line}model['head']['loss'] = loss\n"


def test_a_loss_for_several_classes_a_photo(examine):
    (found,) = stops(examine(with_loss(SIGMOID)))
    assert found.where == 'model.head.loss.use_sigmoid'
    assert stops(examine(with_loss(SIGMOID), *pasted(found.mend))) == []


def test_a_loss_for_several_classes_and_labels_that_have_them(examine):
    assert stops(examine(with_loss(SIGMOID) + MIXUP)) == []
    line = "model['head']['cal_acc'] = False\n"
    line += 'data_preprocessor = dict(to_onehot=True)\n'
    assert stops(examine(with_loss(SIGMOID) + line)) == []


def test_a_loss_for_other_classes(examine):
    text = with_loss("loss = dict(type='SeesawLoss')\n")
    (found,) = stops(examine(text))
    assert '1000' in found.what
    assert '3' in found.what
    assert stops(examine(text, *pasted(found.mend))) == []


def test_weights_of_other_classes_are_told_once(examine):
    text = with_loss(
        "loss = dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0])\n"
    )
    assert len(stops(examine(text))) == 1


@pytest.mark.parametrize(
    'loss',
    [
        "dict(type='LabelSmoothLoss', label_smooth_val=0.1)",
        "dict(type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=9)",
        "dict(type='FocalLoss')",
        "dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0])",
        "dict(type='CrossEntropyLoss', use_soft=True)",
    ],
)
def test_losses_that_do(examine, loss):
    mixed = MIXUP if 'use_soft' in loss else ''
    assert stops(examine(with_loss(f'loss = {loss}\n') + mixed)) == []


def test_a_hook_that_counts_the_classes(examine):
    hook = "custom_hooks = [dict(type='ClassNumCheckHook')]\n"
    loss = "loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1)\n"
    (found,) = stops(examine(with_loss(loss) + hook))
    assert 'LabelSmoothLoss, which has num_classes=None' in found.what
    assert stops(examine(TINY_ON_BASE + hook)) == []


def test_training_without_labels(tmp_path, root):
    path = write(tmp_path, f"_base_ = 'mmpretrain::{UNLABELLED}.py'\n")
    words = ('--data-root', root, '--device', 'cpu', '--seed', '0')
    (found,) = stops(look_at(path, *words))
    assert found.where == 'model.type'
    assert 'BarlowTwins learns from photos without labels' in found.what


def test_photos_of_one_colour(examine):
    """Their shape is not what shapes alone were tried with."""
    text = (
        TINY_ON_BASE
        + """
for pipeline in (train_pipeline, test_pipeline):
    pipeline[0]['color_type'] = 'grayscale'
train_pipeline.pop(3)  # ColorJitter
train_pipeline.pop(3)  # RandomErasing
model['backbone']['in_channels'] = 1
data_preprocessor = dict(mean=[127.0], std=[58.0], to_rgb=False)
"""
    )
    seen = examine(text)
    assert stops(seen) == []


def test_vgg_is_told_of_its_classes(examine):
    """Its backbone has the classifier, and its head takes no num_classes."""
    seen = examine(VGG)
    assert stops(seen) == []
    assert seen.case.model.backbone.classifier[-1].out_features == 3
    # Flattened, photos of another size are another number of values.
    seen = examine(
        VGG + "train_pipeline = [dict(type='LoadImageFromFile'), "
        "dict(type='CenterCrop', crop_size=64), dict(type='PackInputs')]\n"
        "train_dataloader['dataset'] = dict(pipeline=train_pipeline)\n"
    )
    assert stops(seen)[0].where == 'model.backbone'


@pytest.mark.parametrize('name', ['levit-256-p16', 'efficientformer-l1'])
def test_a_distilled_head_that_cannot_be_trained(examine, name):
    text = (
        f"_base_ = ['mmpretrain::_base_/models/{name}.py', 'BASE']\n"
        'train_dataloader = dict(batch_size=2, num_workers=0)\n'
        'val_dataloader = dict(num_workers=0)\n'
    )
    (found,) = stops(examine(text))
    assert found.where == 'model.head.distillation'
    assert stops(examine(text, *pasted(found.mend))) == []


# --- what is shown -----------------------------------------------------------


def test_training_stops_before_it_begins(tmp_path, root):
    text = TINY_ON_BASE + "model['head']['in_channels'] = 512\n"
    config, work = write(tmp_path, text), tmp_path / 'run'
    words = (config, '--data-root', root, '--work-dir', work)
    done = forked.start(tmp_path / 'train.log', 'train', *words)
    assert done.wait() == 2
    assert '--cfg-options model.head.in_channels=32' in done.text
    assert 'Traceback' not in done.text
    assert not work.exists()


def test_a_fault_of_a_check_is_no_secret(tmp_path, root, monkeypatch, capsys):
    def fail(case):
        raise ZeroDivisionError('of a check\nthat is wrong')
        yield

    fail.__module__ = sizes.__name__
    monkeypatch.setattr(sizes, 'check', fail)
    config = write(tmp_path, TINY_ON_BASE)
    words = ('--data-root', root, '--device', 'cpu', '--seed', '0')
    check_before_training(*read(config, *words))
    shown = capsys.readouterr().out.splitlines()
    (line,) = [line for line in shown if 'could not be checked' in line]
    assert 'dataset.sizes' in line
    assert 'of a check that is wrong' in line
