"""The first lines of a training: what is trained, on what, and where."""

from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from flower_mm.config import bare_name
from flower_mm.environment import device_name
from flower_mm.image_size import model_size
from flower_mm.models.structure import unwrapped


def header(runner) -> str:
    """Return the lines that describe a training before its first epoch."""
    cfg = runner.cfg
    epochs = runner.max_epochs - runner.epoch
    steps = len(runner.train_dataloader)
    batch_size = str(cfg.train_dataloader.batch_size)
    if runner.world_size > 1:
        batch_size += f' in each of {runner.world_size} processes'
    dataset = runner.train_dataloader.dataset
    photos = f'{len(dataset)} for training'
    if runner.val_loop is not None:
        photos += f', {len(runner.val_dataloader.dataset)} for validation'
    rows = {
        'model': ', '.join(_model(cfg, unwrapped(runner.model))),
        'photos': f'{photos}, {len(dataset.metainfo["classes"])} classes',
        'device': f'{device_name(get_device())}, {precision(cfg)}',
        'training': f'{epochs} epoch{"s" * (epochs != 1)} of '
        f'{steps} iteration{"s" * (steps != 1)}, batch size {batch_size}',
        'results': str(cfg.work_dir),
    }
    return '\n'.join(f'{name:9} {text}' for name, text in rows.items())


def precision(cfg: Config) -> str:
    """Return the precision that a config trains in."""
    wrapper = cfg.optim_wrapper
    kind = bare_name(wrapper.get('type'))
    if kind == 'AmpOptimWrapper':
        return str(wrapper.get('dtype') or 'float16')
    return 'bfloat16' if kind == 'Bf16OptimWrapper' else 'float32'


def _model(cfg: Config, model: nn.Module) -> list[str]:
    """Return name, size and input of a model."""
    part = cfg.model.get('backbone') or cfg.model
    name = str(part.get('model_name') or '')
    if not name:
        name = type(getattr(model, 'backbone', model)).__name__
        variant = part.get('depth') or part.get('arch')
        name += f'-{variant}' if isinstance(variant, (int, str)) else ''
    parameters = list(model.parameters())
    count = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    texts = [name, f'{_millions(count)} million parameters']
    if trained < count:
        texts[1] += f' ({_millions(trained)} million trained)'
    pipelines = (
        cfg[loader].dataset.get('pipeline')
        for loader in ('train_dataloader', 'val_dataloader')
        if cfg.get(loader)
    )
    sizes = dict.fromkeys(
        model_size(pipeline) for pipeline in pipelines if pipeline
    )
    if any(sizes):
        texts.append(f'{" and ".join(filter(None, sizes))} pixels')
    return texts


def _millions(count: int) -> str:
    return f'{count / 1e6:.1f}' if count >= 1e6 else f'{count / 1e6:.2f}'
