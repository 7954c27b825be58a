"""bfloat16 where it pays, and the same in what follows from a run."""

import json
from pathlib import Path

import forked
import pytest
import torch
from mmengine.config import Config
from run_differences import differences

from flower_mm.engine import distributed, precision
from flower_mm.engine.precision import choose_precision
from flower_mm.errors import UserError
from flower_mm.models import bfloat16
from flower_mm.models.bfloat16 import speed_up

probe = bfloat16._probe


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """Where a result is kept; measuring takes no time."""
    monkeypatch.setattr(bfloat16, '_probe', lambda _: 1.25)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'flower_mm' / 'bfloat16.json'


def made(**more) -> Config:
    return Config(
        {
            'precision': 'auto',
            'optim_wrapper': {'type': 'OptimWrapper'},
            'val_cfg': {},
            'test_cfg': {},
            **more,
        }
    )


def pays(home: Path, times: float) -> dict[str, str]:
    """The environment of a machine where it is `times` as fast."""
    speed_up('cpu')
    kept = json.loads(home.read_text())
    home.write_text(json.dumps(dict.fromkeys(kept, times)))
    return {'XDG_CACHE_HOME': str(home.parents[1])}


def test_a_gpu_validates_as_it_trains(home):
    torch.set_autocast_dtype('cuda', torch.float16)
    precision.use_bfloat16(made())
    assert torch.get_autocast_dtype('cuda') == torch.bfloat16


def test_it_is_tried_once_on_a_machine(home, monkeypatch):
    found = speed_up('cpu')
    assert found > 0
    monkeypatch.setattr(bfloat16, '_probe', lambda _: pytest.fail('again'))
    assert speed_up('cpu') == found


@pytest.mark.parametrize('kept', ['NaN', 'true', '"2"', 'null'])
def test_a_note_that_is_no_number(kept, home):
    found = speed_up('cpu')
    home.write_text(home.read_text().replace(str(found), kept))
    assert speed_up('cpu') > 0
    assert kept not in home.read_text()


@pytest.mark.parametrize('text', ['', '[1]', '{"x": "y"}', '\0'])
def test_a_damaged_note_is_written_anew(text, home):
    home.parent.mkdir(parents=True)
    home.write_text(text)
    found = speed_up('cpu')
    assert found in json.loads(home.read_text()).values()


def test_a_home_that_cannot_be_written(home, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert speed_up('cpu') > 0


def test_the_run_draws_as_if_it_had_not_been_tried():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    assert probe('cpu') > 0
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(
    ('times', 'kind'), [(2.0, 'Bf16OptimWrapper'), (1.0, 'OptimWrapper')]
)
def test_it_is_used_where_it_pays(times, kind, home):
    pays(home, times)
    cfg = made()
    choose_precision(cfg, 'cpu')
    assert cfg.optim_wrapper.type == kind
    for name in ('val_cfg', 'test_cfg'):
        assert cfg[name].get('fp16', False) == (times > 1.5)


@pytest.mark.parametrize(
    'given',
    [
        {'precision': 'float32'},
        {'precision': None},
        {'optim_wrapper': {'type': 'AmpOptimWrapper'}},
    ],
)
def test_what_the_config_says_stays(given, home):
    pays(home, 2.0)
    cfg = made(**given)
    choose_precision(cfg, 'cpu')
    assert cfg.optim_wrapper == made(**given).optim_wrapper


@pytest.mark.parametrize('wanted', ['bfloat16', 'Auto', 16])
def test_a_precision_that_is_none(wanted):
    with pytest.raises(UserError, match='invalid precision'):
        choose_precision(made(precision=wanted), 'cpu')


# Each process would decide otherwise; notes how often it measured and what
# it trains in.
DISAGREE = """
import os
from pathlib import Path
from flower_mm.engine import precision, resolved_run
rank = int(os.environ['RANK'])
asked = []
def speed_up(device):
    asked.append(device)
    return (1.0, 2.0)[rank == {faster}]
precision.speed_up = speed_up
choose = resolved_run.choose_precision
def choose_and_note(cfg, *args, **kwargs):
    choose(cfg, *args, **kwargs)
    note = cfg.optim_wrapper.type, cfg.val_cfg.get('fp16'), bool(asked)
    Path({folder!r}, f'{{rank}}.txt').write_text(repr(note))
resolved_run.choose_precision = choose_and_note
"""


@pytest.mark.parametrize(
    ('faster', 'kind', 'fp16'),
    [(0, 'Bf16OptimWrapper', True), (1, 'OptimWrapper', None)],
)
def test_rank_0_decides_for_all(faster, kind, fp16, config, dataset, tmp_path):
    """And its checks, which run there alone, choose a precision as well."""
    script = tmp_path / 'first.py'
    script.write_text(DISAGREE.format(faster=faster, folder=str(tmp_path)))
    forked.finish_ranks(
        *(tmp_path, 'train', config, '--data-root', dataset),
        *('--work-dir', tmp_path / 'run'),
        *('--cfg-options', 'train_cfg.max_epochs=1', 'precision=auto'),
        first=str(script),
    )
    meta = torch.load(tmp_path / 'run' / 'best.pth', weights_only=True)['meta']
    assert meta['cfg']['optim_wrapper']['type'] == kind
    notes = [(tmp_path / f'{rank}.txt').read_text() for rank in '01']
    # The second does not even measure.
    assert notes == [repr((kind, fp16, asks)) for asks in (True, False)]


class Stop(Exception):  # noqa: N818
    """Ends a probe before it needs the device."""


@pytest.mark.parametrize(('kind', 'touched'), [('cuda', [3]), ('cpu', [])])
def test_the_probe_touches_one_gpu(kind, touched, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda **_: True)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 3)
    seen = []

    def fork_rng(devices: list | None = None) -> None:
        seen.append(devices)
        raise Stop

    monkeypatch.setattr(torch.random, 'fork_rng', fork_rng)
    with pytest.raises(Stop):
        bfloat16._probe(kind)
    assert seen == [touched]


