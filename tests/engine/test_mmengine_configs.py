"""Configs in the forms that MMEngine takes: they train, or exit with 2."""

import json
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch
from mmengine.config import Config, ConfigDict

from flower_mm.cli.arguments import config_options
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
from flower_mm.engine.metrics import Criterion, criteria
from flower_mm.engine.precision import choose_precision, keep_precision
from flower_mm.errors import UserError
from flower_mm.weights.best_checkpoint import TOP1

F1 = 'single-label/f1-score'
USUAL_KEYS = """
default_hooks = dict(checkpoint=dict(
    by_epoch=True, rule='greater', save_last=True, save_optimizer=True,
    save_param_scheduler=True, out_dir=None, filename_tmpl='epoch_{}.pth',
    published_keys=['meta', 'state_dict'], backend_args=None,
    file_client_args=None, greater_keys=['acc'], less_keys=['loss']))
"""
BOTH_METRICS = """
val_evaluator = [
    dict(type='Accuracy', topk=(1,)), dict(type='SingleLabelMetric')]
"""
# Added to the small config. Several in one run, to save time.
TRAINED = {
    'None for whole sections': """
visualizer = env_cfg = randomness = data_preprocessor = custom_hooks = None
log_processor = param_scheduler = test_cfg = test_dataloader = None
test_evaluator = auto_scale_lr = None
""",
    'None for hooks': """
default_hooks = dict(
    timer=None, logger=None, param_scheduler=None, broken_photos=None,
    sync_buffers=None, finite=None, record=None, progress=None,
    visualization=None)
visualizer = dict(vis_backends=None)
""",
    'no default hooks': """
default_hooks = None
visualizer = dict(_delete_=True, type='Visualizer')
randomness = dict(_delete_=True, deterministic=False)
""",
    'an evaluator with its type': """
val_evaluator = dict(
    _delete_=True, type='Evaluator',
    metrics=[dict(type='Accuracy', topk=(1, 5))])
visualizer = dict(vis_backends=[dict(type='mmengine.LocalVisBackend')])
""",
    'settings of workers without workers': """
train_dataloader.update(persistent_workers=True, prefetch_factor=4)
val_dataloader.update(persistent_workers=True, prefetch_factor=4)
param_scheduler = dict(
    _delete_=True, type='MultiStepLR', by_epoch=True, milestones=[1])
""",
    'keys of CheckpointHook': USUAL_KEYS,
}


def train(config: Path, dataset: Path, run: Path, more: str, *args: str):
    variant = run.with_suffix('.py')
    # On the config's own dictionaries, which a child config cannot update.
    variant.write_text(config.read_text('utf-8') + more, 'utf-8')
    started = forked.start(
        run.with_suffix('.log'),
        'train',
        variant,
        *('--data-root', dataset, '--work-dir', run, *args),
    )
    return started.wait(), started.text


@pytest.mark.parametrize('more', TRAINED.values(), ids=TRAINED)
def test_what_mmengine_trains_is_trained(more, config, dataset, tmp_path):
    code, text = train(config, dataset, tmp_path / 'run', more)
    assert code == 0, text
    kept = torch.load(tmp_path / 'run' / 'epoch_2.pth', weights_only=True)
    assert kept['meta']['epoch'] == 2


