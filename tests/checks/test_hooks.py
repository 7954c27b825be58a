"""Hooks that would end the run, or never do what they are there for."""

import shlex

import pytest
from examining import NOTE, STOP, WARN
from making import TINY_ON_BASE

EARLY = "custom_hooks = [dict(type='EarlyStoppingHook', patience=3, {})]\n"
BEST = 'default_hooks = dict(checkpoint=dict({}))\n'
THEIRS = "type='mmengine.CheckpointHook'"


@pytest.fixture
def examine(examine_whole):
    return lambda more, *words: examine_whole(TINY_ON_BASE + more, *words)


def mended(found) -> list[str]:
    return shlex.split(found.mend)


# --- metrics that hooks wait for ---------------------------------------------


@pytest.mark.parametrize('kind', ["type='CheckpointHook'", THEIRS])
@pytest.mark.parametrize('name', ['accuracy/top-1', 'acc', 'top1'])
def test_a_best_epoch_by_what_is_not_measured(examine, name, kind):
    text = BEST.format(f"{kind}, save_best='{name}'")
    found = examine(text).one(f'{name} is not measured')
    assert found.level == STOP
    assert found.where == 'default_hooks.checkpoint.save_best'
    assert found.mend.endswith('save_best=accuracy/top1')
    assert examine(text, *mended(found)).about('val_evaluator measures') == []


@pytest.mark.parametrize(('ema', 'count'), [('', 0), (', ema=None', 1)])
def test_both_weights_where_there_is_an_average(examine, ema, count):
    best = "checkpoint=dict(save_best='accuracy/top1_ema')"
    seen = examine(f'default_hooks = dict({best}{ema})\n')
    assert len(seen.about('val_evaluator measures')) == count


def test_looking_at_metrics_says_nothing(examine, capfd):
    examine(EARLY.format("monitor='accuracy/top1'"))
    said = capfd.readouterr()
    assert 'prefix' not in said.out + said.err


def test_an_early_stop_by_what_is_not_measured(examine):
    text = EARLY.format("monitor='accuracy/top-1'")
    found = examine(text).one('accuracy/top-1 is not measured')
    assert found.level == WARN
    assert 'never stopped early' in found.what
    assert examine(text, *mended(found)).about('val_evaluator measures') == []
    strict = EARLY.format("monitor='accuracy/top-1', strict=True")
    assert examine(strict).one('val_evaluator measures').level == STOP


def test_an_early_stop_by_the_loss(examine):
    text = EARLY.format("monitor='loss'")
    found = examine(text).one('loss is not measured')
    assert found.mend.endswith(
        'monitor=cross_entropy custom_hooks.0.rule=less'
    )
    assert examine(text, *mended(found)).about('val_evaluator measures') == []


@pytest.mark.parametrize(
    'text',
    [
        BEST.format("save_best='auto'"),
        BEST.format(f"{THEIRS}, save_best='auto'"),
        BEST.format("save_best='accuracy/top1_ema'"),
        BEST.format(f"{THEIRS}, rule='less', save_best='cross_entropy'"),
        BEST.format(f"{THEIRS}, save_best=['accuracy/top1']"),
        EARLY.format("monitor='accuracy/top1'"),
        # What some metric of the user's own may measure.
        "val_evaluator = [dict(type='Accuracy', topk=(1,)), "
        "dict(type='AveragePrecision')]\n"
        + EARLY.format("monitor='multi-label/mAP', rule='greater'"),
        "val_evaluator = [dict(type='Accuracy', topk=(1,)), "
        "dict(type='SingleLabelMetric', prefix='mine')]\n"
        + EARLY.format("monitor='mine/f1-score'"),
        "val_evaluator = [dict(type='Accuracy', topk=(1,), thrs=(0., 0.5))]\n"
        'val_cfg = dict(_delete_=True)\n'
        + BEST.format("save_best='accuracy/top1_thr-0.50'"),
    ],
)
def test_what_is_measured(examine, text):
    assert examine(text).about('val_evaluator measures') == []


def test_the_greatest_loss_is_no_best_epoch(examine):
    best = "save_best='cross_entropy'"
    assert examine(BEST.format(best)).about('greatest') == []
    text = BEST.format(f"{best}, rule='greater'")
    found = examine(text).one('greatest')
    assert found.level == WARN
    assert examine(text, *mended(found)).about('greatest') == []


# --- what MMEngine refuses ---------------------------------------------------


REFUSED = {
    'logger=dict(interval=0)': 'interval must be greater than 0',
    'checkpoint=dict(interval=0)': 'invalid interval',
    "ema=dict(type='EMAHook', momentum=2.0)": 'a share between 0 and 1',
    "ema=dict(type='EMAHook', begin_epoch=5)": 'begins at epoch 5',
    "ema=dict(type='EMAHook', begin_iter=500)": 'begins at iter 500',
}


@pytest.mark.parametrize(('text', 'said'), REFUSED.items(), ids=list(REFUSED))
def test_what_a_hook_cannot_be(examine, text, said):
    text = f'default_hooks = dict({text})\n'
    found = examine(text).one(said)
    assert found.level == STOP
    seen = examine(text, *mended(found))
    assert [f for f in seen.found if f.level == STOP] == []


def test_a_run_without_its_counter(examine):
    found = examine('default_hooks = dict(runtime_info=None)\n')
    assert found.one('RuntimeInfoHook is off').level == STOP


def test_a_start_method_that_is_none(examine):
    text = "env_cfg = dict(mp_cfg=dict(mp_start_method='spwan'))\n"
    found = examine(text).one("'spwan'")
    assert found.level == STOP
    assert found.mend.endswith('mp_start_method=spawn')
    text = text.replace('spwan', 'spawn')
    assert examine(text).about('mp_start_method') == []


# --- averages ----------------------------------------------------------------


def test_two_averages(examine):
    text = "custom_hooks = [dict(type='EMAHook', momentum=1e-4)]\n"
    found = examine(text).one('Two hooks average')
    assert found.level == WARN
    option = found.mend.partition(': ')[2]
    assert examine(text, *shlex.split(option)).about('average') == []


def test_a_momentum_from_another_library(examine):
    text = 'default_hooks = dict(ema=dict(momentum=0.9999))\n'
    found = examine(text).one('share of the new weights')
    assert found.level == WARN
    assert found.mend.endswith('default_hooks.ema.momentum=0.0001')


def test_healthy_hooks_are_left_alone(examine):
    text = """
custom_hooks = [
    dict(type='EarlyStoppingHook', monitor='accuracy/top1', patience=3),
    dict(type='EmptyCacheHook'), dict(type='EMAHook', momentum=1e-4,
    priority='ABOVE_NORMAL')]
default_hooks = dict(
    ema=None, logger=dict(type='LoggerHook', interval=100), timer=None,
    checkpoint=dict(type='mmengine.CheckpointHook', interval=-1,
                    save_best='auto'))
"""
    seen = examine(text, '--from-scratch')
    assert [str(found) for found in seen.found if found.level > NOTE] == []
