"""Every config is built and trains, from weights of the right shapes."""

import gc
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from helpers import CLASSES, ROOT, mostly_nightly
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from flower_mm.checks.building import build_model
from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.engine import FlowerRunner
from flower_mm.engine.hooks.head_first import last_layer
from flower_mm.weights.pretrained_table import read_table

CONFIGS = sorted((ROOT / 'configs' / 'flower').glob('*_flower*.py'))
REPORTS = sorted((ROOT / 'configs' / 'flower' / 'reports').glob('*.py'))
# In each run of the tests; the others are nightly.
TRAINED = ('demo_flower', 'mobilenet_v2_flower')


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
    # A runner's parts refer to each other in circles, and its model stays.
    gc.collect()


def small(path: Path, dataset: Path, work_dir: Path):
    """The config as it is, on eight photos, two a step."""
    cfg = read_config(str(path))
    use_data_root(cfg, str(dataset))
    cfg.work_dir = str(work_dir)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.indices = [0, -1, 1, -2]  # first and last class
    # A schedule that begins where the run ends is refused.
    begins = [one.get('begin', 0) for one in cfg.param_scheduler or []]
    cfg.train_cfg.max_epochs = 1 + max(
        (begin for begin in begins if begin != 'auto'), default=0
    )
    # What a run leaves has its own tests; ResNet-152's would be 1 GB.
    cfg.default_hooks.checkpoint = None
    cfg.visualizer.vis_backends = []
    return cfg


@pytest.mark.parametrize('path', CONFIGS + REPORTS, ids=lambda path: path.stem)
def test_a_config_computes_a_loss(path, dataset, tmp_path):
    """From its own photos, without the time that training takes."""
    cfg = small(path, dataset, tmp_path)
    apply_dataset(cfg)
    init_default_scope(cfg.default_scope)
    model = build_model(
        {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
    )
    # So that the head can be fitted first.
    assert last_layer(model, len(CLASSES)).out_features == len(CLASSES)
    assert build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    batch = next(iter(FlowerRunner.build_dataloader(cfg.train_dataloader)))
    batch = model.data_preprocessor(batch, training=True)
    with torch.no_grad():
        losses = model(**batch, mode='loss')
    assert losses['loss'].isfinite()


@pytest.mark.parametrize(
    'path',
    mostly_nightly(CONFIGS + REPORTS, TRAINED, attrgetter('stem')),
)
def test_a_config_trains_from_weights_of_its_shapes(
    path, dataset, tmp_path, capfd
):
    cfg = small(path, dataset, tmp_path)
    apply_dataset(cfg)
    init_default_scope(cfg.default_scope)
    backbone = MODELS.build(cfg.model.backbone).state_dict()
    file = tmp_path / 'weights.pth'
    torch.save({f'backbone.{k}': v for k, v in backbone.items()}, file)
    cfg.default_hooks.pretrained.weights = str(file)

    runner = FlowerRunner.from_cfg(cfg)
    runner.train()

    assert runner.iter == 2 * cfg.train_cfg.max_epochs
    said = capfd.readouterr().out
    count = len([k for k in backbone if not k.endswith('num_batches_tracked')])
    assert 'backbone tensors' in said
    matched, total = said.split(' backbone tensors')[0].split()[-3::2]
    assert matched == total
    assert int(total) <= count
    scalars = runner.message_hub.log_scalars
    assert torch.isfinite(torch.tensor(scalars['train/loss'].data[0])).all()
    assert 'val/accuracy/top1' in scalars
    assert 'val/accuracy/top5' not in scalars  # of three classes
    head = runner.model.head
    assert head.num_classes == len(CLASSES)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_names_its_weights_and_states_no_classes(path):
    name, _, _ = path.stem.partition('_flower')
    text = path.read_text()
    assert 'num_classes' not in text
    if name != 'demo':
        cfg = read_config(str(path))
        network = cfg.model.backbone.get('model_name')
        expected = f'timm/{network}' if name == 'timm' else name
        assert cfg.default_hooks.pretrained.weights == expected
        assert network or name in read_table()


def test_a_shorter_run_keeps_a_whole_schedule(dataset, tmp_path):
    """The rate of the last step is near its floor, whatever the length."""
    cfg = small(ROOT / 'configs/flower/resnet18_flower.py', dataset, tmp_path)
    cfg.train_cfg.max_epochs = 3
    cfg.model.backbone.update(base_channels=16, stem_channels=16)
    cfg.model.head.in_channels = 128
    cfg.default_hooks.pretrained = None
    runner = FlowerRunner.from_cfg(cfg)
    runner.train()
    rates = runner.message_hub.log_scalars['train/lr'].data[0]
    top = runner.cfg.optim_wrapper.optimizer.lr
    assert max(rates) > 0.5 * top
    assert rates[0] < 0.2 * top
    assert rates[-1] < 0.2 * top