@pytest.mark.parametrize(
    ('more', 'named'),
    [
        (
            'train_dataloader.update('
            "sampler=dict(type='InfiniteSampler', shuffle=True))",
            'InfiniteSampler',
        ),
        (
            'default_hooks = dict(checkpoint=dict(save_optimizer=False))',
            'save_optimizer',
        ),
        ('default_hooks = dict(checkpoint=dict(by_epoch=False))', 'by_epoch'),
        (
            "default_hooks = dict(checkpoint=dict(save_best='nothing'))",
            'nothing',
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(
    more, named, config, dataset, tmp_path
):
    args = () if named == 'nothing' else ('--no-doctor',)
    code, text = train(config, dataset, tmp_path / 'run', more, *args)
    assert code == 2, text
    assert named in text
    assert 'Traceback' not in text


def test_several_metrics_have_a_best_file_each(config, dataset, tmp_path):
    """And a run that is resumed keeps those of a metric it has met."""
    run = tmp_path / 'run'
    more = BOTH_METRICS + (
        'default_hooks = dict(checkpoint=dict('
        f"save_best=['{F1}', '{TOP1}'], max_keep_ckpts=-1))\n"
    )
    assert train(config, dataset, run, more)[0] == 0
    hub = torch.load(run / 'epoch_2.pth', weights_only=True)['message_hub']
    noted = hub['runtime_info']
    for name, metric, end in (
        ('best.pth', F1, ''),
        ('best_accuracy_top1.pth', TOP1, f'_{TOP1}'),
    ):
        meta = torch.load(run / name, weights_only=True)['meta']
        assert meta['metrics'][metric] == noted[f'best_score{end}']
        assert meta['epoch'] == noted[f'best_epoch{end}']
        assert noted[f'best_metric{end}'] == metric
    before = (run / 'best_accuracy_top1.pth').read_bytes()
    args = ('--resume', str(run / 'epoch_1.pth'))
    code, text = train(config, dataset, run, more, *args)
    assert code == 0, text
    assert (run / 'best_accuracy_top1.pth').read_bytes() == before


def test_the_best_by_a_metric_without_accuracy(config, dataset, tmp_path):
    """EMA and plain weights are compared by it, too."""
    more = """
val_evaluator = [dict(type='SingleLabelMetric')]
default_hooks = dict(head_first=None, checkpoint=dict(save_best='auto'))
"""
    run = tmp_path / 'run'
    code, text = train(config, dataset, run, more)
    assert code == 0, text
    metrics = torch.load(run / 'best.pth', weights_only=True)['meta'][
        'metrics'
    ]
    name = 'single-label/precision'  # the first, as in MMEngine
    both = metrics[f'{name}_ema'], metrics[f'{name}_plain']
    assert metrics[name] == max(both)


def test_no_best_file_where_none_is_wanted(config, dataset, tmp_path):
    more = 'default_hooks = dict(checkpoint=dict(save_best=None))'
    run = tmp_path / 'run'
    assert train(config, dataset, run, more)[0] == 0
    assert not (run / 'best.pth').exists()
    record = json.loads((run / 'run.json').read_text('utf-8'))
    assert record['result']['best_epoch'] is None


@pytest.mark.nightly
def test_another_script_builds_the_runner(config, dataset, tmp_path):
    """As MMPretrain's own tools/train.py does."""
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys\n'
        'from mmengine.config import Config\n'
        'from mmengine.registry import RUNNERS\n'
        'cfg = Config.fromfile(sys.argv[1])\n'
        'cfg.merge_from_dict({"train_dataloader.dataset.data_root": '
        'sys.argv[2], "val_dataloader.dataset.data_root": sys.argv[2], '
        '"test_dataloader.dataset.data_root": sys.argv[2], '
        '"visualizer": None, "train_dataloader.persistent_workers": True})\n'
        'cfg.work_dir = sys.argv[3]\n'
        'RUNNERS.build(cfg).train()\n'
    )
    done = subprocess.run(
        [sys.executable, script, config, dataset, tmp_path / 'run'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'run' / 'best.pth').is_file()


# --- settings of the checkpoint hook -----------------------------------------


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        ({'save_best': TOP1}, [(TOP1, False)]),
        ({'save_best': 'cross_entropy'}, [('cross_entropy', True)]),
        ({'save_best': 'my/loss'}, [('my/loss', True)]),
        ({'save_best': 'my/loss', 'rule': 'greater'}, [('my/loss', False)]),
        ({'save_best': F1}, [(F1, False)]),
        ({'save_best': 'x', 'less_keys': ['x']}, [('x', True)]),
        ({'save_best': 'loss', 'greater_keys': 'loss'}, [('loss', False)]),
        ({'save_best': ['a', 'loss']}, [('a', False), ('loss', True)]),
        (
            {'save_best': ['a', 'b'], 'rule': 'less'},
            [('a', True), ('b', True)],
        ),
        (
            {'save_best': ['a', 'b'], 'rule': ['less', 'greater']},
            [('a', True), ('b', False)],
        ),
        ({'save_best': None}, []),
        ({'save_best': None, 'rule': 'less'}, []),
    ],
)
def test_metrics_and_their_directions(settings, expected):
    found = criteria(**settings)
    assert [(c.metric, c.less) for c in found] == expected


@pytest.mark.parametrize(
    'settings',
    [
        {'save_best': ['a', 'a']},
        {'save_best': ['auto', 'a']},
        {'save_best': 5},
        {'save_best': [5]},
        {'save_best': 'a', 'rule': 'bigger'},
        {'save_best': ['a', 'b', 'c'], 'rule': ['less', 'less']},
        {'save_best': 'a', 'rule': 5},
        {'save_best': 'a', 'less_keys': 5},
        {'interval': 0},
        {'interval': 'x'},
        {'interval': None},
        {'interval': True},
        {'max_keep_ckpts': 1.5},
        {'save_begin': 'x'},
        {'save_optimizer': False},
        {'save_param_scheduler': False},
        {'by_epoch': False},
        {'out_dir': 'elsewhere'},
        {'filename_tmpl': 'mine_{}.pth'},
        {'backend_args': {'backend': 'petrel'}},
        {'file_client_args': {'backend': 'petrel'}},
    ],
    ids=str,
)
def test_invalid_settings_name_themselves_and_what_fixes_them(settings):
    with pytest.raises(UserError, match=list(settings)[-1]) as refused:
        AtomicCheckpointHook(**settings)
    command = str(refused.value).splitlines()[-1]
    options = config_options(command.split()[1:])
    AtomicCheckpointHook(
        **settings
        | {
            key.removeprefix('default_hooks.checkpoint.'): value
            for key, value in options.items()
        }
    )


def test_settings_without_effect_are_noted():
    assert AtomicCheckpointHook().notes == []
    assert 'save_last' in AtomicCheckpointHook(save_last=False).notes[0]
    assert (
        'published_keys'
        in AtomicCheckpointHook(published_keys='meta').notes[0]
    )


@pytest.mark.parametrize(
    ('interval', 'begin', 'expected'),
    [
        (1, 0, [1, 2, 3, 4, 5]),
        (2, 0, [2, 4, 5]),
        (-1, 0, [5]),
        (2, 3, [3, 5]),
        (1, 4, [4, 5]),
    ],
)
def test_epochs_with_a_checkpoint(interval, begin, expected):
    """The same epochs as MMEngine's hook has, by its rule."""
    hook = AtomicCheckpointHook(interval=interval, save_begin=begin)
    saved = []
    hook.save = lambda runner, epoch: saved.append(epoch)
    runner = ConfigDict(max_epochs=5)
    for epoch in range(1, 6):
        hook._epoch_is_over(runner, epoch)
    assert saved == expected


def test_automatic_metrics():
    auto = criteria('auto')[0]
    assert auto.among({'a': 1, TOP1: 2}) == Criterion(TOP1, False)
    assert auto.among({'b_loss': 1, 'a': 2}) == Criterion('b_loss', True)
    assert criteria('auto', 'less')[0].among({'a': 1}).less


def test_a_score_of_another_metric_is_not_compared():
    criterion = Criterion('a', False)
    noted = {'best_score': 99.0, 'best_epoch': 1, 'best_metric': 'b'}
    assert criterion.so_far(noted) == float('-inf')
    assert criterion.so_far(noted | {'best_metric': 'a'}) == 99.0


# --- precision ---------------------------------------------------------------


def test_a_wrapper_that_is_named_stays_on_resume():
    """--amp on a GPU, after a start in bfloat16 that was chosen by probe."""
    cfg = Config(
        {
            'precision': 'auto',
            'optim_wrapper': {
                'type': 'AmpOptimWrapper',
                'loss_scale': 'dynamic',
            },
            'val_cfg': {},
        }
    )
    choose_precision(cfg, 'cpu')
    began = {
        'precision': 'auto',
        'optim_wrapper': {'type': 'Bf16OptimWrapper'},
    }
    keep_precision(cfg, {'cfg': began})
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_amp_stays_on_resume_after_float32():
    cfg = Config(
        {
            'precision': 'auto',
            'optim_wrapper': {'type': 'Bf16OptimWrapper'},
            'val_cfg': {'fp16': True},
        }
    )
    choose_precision(cfg, 'cpu')
    began = {'precision': 'auto', 'optim_wrapper': {'type': 'OptimWrapper'}}
    keep_precision(cfg, {'cfg': began})
    assert cfg.optim_wrapper.type == 'Bf16OptimWrapper'
    assert cfg.val_cfg.fp16
