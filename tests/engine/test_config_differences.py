"""A checkpoint is tested with the config that it was trained with."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
import torch
from mmengine.config import Config

import flower_mm.engine  # noqa: F401  registers what configs name
from flower_mm.engine.config_differences import differences
from flower_mm.engine.test import _same_config
from flower_mm.errors import UserError

OPTIONS = ('data_preprocessor.to_rgb=False', 'train_cfg.max_epochs=1')


@pytest.fixture(scope='module')
def bgr_run(config, dataset, tmp_path_factory) -> tuple[Path, str]:
    """A run under options that decide about predictions; its output."""
    folder = tmp_path_factory.mktemp('bgr')
    run = forked.finish(
        folder / 'log', 'train', config, '--data-root', dataset,
        '--work-dir', folder / 'run', '--device', 'cpu',
        '--cfg-options', OPTIONS[0], '--cfg-options', OPTIONS[1],
    )  # fmt: skip
    return folder / 'run', run.text


@pytest.fixture
def run_test(config, dataset, tmp_path) -> Callable:
    def run(checkpoint: Path, *args: str) -> tuple[int, str]:
        found = forked.start(
            tmp_path / 'log', 'test', config, checkpoint,
            '--data-root', dataset, '--work-dir', tmp_path / 'test', *args,
        )  # fmt: skip
        return found.wait(), found.text

    return run


def printed(text: str, tool: str) -> list[str]:
    """The arguments of the command for a tool in what was printed."""
    line = next(line for line in text.splitlines() if f'{tool}.py' in line)
    words = shlex.split(line)
    place = next(i for i, word in enumerate(words) if f'{tool}.py' in word)
    return words[place + 1 :]


def read_top1(folder: Path) -> float:
    return json.loads((folder / 'test.json').read_text('utf-8'))['top1']


def test_the_printed_command_reproduces_the_run(bgr_run, tmp_path):
    run, text = bgr_run
    args = printed(text, 'test')
    assert args[args.index('--cfg-options') + 1 :] == list(OPTIONS)
    assert args[args.index('--device') + 1] == 'cpu'
    forked.finish(tmp_path / 'log', 'test', *args)
    best = json.loads((run / 'run.json').read_text('utf-8'))['result']
    assert read_top1(run / 'test') == pytest.approx(best['best_top1'])


def test_other_values_stop(bgr_run, run_test, tmp_path):
    run, _ = bgr_run
    code, text = run_test(run / 'best.pth')
    assert code == 2
    assert 'data_preprocessor.to_rgb is True, was False in training' in text
    assert not (tmp_path / 'test' / 'test.json').exists()
    # What it advises is what it takes.
    args = printed(text, 'test')
    assert args[-2:] == ['--cfg-options', OPTIONS[0]]
    forked.finish(tmp_path / 'log2', 'test', *args)
    # A checkpoint to resume from is no different.
    assert run_test(run / 'epoch_1.pth')[0] == 2


def test_other_values_by_the_users_word(bgr_run, run_test, tmp_path):
    run, _ = bgr_run
    code, text = run_test(run / 'best.pth', '--ignore-checkpoint-config')
    assert code == 0, text
    assert (tmp_path / 'test' / 'test.json').is_file()


def test_averaging_compares_the_model_inside(bgr_run, run_test):
    run, _ = bgr_run
    assert run_test(run / 'best.pth', '--tta')[0] == 2
    same = ('--tta', '--cfg-options', OPTIONS[0])
    assert run_test(run / 'best.pth', *same)[0] == 0


@pytest.mark.parametrize('config_in_file', [None, 'model = dict()'])
def test_a_checkpoint_from_elsewhere(
    config_in_file, plain_run, run_test, tmp_path
):
    found = torch.load(plain_run / 'best.pth', weights_only=True)
    found['meta'].pop('cfg')
    if config_in_file:
        found['meta']['cfg'] = config_in_file
    torch.save(found, tmp_path / 'other.pth')
    code, text = run_test(tmp_path / 'other.pth')
    assert code == 0, text


def test_a_resumed_run_leaves_a_config_to_test_with(config, dataset, tmp_path):
    run = tmp_path / 'run'
    for args in (('--cfg-options', 'train_cfg.val_interval=1'), ('--resume',)):
        forked.finish(
            tmp_path / 'log', 'train', config, '--data-root', dataset,
            '--work-dir', run, *args,
        )  # fmt: skip
    forked.finish(
        tmp_path / 'log2', 'test', run / config.name, run / 'best.pth'
    )


MODEL = {
    'type': 'ImageClassifier',
    'backbone': {'type': 'ResNet', 'depth': 18, 'norm_cfg': {'type': 'BN'}},
    'head': {'type': 'LinearClsHead', 'num_classes': 3, 'in_channels': 512},
}
PIPELINE = [
    {'type': 'LoadImageFromFile'},
    {'type': 'ResizeEdge', 'scale': 64, 'edge': 'short'},
    {'type': 'Resize', 'scale': (32, 32)},
    {'type': 'PackInputs'},
]


def make(
    backbone: dict | None = None,
    head: dict | None = None,
    resize: dict | None = None,
    **preprocessor: object,
) -> dict:
    first, edge, last, pack = PIPELINE
    return {
        'model': {
            **MODEL,
            'backbone': {**MODEL['backbone'], **(backbone or {})},
            'head': {**MODEL['head'], **(head or {})},
        },
        'data_preprocessor': {'mean': [1.0, 2.0, 3.0], **preprocessor},
        'test_dataloader': {
            'dataset': {
                'pipeline': [first, edge, {**last, **(resize or {})}, pack]
            }
        },
    }


def compare(now: dict, then: dict) -> list:
    return differences(Config(now), then)


@pytest.mark.parametrize(
    'trained',
    [
        make(backbone={'init_cfg': {'type': 'Pretrained'}}),
        make(backbone={'frozen_stages': 2, 'norm_eval': True}),
        make(backbone={'num_stages': 4}),  # a default
        make(backbone={'type': 'mmpretrain.ResNet'}),
        make(head={'loss': {'type': 'LabelSmoothLoss'}, 'topk': (1,)}),
        make(head={'num_classes': 5, 'init_cfg': None}),
        make(resize={'scale': [32, 32], 'interpolation': 'bilinear'}),
        make(to_rgb=False, type='ClsDataPreprocessor'),
        make(mean=(1, 2, 3), num_classes=3),
        {**make(), 'model': {**make()['model'], 'neck': None}},
        {'model': 'not a dictionary'},
        {},
    ],
    ids=range(12),
)
def test_harmless_differences(trained):
    assert compare(make(), trained) == []


@pytest.mark.parametrize(
    ('trained', 'key', 'option'),
    [
        (make(to_rgb=True), 'data_preprocessor.to_rgb', 'True'),
        (make(mean=[1, 2, 4]), 'data_preprocessor.mean.2', '4'),
        (make(backbone={'depth': 34}), 'model.backbone.depth', '34'),
        (make(backbone={'style': 'caffe'}), 'model.backbone.style', 'caffe'),
        (
            make(resize={'scale': (32, 48)}),
            'test_dataloader.dataset.pipeline.2.scale.1',
            '48',
        ),
        (
            make(resize={'interpolation': 'bicubic'}),
            'test_dataloader.dataset.pipeline.2.interpolation',
            'bicubic',
        ),
        (make(backbone={'type': 'ResNeXt'}), 'model.backbone.type', None),
        (make(resize={'type': 'os.system'}), None, None),
        (make(resize={'scale': 'a; rm b'}), None, None),
        (make(backbone={'_delete_': True}), None, None),
        (make(backbone={'plugins': [{'type': 'x'}]}), None, None),
        (make(**{'type.x': 1}), None, None),
    ],
)
def test_differences_and_their_options(trained, key, option):
    (found,) = compare(make(), trained)
    assert key in (None, found.key)
    wanted = f'{found.key}={option}' if option else ''
    assert found.option == wanted


def test_more_steps_are_one_difference():
    trained = make()
    trained['test_dataloader']['dataset']['pipeline'] = PIPELINE[:2]
    (found,) = compare(make(), trained)
    assert found.key == 'test_dataloader.dataset.pipeline'
    assert "['LoadImageFromFile', 'ResizeEdge']" in str(found)


def test_a_strangers_values_do_not_steer_the_terminal():
    trained = make(**{'a\x1b[2J': '\x1b]0;x\x07'})
    (found,) = compare(make(), trained)
    assert str(found).isprintable()


def test_a_preprocessor_in_the_model_is_the_one_in_force():
    now = make(to_rgb=True)
    inside = make(to_rgb=False)
    inside['model']['data_preprocessor'] = now['data_preprocessor']
    assert compare(now, inside) == []


def test_a_config_without_end():
    trained = make()
    deep = {}
    for _ in range(3000):
        deep = {'x': deep}
    trained['model']['head'] = deep
    args = SimpleNamespace(checkpoint='best.pth', config='config.py')
    with pytest.raises(UserError):
        _same_config(args, Config(make()), {'cfg': trained})
