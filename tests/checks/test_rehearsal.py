"""The rehearsal of a run whose parts need a GPU or other processes."""

from examining import TINY_ON_BASE, opened, write
from torch import nn

from flower_mm.checks import rehearsal


def wait(*_: object, **__: object) -> None:
    raise AssertionError('waits for other processes')


def test_synchronised_batch_norm_is_rehearsed_as_batch_norm(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(nn.SyncBatchNorm, 'forward', wait)
    text = (
        f"{TINY_ON_BASE}\nmodel['backbone']['norm_cfg'] = dict(type='SyncBN')"
    )
    ctx = opened(write(tmp_path, text), '--data-root', dataset)
    ctx.device = 'cuda'
    assert list(rehearsal.check(ctx)) == []
    assert ctx.activations > 0


def test_a_metric_is_named_without_the_other_processes(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr('mmengine.evaluator.metric.collect_results', wait)
    ctx = opened(write(tmp_path, TINY_ON_BASE), '--data-root', dataset)
    assert list(rehearsal.check(ctx)) == []
    assert 'accuracy/top1' in ctx.metrics
