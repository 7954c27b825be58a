"""One model of each backbone family of MMPretrain, and what it does."""

import functools
import inspect
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import forked
import mmpretrain
import numpy as np
from mmengine.config import Config
from PIL import Image

from flower_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
MIM = Path(mmpretrain.__file__).parent / '.mim'
MODEL_FILES = MIM / 'configs' / '_base_' / 'models'
# The smallest file of a family that has several.
SMALLEST = {
    'BEiTViT': 'eva/eva-l.py',
    'Conformer': 'conformer/tiny-p16.py',
    'ConvMixer': 'convmixer/convmixer-1024-20.py',
    'ConvNeXt': 'convnext/convnext-tiny.py',
    'DaViT': 'davit/davit-tiny.py',
    'DeiT3': 'deit3/deit3-small-p16-224.py',
    'EdgeNeXt': 'edgenext/edgenext-xxsmall.py',
    'HiViT': 'hivit/tiny_224.py',
    'HorNet': 'hornet/hornet-tiny.py',
    'MViT': 'mvit/mvitv2-tiny.py',
    'MobileNetV3': 'mobilenet_v3/mobilenet_v3_small_050_imagenet.py',
    'MobileViT': 'mobilevit/mobilevit_xxs.py',
    'PoolFormer': 'poolformer/poolformer_s12.py',
    'PyramidVig': 'vig/pyramid_vig_tiny.py',
    'RegNet': 'regnet/regnetx_400mf.py',
    'Res2Net': 'res2net50-w14-s8.py',
    'ResNeSt': 'resnest50.py',
    'ResNeXt': 'resnext50_32x4d.py',
    'ResNet': 'resnet18.py',
    'ResNetV1d': 'resnetv1d50.py',
    'ResNet_CIFAR': 'resnet18_cifar.py',
    'RevVisionTransformer': 'revvit/revvit-small.py',
    'SEResNeXt': 'seresnext50_32x4d.py',
    'SEResNet': 'seresnet50.py',
    'SwinTransformer': 'swin_transformer/tiny_224.py',
    'SwinTransformerV2': 'swin_transformer_v2/tiny_256.py',
    'TinyViT': 'tinyvit/tinyvit-5m.py',
    'VAN': 'van/van_tiny.py',
    'Vig': 'vig/vig_tiny.py',
}
# What has to differ from a file: large networks get fewer channels, and
# MMPretrain trains two heads without distillation only.
DEIT_TINY = {'backbone': {'arch': 'deit-tiny'}, 'head': {'in_channels': 192}}
UNDISTILLED = {'head': {'distillation': False}}
CHANGES = {
    'BEiTViT': DEIT_TINY,
    'EfficientFormer': UNDISTILLED,
    'LeViT': UNDISTILLED,
    'VisionTransformer': DEIT_TINY,
}
# Files that import a module, which MMEngine refuses to inherit from.
COPIED = ('replknet-31B_in1k.py',)
# Models that MMPretrain has outside `_base_/models`.
OTHERS = {
    'BEiT': 'beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py',
    'CSPDarkNet': 'cspnet/cspdarknet50_8xb32_in1k.py',
    'CSPResNeXt': 'cspnet/cspresnext50_8xb32_in1k.py',
    'CSPResNet': 'cspnet/cspresnet50_8xb32_in1k.py',
    'DistilledVisionTransformer': 'deit/deit-tiny-distilled_4xb256_in1k.py',
    'LeNet5': 'lenet/lenet5_mnist.py',
    'RIFormer': 'riformer/riformer-s12_8xb128_in1k.py',
    'ViTEVA02': 'eva02/eva02-tiny-p14_in1k.py',
    'XCiT': 'xcit/xcit-nano-12-p16_8xb128_in1k.py',
}
OWN = {
    'AlexNet': {
        'type': 'ImageClassifier',
        'backbone': {'type': 'AlexNet', 'num_classes': 1000},
        'head': {'type': 'ClsHead'},
    },
    'TIMMBackbone': {
        'type': 'ImageClassifier',
        'backbone': {'type': 'TIMMBackbone', 'model_name': 'resnet18'},
        'neck': {'type': 'GlobalAveragePooling'},
        'head': {
            'type': 'LinearClsHead',
            'num_classes': 1000,
            'in_channels': 512,
        },
    },
    'TimmClassifier': {
        'type': 'TimmClassifier',
        'model_name': 'resnet18',
        'num_classes': 1000,
    },
}
SIZES = {
    'InceptionV3': 299,
    'LeNet5': 32,
    'ResNet_CIFAR': 32,
    'SwinTransformerV2': 256,
    'ViTEVA02': 336,
    # Their networks take photos of any size.
    **dict.fromkeys(
        (
            *('CSPDarkNet', 'CSPResNeXt', 'CSPResNet', 'ConvMixer'),
            *('ConvNeXt', 'DenseNet', 'EfficientNet', 'EfficientNetV2'),
            *('HRNet', 'MobileNetV2', 'MobileNetV3', 'MobileOne'),
            *('PoolFormer', 'RIFormer', 'RegNet', 'RepLKNet', 'RepVGG'),
            *('Res2Net', 'ResNeSt', 'ResNeXt', 'ResNet', 'ResNetV1c'),
            *('ResNetV1d', 'SEResNeXt', 'SEResNet', 'ShuffleNetV1'),
            *('ShuffleNetV2', 'TIMMBackbone', 'TimmClassifier', 'VAN'),
        ),
        64,
    ),
}
CLASSES = ('blue', 'green', 'red', 'white', 'yellow')
STEPS = ('trains_float32', 'trains_bfloat16', 'predicts', 'reports')
NO_CLASSIFIER = 'not a single-label classifier'
LONGEST = 900  # seconds

