"""Build every part and run one training and one validation step.

MMEngine finds these mistakes in the middle of its start, or after the first
epoch. Here a few photos go through the real pipelines and the real model on
the CPU, with weights of zero.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial

import torch
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATA_SAMPLERS, METRICS, OPTIMIZERS
from mmengine.runner import Runner
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.data import Dataset

from flower_mm.checks.building import build_error, quiet, reason
from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import bare_name, has_hook, set_options
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding, FindingError
from flower_mm.checks.learning_rate import any_device
from flower_mm.checks.sample_batches import sample_batch
from flower_mm.config import LOADERS, metrics_of
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.errors import UserError, is_out_of_memory
from flower_mm.models.structure import unwrapped
from flower_mm.weights.best_checkpoint import TOP1

# Optimizer wrappers whose keys are known.
WRAPPERS = ('OptimWrapper', 'AmpOptimWrapper', 'Bf16OptimWrapper')
# Names of a loop that also validates the averaged weights.
EMA_LOOPS = ('EMAValLoop', 'EitherWeightsValLoop')
# The parts of a model that an error may come from, the innermost first.
STAGES = ('head.loss', 'head', 'neck', 'backbone')


class _Watch:
    """Records which part of a model was entered last, and with what."""

    def __init__(self, model: nn.Module) -> None:
        self.stage, self.head_input = '', None
        for name, part in model.named_modules():
            part.register_forward_pre_hook(self._note(name))

    def _note(self, name: str) -> Callable:
        stage = next((s for s in STAGES if name.startswith(s)), None)

        def note(_: nn.Module, given: tuple) -> None:
            self.stage = stage or self.stage
            if name == 'head' and given:
                last = given[0]
                while isinstance(last, (list, tuple)) and last:
                    last = last[-1]
                self.head_input = last

        return note


def check(ctx: CheckContext) -> Iterator[Finding]:
    ctx.enter_scope()
    metrics = (yield from _on_error(_metrics(ctx))) or []
    yield from _on_error(_optimizer(ctx))
    yield from _on_error(_loaders(ctx))
    batches = yield from _batches(ctx)
    model = unwrapped(ctx.model)
    if ctx.device != 'cpu':
        # It computes on the GPU only, and with the other processes.
        model = revert_sync_batchnorm(model)
    watch = _Watch(model)
    if 'train_dataloader' in batches:
        batch = batches['train_dataloader']
        failed = yield from _training_step(ctx, model, watch, batch)
        if failed:
            return
    batch = batches.get('val_dataloader')
    if batch is None:
        batch, metrics = batches.get('train_dataloader'), []
    if batch is not None:
        yield from _validation_step(ctx, model, watch, batch, metrics)


def _on_error(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the finding that ends one part of the rehearsal."""
    try:
        return (yield from findings)
    except FindingError as error:
        yield error.finding
        return None


# --- building ----------------------------------------------------------------


