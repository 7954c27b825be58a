"""What a run says of its best epoch and of the baselines that it misses."""

import json
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
import torch
from mmengine.config import Config
from torch import nn

from flower_mm.engine.hooks.pretrained import initial_weights
from flower_mm.engine.hooks.run_record import best_top1
from flower_mm.engine.run_summary import _shortfalls
from flower_mm.report.learning_curves import phases, read_scalars

F1 = 'single-label/f1-score'
F1_CONFIG = """
_base_ = [{config!r}]
val_evaluator = [
    dict(type='Accuracy', topk=(1,)),
    dict(type='SingleLabelMetric', items=('f1-score',)),
]
default_hooks = dict(
    checkpoint=dict(save_best='single-label/f1-score'),
    ema=None,
)
"""


@pytest.fixture(scope='module')
def f1_run(config, dataset, tmp_path_factory) -> tuple[Path, str]:
    """A run that f1-score chose the best epoch of; its output."""
    folder = tmp_path_factory.mktemp('f1')
    path = folder / 'f1.py'
    path.write_text(F1_CONFIG.format(config=str(config)), encoding='utf-8')
    done = forked.finish(
        folder / 'log', 'train', path, '--data-root', dataset,
        '--work-dir', folder / 'run',
    )  # fmt: skip
    return folder / 'run', done.text


def test_another_metric_is_named_as_what_it_is(f1_run):
    run, text = f1_run
    result = json.loads((run / 'run.json').read_text('utf-8'))['result']
    val = phases(read_scalars(run / 'scalars.json'))[1]
    best = max(val, key=lambda record: record[F1])
    assert result['best_metric'] == F1
    assert result['best_score'] == pytest.approx(best[F1])
    assert result['best_epoch'] == best['step']
    # Accuracy stays accuracy.
    assert result['best_top1'] == pytest.approx(best['accuracy/top1'])
    assert f'best macro F1 {best[F1]:.2f} % on ' in text
    assert 'best accuracy' not in text
    lines = text.splitlines()
    first = next(i for i, x in enumerate(lines) if x.startswith('epoch 1/2 '))
    assert 'val macro F1' in lines[first - 1]
    for line, record in zip(lines[first:], val, strict=False):
        assert f' {record[F1]:.2f} %' in line


def test_accuracy_is_named_accuracy(plain_run):
    result = json.loads((plain_run / 'run.json').read_text('utf-8'))['result']
    assert result['best_metric'] == 'accuracy/top1'
    assert result['best_score'] == result['best_top1']


class Photos:
    """A val split: 60 photos of the first class, 40 of the second."""

    metainfo = {'classes': ['rose', 'tulip']}

    def __len__(self) -> int:
        return 100

    def get_data_info(self, place: int) -> dict:
        return {'gt_label': int(place >= 60)}


@pytest.mark.parametrize(
    ('top1', 'noted'),
    [
        ([90.0, 80.0], ['fine-tuning ends below']),
        ([80.0, 90.0], []),
        ([50.0, 60.0], ['is not clearly above']),
        ([60.0, 50.0], ['fine-tuning ends below', 'is not clearly above']),
    ],
)
def test_the_end_of_a_training_notes_missed_baselines(top1, noted, tmp_path):
    lines = [
        json.dumps({'accuracy/top1': value, 'step': epoch}) + '\n'
        for epoch, value in enumerate(top1)
    ]
    (tmp_path / 'scalars.json').write_text(''.join(lines))
    runtime = {'head_first': {}, 'best_score': max(top1), 'best_epoch': 0}
    runner = SimpleNamespace(
        work_dir=tmp_path,
        message_hub=SimpleNamespace(runtime_info=runtime),
        hooks=[],
        val_dataloader=SimpleNamespace(dataset=Photos()),
    )
    found = _shortfalls(runner)
    assert len(found) == len(noted)
    for line, part in zip(found, noted, strict=True):
        assert part in line


def test_a_model_that_knows_one_class_is_noted(
    plain_run, config, dataset, tmp_path
):
    found = torch.load(plain_run / 'best.pth', weights_only=True)
    for name, weight in found['state_dict'].items():
        if name.startswith('head.'):
            weight.zero_()
    torch.save(found, tmp_path / 'same.pth')
    done = forked.finish(
        tmp_path / 'log', 'test', config, tmp_path / 'same.pth',
        '--data-root', dataset, '--work-dir', tmp_path / 'test',
    )  # fmt: skip
    assert 'is not clearly above always predicting' in done.text


def test_a_good_run_says_nothing(plain_run, config, dataset, tmp_path):
    done = forked.finish(
        tmp_path / 'log', 'test', config, plain_run / 'best.pth',
        '--data-root', dataset, '--work-dir', tmp_path / 'test',
    )  # fmt: skip
    assert 'not clearly above' not in done.text


def test_the_accuracy_of_an_epoch_that_another_metric_chose(tmp_path):
    runtime = {'best_metric': F1, 'best_score': 90.0, 'best_epoch': 3}
    runner = SimpleNamespace(
        work_dir=tmp_path,
        message_hub=SimpleNamespace(runtime_info=runtime),
        hooks=[],
    )
    assert best_top1(runner) is None
    line = f'{{"accuracy/top1": 88.0, "{F1}": 90.0, "step": 3}}\n'
    (tmp_path / 'scalars.json').write_text(line)
    assert best_top1(runner) == 88.0
    # A checkpoint from before metrics were noted.
    del runtime['best_metric']
    assert best_top1(runner) == 90.0
    # MMEngine's hook notes neither the metric nor the epoch.
    del runtime['best_epoch']
    runner.hooks.append(SimpleNamespace(key_indicators=[F1]))
    assert best_top1(runner) is None


LARGE, SMALL = nn.Linear(1000, 1000), nn.Linear(10, 10)
PRETRAINED = {'type': 'Pretrained', 'checkpoint': 'x.pth'}
DRAWN = {'type': 'Kaiming', 'layer': 'Conv2d'}


@pytest.mark.parametrize(
    ('config', 'model', 'wanted'),
    [
        ({}, LARGE, 'random'),
        ({'default_hooks': None}, LARGE, 'random'),
        ({'model': {'backbone': {'init_cfg': DRAWN}}}, LARGE, 'random'),
        ({'model': {'backbone': {'pretrained': False}}}, LARGE, 'random'),
        ({}, SMALL, 'random, small network'),
        (
            {'default_hooks': {'pretrained': None}},
            LARGE,
            'random, as wanted',
        ),
        (
            {'default_hooks': {'pretrained': {'weights': 'resnet50'}}},
            LARGE,
            'pretrained',
        ),
        ({'load_from': 'x.pth'}, LARGE, 'pretrained'),
        ({'model': {'pretrained': 'x.pth'}}, LARGE, 'pretrained'),
        ({'model': {'backbone': {'pretrained': True}}}, LARGE, 'pretrained'),
        (
            {'model': {'backbone': {'init_cfg': [DRAWN, PRETRAINED]}}},
            LARGE,
            'pretrained',
        ),
    ],
)
def test_what_a_backbone_starts_from(config, model, wanted):
    cfg = Config({'model': {'backbone': {}}, **config})
    assert initial_weights(cfg, model) == wanted


def test_what_it_starts_from_is_in_run_json(plain_run, train):
    def noted(run: Path) -> str:
        return json.loads((run / 'run.json').read_text('utf-8'))[
            'initial_weights'
        ]

    assert noted(plain_run) == 'random, small network'
    wanted = train('scratch', '--from-scratch')
    assert noted(wanted) == 'random, as wanted'
    assert noted(train('scratch', '--resume')) == 'random, as wanted'
