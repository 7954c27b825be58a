"""What this machine cannot carry, or does not use."""

import shlex
from pathlib import Path

import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import TINY_ON_BASE, make_dataset

from flower_mm.checks.machine import limits


@pytest.fixture
def examine(tmp_path: Path):
    counts = {'rose': 6, 'tulip': 6}
    root = make_dataset(tmp_path / 'mine', train=counts, val=counts)

    def run(more: str = '', *words: str) -> Examined:
        path = write(tmp_path, TINY_ON_BASE + more)
        return look_at(path, '--data-root', root, '--device', 'cpu', *words)

    return run


def on_a_gpu(seen: Examined) -> list:
    """As it would be found with a GPU."""
    seen.case.device = 'cuda'
    return list(limits.check(seen.case))


# --- workers -----------------------------------------------------------------


def test_more_workers_than_cores(examine):
    text = "train_dataloader['num_workers'] = 1000\n"
    found = examine(text).one('1000 workers')
    assert found.level == WARN
    assert found.where == 'train_dataloader.num_workers'
    words = shlex.split(found.mend)
    assert examine(text, *words).about('workers load') == []


def test_workers_of_a_run_without_validation(examine):
    text = "train_dataloader['num_workers'] = 1000\n"
    found = examine(text, '--no-validate').one('1000 workers')
    assert 'val_dataloader' not in found.mend
    words = shlex.split(found.mend)
    assert examine(text, '--no-validate', *words).about('workers load') == []


# --- packages ----------------------------------------------------------------


@pytest.mark.parametrize(
    ('kind', 'package'),
    [('WandbVisBackend', 'wandb'), ('MLflowVisBackend', 'mlflow')],
)
def test_a_log_that_needs_a_package(examine, kind, package, monkeypatch):
    text = f"visualizer = dict(vis_backends=[dict(type='{kind}')])\n"
    monkeypatch.setattr(limits, 'find_spec', lambda name: None)
    found = examine(text).one(kind)
    assert found.level == STOP
    assert f'-m pip install {package}' in found.mend
    monkeypatch.setattr(limits, 'find_spec', lambda name: name == package)
    assert examine(text).about(kind) == []


def test_logs_that_need_no_package(examine):
    assert examine().about('vis_backends') == []


def test_workers_of_all_processes(examine, monkeypatch):
    """Each of them has its own."""
    monkeypatch.setattr(limits, 'cores', lambda: 4)
    seen = examine("train_dataloader['num_workers'] = 4\n")
    assert seen.about('workers load') == []
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    seen.case.cfg.launcher = 'pytorch'
    found = next(limits.check(seen.case))
    assert '4 workers in each of 4 processes load photos on 4 cores' in (
        found.what
    )
    assert 'num_workers=1' in found.mend


def test_no_workers_and_a_gpu(examine):
    seen = examine()
    assert seen.about('waits') == []
    (found,) = on_a_gpu(seen)
    assert found.level == WARN
    assert 'The GPU waits' in found.what


# --- shared memory -----------------------------------------------------------


@pytest.mark.skipif(
    not limits.SHARED_MEMORY.is_dir(), reason='no shared memory to look at'
)
def test_batches_that_shared_memory_cannot_hold(examine):
    text = (
        "train_dataloader['num_workers'] = 1\n"
        "train_dataloader['batch_size'] = 10**9\n"
    )
    found = examine(text).one('/dev/shm')
    assert found.level == WARN
    assert '6144000 MB' in found.what  # 32 x 32 x 3 bytes, two of them
    assert '--shm-size' in found.mend
    without = "train_dataloader['batch_size'] = 10**9\n"
    assert examine(without).about('/dev/shm') == []


def test_usual_batches(examine):
    text = "train_dataloader['num_workers'] = 1\n"
    assert examine(text).about('/dev/shm') == []


# --- precision ---------------------------------------------------------------


def test_their_mixed_precision_on_a_cpu(examine):
    text = "optim_wrapper['type'] = 'AmpOptimWrapper'\n"
    found = examine(text).one('AmpOptimWrapper needs a GPU')
    assert found.level == STOP
    assert found.where == 'optim_wrapper.type'
    seen = examine(text, '--amp')
    assert seen.about('needs a GPU') == []
    assert on_a_gpu(seen)[1:] == []


def test_bfloat16_without_the_arithmetic(examine, monkeypatch):
    monkeypatch.setattr(limits, '_computes_bf16', lambda: False)
    found = examine('', '--amp').one('no bfloat16 arithmetic')
    assert found.level == WARN
    assert examine().about('bfloat16 arithmetic') == []


def test_bfloat16_that_is_not_used(examine, monkeypatch):
    monkeypatch.setattr(limits, '_computes_bf16', lambda: True)
    found = examine().one('has bfloat16 arithmetic')
    assert found.level == NOTE
    assert found.mend.startswith('--amp')
    assert examine('', '--amp').about('bfloat16 arithmetic') == []


def test_nothing_tells_about_bfloat16(examine, monkeypatch):
    monkeypatch.setattr(limits, '_computes_bf16', lambda: None)
    assert examine('', '--amp').about('bfloat16 arithmetic') == []


# --- devices -----------------------------------------------------------------


def test_several_gpus_and_one_process(examine, monkeypatch):
    seen = examine("train_dataloader['num_workers'] = 1\n")
    monkeypatch.setattr(limits.torch.cuda, 'device_count', lambda: 4)
    (found,) = on_a_gpu(seen)
    assert found.level == NOTE
    assert '4 GPUs' in found.what
    assert found.mend.startswith('tools/dist_train.sh')


def test_sync_bn_between_cpus(examine):
    text = "model['backbone']['norm_cfg'] = dict(type='SyncBN')\n"
    seen = examine(text)
    assert seen.about('SyncBN') == []  # MMEngine takes BN for it
    seen.case.cfg.launcher = 'pytorch'
    found = list(limits.check(seen.case))
    assert [f.level for f in found if 'SyncBN' in f.what] == [STOP]