def _loaders(ctx: CheckContext) -> Iterator[Finding]:
    for loader in LOADERS:
        cfg = ctx.cfg.get(loader)
        if loader not in ctx.splits:
            continue
        dataset = ctx.splits[loader].dataset
        for place, part, build in (
            (f'{loader}.sampler', cfg.get('sampler'), _build_sampler),
            (loader, cfg, _build_loader),
        ):
            if error := build_error(partial(build, dataset), part):
                yield ctx.build_error(place, part, error).finding
                break
        photos, batch = len(ctx.splits[loader].photos), cfg.get('batch_size')
        share = -(-photos // ctx.processes)
        if cfg.get('drop_last') and share < (batch or 1):
            yield Finding(
                'RUN006',
                f'{loader}.drop_last',
                f'no batch: {share} photos in each of {ctx.processes} '
                f'processes are fewer than a batch of {batch}, and drop_last '
                'leaves out an incomplete one',
                set_options({f'{loader}.drop_last': False}),
                _severity(loader),
            )


def _severity(loader: str) -> Severity:
    """Training does not read the test photos."""
    is_test = loader == 'test_dataloader'
    return Severity.WARNING if is_test else Severity.ERROR


def _build_sampler(dataset: Dataset, cfg: ConfigDict) -> None:
    DATA_SAMPLERS.build(cfg, default_args={'dataset': dataset, 'seed': 0})


def _build_loader(dataset: Dataset, cfg: ConfigDict) -> None:
    cfg.dataset = dataset
    Runner.build_dataloader(cfg, seed=0)


def _metrics(ctx: CheckContext) -> Iterator[Finding]:
    metrics = []
    evaluator = ctx.cfg.get('val_evaluator')
    for number, metric in enumerate(metrics_of(evaluator)):
        place = 'val_evaluator'
        if not isinstance(evaluator, dict):
            place += f'.{number}'
        if error := build_error(METRICS.build, metric):
            yield ctx.build_error(place, metric, error).finding
        else:
            with quiet():
                metrics.append((place, METRICS.build({**metric})))
    return metrics


def _optimizer(ctx: CheckContext) -> Iterator[Finding]:
    cfg = ctx.cfg.optim_wrapper
    # Other wrappers have keys of their own, or need other processes.
    known = bare_name(cfg.get('type', 'OptimWrapper')) in WRAPPERS
    if not known or ctx.cfg.launcher != 'none' or 'optimizer' not in cfg:
        return
    weight = nn.Parameter(torch.zeros(1, 1))
    place, part = 'optim_wrapper.optimizer', cfg.optimizer
    error = build_error(
        lambda given: OPTIMIZERS.build({**given, 'params': [weight]}), part
    )
    if not error:
        place, part = 'optim_wrapper', any_device(cfg)
        error = build_error(partial(build_optim_wrapper, ctx.model), part)
    if error:
        yield ctx.build_error(place, part, error).finding


def _batches(ctx: CheckContext) -> Iterator[Finding]:
    """Load a small batch of each data loader; the same error once."""
    batches, messages = {}, set()
    for loader in LOADERS:
        if loader not in ctx.splits:
            continue
        batch = yield from _once(sample_batch(ctx, loader), messages)
        if batch is not None:
            batches[loader] = batch
    return batches


def _once(
    findings: Iterator[Finding], messages: set[str]
) -> Iterator[Finding]:
    """Leave out what was found in another data loader; both share steps."""
    while True:
        try:
            finding = next(findings)
        except StopIteration as end:
            return end.value
        key = finding.code, finding.message.partition(':')[0]
        if finding.code == 'RUN003' or key not in messages:
            yield finding
        messages.add(key)


# --- steps -------------------------------------------------------------------


def _training_step(
    ctx: CheckContext, model: nn.Module, watch: _Watch, batch: dict
) -> Iterator[Finding]:
    model.train()
    watch.stage = ''
    kept: dict[int, int] = {}  # bytes by address
    own = {part.data_ptr() for part in (*model.parameters(), *model.buffers())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes  # layers may keep the same
        # The output of a layer itself would be in a cycle with its graph.
        return tensor.detach()

    try:
        with drawing(0), quiet(), saved_tensors_hooks(keep, lambda t: t):
            data = model.data_preprocessor(batch, training=True)
            losses = model(**data, mode='loss')
            loss, _ = model.parse_losses(losses)
    except UserError:
        raise
    except Exception as error:
        # Training says which batch needs how much memory.
        if not is_out_of_memory(error):
            yield _failed_step(ctx, model, watch, error)
        return True
    sizes = [size for pointer, size in kept.items() if pointer not in own]
    ctx.activations = sum(sizes) / len(batch['inputs'])
    if not loss.requires_grad:
        message = 'every parameter is frozen, so there is nothing to train'
        yield Finding('RUN004', 'model', message)
    return False


def _failed_step(
    ctx: CheckContext, model: nn.Module, watch: _Watch, error: Exception
) -> Finding:
    path = 'model.module' if 'module' in ctx.cfg.model else 'model'
    place = f'{path}.{watch.stage}' if watch.stage else path
    message = f'the training step fails: {reason(error)}'
    values = watch.head_input
    wanted = getattr(getattr(model, 'head', None), 'in_channels', None)
    shapes_differ = watch.stage == 'head' and 'mat1 and mat2' in str(error)
    if shapes_differ and isinstance(values, torch.Tensor):
        size = values.shape[1] if values.ndim > 1 else wanted
        if isinstance(wanted, int) and wanted != size:
            place += '.in_channels'
            return Finding(
                'RUN004', place, message, set_options({place: size})
            )
        if values.ndim == 4:
            fix = "neck=dict(type='GlobalAveragePooling')"
            return Finding('RUN004', f'{path}.neck', message, fix)
    return Finding('RUN004', place, message)


def _validation_step(
    ctx: CheckContext,
    model: nn.Module,
    watch: _Watch,
    batch: dict,
    metrics: list,
) -> Iterator[Finding]:
    """Predict, measure, and note the names of the metrics in the context."""
    model.eval()
    watch.stage = ''
    try:
        with torch.no_grad(), drawing(0), quiet():
            data = model.data_preprocessor(copy.copy(batch), training=False)
            samples = model(**data, mode='predict')
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            return
        place = f'model.{watch.stage}' if watch.stage else 'model'
        message = f'the validation step fails: {reason(error)}'
        yield Finding('RUN005', place, message)
        return
    score = getattr(samples[0], 'pred_score', None)
    count = len(ctx.classes)
    if score is not None and score.numel() != count:
        fewer = score.numel() < count
        yield Finding(
            'RUN007',
            'model.head',
            f'the model has {score.numel()} outputs, and classes.txt names '
            f'{count} classes',
            "a head with num_classes, such as dict(type='LinearClsHead', "
            'in_channels=…)',
            Severity.ERROR if fewer else Severity.WARNING,
        )
        if fewer:
            return
    names = set()
    for place, metric in metrics:
        try:
            with quiet():
                names |= _names_of(metric, samples, batch, ctx.classes)
        except Exception as error:
            message = f'{type(metric).__name__} fails: {reason(error)}'
            yield Finding('RUN005', place, message)
            return
    loop = bare_name((ctx.cfg.get('val_cfg') or {}).get('type', 'ValLoop'))
    if metrics and loop in ('ValLoop', *EMA_LOOPS):
        averaged = loop in EMA_LOOPS and has_hook(ctx.cfg, 'EMAHook')
        if averaged and TOP1 in names:
            names |= {f'{TOP1}_ema', f'{TOP1}_plain'}
        ctx.metrics = frozenset(names)


def _names_of(
    metric: BaseMetric, samples: list, batch: dict, classes: list[str]
) -> set[str]:
    """Return the names that a metric gives to its values.

    `Evaluator.evaluate` would wait for the other processes of a distributed
    run, where one process alone runs the checks.
    """
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {'classes': classes}
    evaluator.process(samples, batch)
    (metric,) = evaluator.metrics
    values = metric.compute_metrics(metric.results)
    metric.results.clear()
    return {f'{metric.prefix}/{n}' if metric.prefix else n for n in values}
