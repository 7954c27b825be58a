"""What will run, as tools/doctor.py says it first."""

from pathlib import Path

import forked
import pytest
from examining import opened, read, write
from helpers import CLASSES, ROOT

from flower_mm.checks.case import Case
from flower_mm.checks.effective import effective

NAMES = (
    'rate',
    'epochs',
    'batch',
    'classes',
    'photos',
    'weights',
    'device',
    'seed',
)
STOCK = "_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'\n"


@pytest.fixture
def rows(tmp_path: Path, dataset: Path):
    def run(text: str, *words: str | Path) -> dict[str, str]:
        path = write(tmp_path, text)
        case = opened(path, '--data-root', dataset, *words)
        found = effective(case)
        assert [name for name, _ in found] == list(NAMES)
        return dict(found)

    return run


def ours(*lines: str) -> str:
    return '\n'.join(["_base_ = 'CONFIGS/resnet18_flower.py'", *lines])


def test_a_config_of_ours(rows, dataset):
    found = rows(ours())
    train = len((dataset / 'train.txt').read_text().splitlines())
    val = len((dataset / 'val.txt').read_text().splitlines())
    assert found['rate'] == 'AdamW 3e-4, warm-up over epoch 1, cosine to 5e-6'
    assert found['epochs'] == '10'
    assert found['batch'] == '32 photos a step, 2 steps an epoch'
    assert found['classes'] == f'3: {", ".join(CLASSES)}'
    # Testing would read val again.
    assert found['photos'] == f'{dataset}: {train} train, {val} val'
    assert 'resnet18' in found['weights']
    assert 'missing' in found['weights']
    assert found['device'].startswith(('cpu (', 'cuda ('))
    assert found['seed'] == '0'


SCHEDULES = {
    "dict(type='MultiStepLR', milestones=[6, 8])": (
        'times 0.1 after epoch 6, 8'
    ),
    "dict(type='StepLR', step_size=3, gamma=0.5)": 'times 0.5 every 3 epochs',
    "dict(type='StepLR', step_size=1, gamma=0.9)": 'times 0.9 every epoch',
    "dict(type='ExponentialLR', gamma=0.9)": 'times 0.9 each epoch to 1e-4',
    "dict(type='OneCycleLR', eta_max=0.01)": 'one cycle',
    "dict(type='PolyLR', power=1)": 'polynomial',
    "dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', patience=2)": (
        'times 0.1 after 2 epochs without progress'
    ),
    "[dict(type='LinearLR', start_factor=0.1, end=40, by_epoch=False)]": (
        'warm-up over 40 iterations'
    ),
    "dict(type='LinearLR', begin=2, end=9)": 'LinearLR',
    'None': 'constant',
}


@pytest.mark.parametrize(
    ('scheduler', 'said'), SCHEDULES.items(), ids=list(SCHEDULES)
)
def test_schedules_in_words(scheduler, said, rows):
    listed = scheduler if scheduler[0] in '[N' else f'[{scheduler}]'
    found = rows(ours(f'param_scheduler = {listed}'))
    assert said in found['rate']


def test_the_rate_that_weights_really_get(rows):
    found = rows(
        ours("""
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10)}))
""")
    )
    assert found['rate'].startswith('AdamW 3e-4 (at most 2.9')
    found = rows(
        ours(),
        '--auto-scale-lr',
        '--cfg-options',
        'train_dataloader.batch_size=16',
    )
    assert found['rate'].startswith('AdamW 1.5e-4')


def test_the_command_line_is_in_it(rows, tmp_path):
    weights = tmp_path / 'mine.pth'
    found = rows(
        ours(),
        '--accumulate',
        '4',
        '--seed',
        '7',
        '--cfg-options',
        'train_cfg.max_epochs=3',
        f'default_hooks.pretrained.weights={weights}',
    )
    assert found['epochs'] == '3'
    assert found['seed'] == '7'
    assert '32 photos a step, in 4 parts' in found['batch']
    assert found['weights'] == str(weights)
    assert rows(ours(), '--from-scratch')['weights'] == 'none: from scratch'
    anew = rows(ours(), '--work-dir', tmp_path)['weights']
    resume = (ours(), '--resume', '--work-dir', tmp_path)
    assert rows(*resume)['weights'] == anew  # there is nothing to resume
    (tmp_path / 'epoch_1.pth').touch()
    found = rows(*resume)['weights']
    assert found == f'a checkpoint to go on from: the newest in {tmp_path}'


def test_more_classes_than_fit_a_line(rows, dataset, tmp_path):
    root = tmp_path / 'many'
    root.mkdir()
    names = [f'kind {number:02}' for number in range(30)]
    (root / 'classes.txt').write_text('\n'.join(names))
    found = rows(ours(), '--data-root', root)
    assert found['classes'].startswith('30: kind 00, kind 01')
    assert found['classes'].endswith(', …')
    assert found['photos'] == f'{root}, which cannot be read'
    assert found['batch'] == '32 photos a step'


@pytest.mark.parametrize(
    ('line', 'weights'),
    [
        ("load_from = 'https://host/resnet50.pth'", 'https://host/resnet50'),
        (
            "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', "
            "checkpoint='here.pth', prefix='backbone')))",
            'here.pth',
        ),
        ('', 'none: from scratch'),
    ],
)
def test_a_config_of_mmpretrains(line, weights, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = rows(STOCK + line)
    assert found['rate'] == 'SGD 0.1, times 0.1 after epoch 30, 60, 90'
    assert found['epochs'] == '100'
    assert found['weights'].startswith(weights)
    assert found['seed'].startswith('none')


def test_nothing_of_it_fails(tmp_path):
    """Whatever is wrong is for the checks to say."""
    cfg, args = read(write(tmp_path, ours()))
    cfg.optim_wrapper = cfg.train_cfg = cfg.train_dataloader = cfg.model = None
    found = effective(Case(args, cfg, 'cpu'))
    assert [name for name, _ in found] == list(NAMES)
    assert dict(found)['rate'] == 'unknown'


def test_the_doctor_begins_with_it(dataset, tmp_path):
    config = ROOT / 'configs' / 'flower' / 'demo_flower.py'
    options = config, '--data-root', dataset
    run = forked.start(tmp_path / 'log', 'doctor', *options)
    assert run.wait() == 0, run.text
    first, rate, epochs, *_ = run.text.splitlines()
    assert first == 'what will run'
    assert rate.split(maxsplit=1)[0] == 'rate'
    assert epochs.split() == ['epochs', '12']
    assert rate.index('AdamW') == epochs.index('12')