def test_the_group_is_joined_on_the_device_of_the_rank(monkeypatch):
    calls = []
    monkeypatch.setattr(
        distributed,
        'init_dist',
        lambda *args, **kwargs: calls.append((args, kwargs)),
    )
    for launcher in ('none', 'slurm'):
        env = {'dist_cfg': {'backend': 'nccl'}}
        distributed.join_group(made(launcher=launcher, env_cfg=env))
    assert calls == [(('slurm',), {'backend': 'nccl'})]


def test_on_a_device_without_autocast(home, monkeypatch):
    monkeypatch.setattr(bfloat16, '_probe', probe)
    cfg = made()
    choose_precision(cfg, 'mps')
    assert cfg.optim_wrapper.type == 'OptimWrapper'


# Kills the run when the checkpoint of the first epoch stands.
STOP = """
import os, signal
from flower_mm.engine.hooks.atomic_checkpoint import AtomicCheckpointHook
save = AtomicCheckpointHook.save
def save_and_die(self, runner, epoch):
    save(self, runner, epoch)
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
AtomicCheckpointHook.save = save_and_die
"""


def test_a_run_that_moves_stays_with_what_it_began(
    home, config, dataset, tmp_path
):
    fast = pays(home, 2.0)
    other = tmp_path / 'other' / 'flower_mm' / 'bfloat16.json'
    other.parent.mkdir(parents=True)
    other.write_text(home.read_text().replace('2.0', '1.0'))
    slow = {'XDG_CACHE_HOME': str(tmp_path / 'other')}

    def options(name: str) -> tuple:
        return (
            *(config, '--data-root', dataset, '--work-dir', tmp_path / name),
            *('--cfg-options', 'precision=auto'),
        )

    forked.finish(tmp_path / 'log', 'train', *options('whole'), env=fast)
    record = json.loads((tmp_path / 'whole' / 'run.json').read_text())
    assert record['optim_wrapper'] == 'Bf16OptimWrapper'
    assert record['bfloat16_speed_up'] == 2.0
    script = tmp_path / 'stop.py'
    script.write_text(STOP)
    run = forked.start(
        tmp_path / 'log1', 'train', *options('part'),
        first=str(script), env=fast,
    )  # fmt: skip
    assert run.wait() == -9, run.text
    forked.finish(
        tmp_path / 'log2', 'train', *options('part'), '--resume', env=slow
    )
    found = differences(tmp_path / 'whole', tmp_path / 'part')
    assert found == ['run.json.bfloat16_speed_up']
    # And the other way round, by a config that says so.
    forked.finish(tmp_path / 'log3', 'train', *options('slow'), env=slow)
    record = json.loads((tmp_path / 'slow' / 'run.json').read_text())
    assert record['optim_wrapper'] == 'OptimWrapper'