DATA = """
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale={size}),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale={size}, edge='short'),
    dict(type='CenterCrop', crop_size={size}),
    dict(type='PackInputs'),
]
"""
OURS = """
train_dataloader = dict(
    batch_size=5, num_workers=0, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=5, num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.01, weight_decay=1e-4))
"""
STOCK = """
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
    to_rgb=True, num_classes={classes})
train_dataloader = dict(
    batch_size=5, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler'),
    dataset=dict(
        type='CustomDataset', data_root={data!r}, ann_file='train.txt',
        data_prefix='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=5, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler'),
    dataset=dict(
        type='CustomDataset', data_root={data!r}, ann_file='val.txt',
        data_prefix='val', pipeline=test_pipeline))
val_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, weight_decay=1e-4))
"""


@dataclass(frozen=True)
class Family:
    """A backbone family and the model that stands for it."""

    name: str
    source: str  # a file below MMPretrain's configs, or empty
    model: dict

    @property
    def is_classifier(self) -> bool:
        return self.model['type'].endswith('Classifier')

    @property
    def size(self) -> int:
        """The side of the photos, in pixels, that the network is made for."""
        if self.name in SIZES:
            return SIZES[self.name]
        size = self.model.get('backbone', {}).get('img_size', 224)
        return size if isinstance(size, int) else size[0]


@functools.cache
def families() -> dict[str, Family]:
    """One model for each type of backbone that MMPretrain has a model of."""
    found = {}
    for path in sorted(MODEL_FILES.rglob('*.py')):
        model = Config.fromfile(path).model.to_dict()
        name = model['backbone']['type']
        source = path.relative_to(MODEL_FILES).as_posix()
        if SMALLEST.get(name) == source or name not in found:
            found[name] = Family(name, f'_base_/models/{source}', model)
    for name, source in OTHERS.items():
        model = Config.fromfile(MIM / 'configs' / source).model.to_dict()
        found[name] = Family(name, source, model)
    for name, model in OWN.items():
        found[name] = Family(name, '', model)
    return found


def measure(family: Family, out: Path, stock: bool = True) -> dict[str, str]:
    """Train, predict and report; the row of the table. Only logs stay."""
    row = {'family': family.name, 'config': family.source}
    row |= {'size': str(family.size), 'stock': ''}
    row |= dict.fromkeys((*STEPS, 'reason'), '')
    if not family.is_classifier:
        return row | {'reason': NO_CLASSIFIER}
    out = out.resolve()
    data, run = out / 'data', out / 'run'
    write_photos(data)
    config = out / 'ours.py'
    config.write_text(_text_of(family, data, stock=False))
    best = run / 'best.pth'
    photo = next((data / 'val').rglob('*.jpg'))
    train = ('train', config, '--data-root', data, '--work-dir')
    float32 = ('--cfg-options', 'precision=float32')
    commands = {
        'trains_float32': (*train, out / 'float32', *float32),
        'trains_bfloat16': (*train, run, '--amp'),
        'predicts': ('predict', best, photo),
        'reports': ('report', run),
    }
    for step, (tool, *args) in commands.items():
        reason = _run(out / f'{step}.log', tool, *args)
        row[step] = 'no' if reason else 'yes'
        if reason and not row['reason']:
            row['reason'] = f'{tool}: {_without_paths(reason, out)}'
        if reason and step == 'trains_bfloat16':
            break
    if stock and 'no' in (row['trains_float32'], row['trains_bfloat16']):
        reason = _train_stock(family, data, out)
        row['stock'] = 'no' if reason else 'yes'
        if reason:
            row['reason'] = f'MMPretrain: {reason}'
    for folder in ('float32', 'run', 'stock'):
        shutil.rmtree(out / folder, ignore_errors=True)
    return row


def write_photos(data: Path) -> None:
    """Two photos of each class to train on and one for validation."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 2), ('val', 1)):
        lines = []
        for label, name in enumerate(CLASSES):
            for number in range(count):
                spots = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
                path = data / split / name / f'{number}.jpg'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(spots).resize((320, 300)).save(path)
                lines.append(f'{name}/{number}.jpg {label}\n')
        (data / f'{split}.txt').write_text(''.join(lines))
    (data / 'classes.txt').write_text(''.join(f'{n}\n' for n in CLASSES))


def _text_of(family: Family, data: Path, stock: bool) -> str:
    """A config file that inherits the model, for MMPretrain or for us."""
    base = ROOT / 'configs' / '_base_' / 'flower.py'
    bases = ['mmpretrain::_base_/default_runtime.py' if stock else str(base)]
    model = CHANGES.get(family.name, {})
    if family.source.startswith('_base_') and not family.source.endswith(
        COPIED
    ):
        bases.insert(0, f'mmpretrain::{family.source}')
    else:
        model = family.model
    if stock:
        model = _with_classes(family, model)
    text = (DATA + (STOCK if stock else OURS)).format(
        size=family.size, data=str(data), classes=len(CLASSES)
    )
    return f'_base_ = {bases}\nmodel = {model!r}\n{text}'


def _with_classes(family: Family, model: dict) -> dict:
    """The number of classes where a user of MMPretrain would write it."""
    head = family.model.get('head')
    if head is None:
        return model | {'num_classes': len(CLASSES)}
    kind = MODELS.get(head['type'])
    takes = 'num_classes' in inspect.signature(kind).parameters
    place = 'head' if takes else 'backbone'
    return model | {
        place: model.get(place, {}) | {'num_classes': len(CLASSES)}
    }


def _train_stock(family: Family, data: Path, out: Path) -> str:
    """Train in MMPretrain's own tool; why it failed, or nothing."""
    config = out / 'stock.py'
    config.write_text(_text_of(family, data, stock=True))
    tool = MIM / 'tools' / 'train.py'
    try:
        done = subprocess.run(
            [sys.executable, tool, config, '--work-dir', out / 'stock'],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return f'took more than {LONGEST} s'
    (out / 'stock.log').write_text(done.stdout)
    return _without_paths(_reason(done.returncode, done.stdout), out)


def _run(log: Path, tool: str, *args: str | Path) -> str:
    """Run one of our tools; why it failed, or nothing."""
    run = forked.start(log, tool, *args)
    try:
        return _reason(run.wait(), run.text)
    except TimeoutError:
        return f'took more than {forked.LONGEST} s'


def _reason(code: int, text: str) -> str:
    if code == 0:
        return ''
    if code < 0:
        return f'killed by signal {-code}'
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if line.startswith('error:'):
            return ' '.join(lines[place : place + 2])
    return (lines or [f'exit code {code}'])[-1]


def _without_paths(text: str, out: Path) -> str:
    for path, name in ((out, 'OUT'), (MIM.parent.parent, 'SITE'), (ROOT, '.')):
        text = text.replace(str(path), name)
    return text[:200]
