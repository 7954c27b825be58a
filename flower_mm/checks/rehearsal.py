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
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATA_SAMPLERS, METRICS, OPTIMIZERS
from mmengine.runner import Runner
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.data import Dataset

from flower_mm.checks.building import build_error, quiet, reason
from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import has_hook, set_options
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding, FindingError
from flower_mm.checks.learning_rate import any_device
from flower_mm.checks.sample_batches import sample_batch
from flower_mm.config import LOADERS, bare_name, metrics_of
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
    metrics: list[tuple[str, BaseMetric]] = []
    for build in (partial(_metrics, metrics), _optimizer, _loaders):
        try:
            yield from build(ctx)
        except FindingError as error:
            yield error.finding
    batches: dict[str, dict] = {}
    yield from _batches(ctx, batches)
    model = unwrapped(ctx.model)
    if any(isinstance(part, nn.SyncBatchNorm) for part in model.modules()):
        # It computes on the GPU only, and with the other processes.
        model = revert_sync_batchnorm(model)
    watch = _Watch(model)
    train, val = map(batches.get, LOADERS[:2])
    try:
        if train is not None and not _training_step(ctx, model, watch, train):
            return  # out of memory
        if val is not None:
            _validation_step(ctx, model, watch, val, metrics)
        elif train is not None:
            _validation_step(ctx, model, watch, train, [])
    except FindingError as error:
        yield error.finding


# --- building ----------------------------------------------------------------


def _loaders(ctx: CheckContext) -> Iterator[Finding]:
    for loader, split in ctx.splits.items():
        cfg = ctx.cfg[loader]
        for place, part, build in (
            (f'{loader}.sampler', cfg.get('sampler'), _build_sampler),
            (loader, cfg, _build_loader),
        ):
            if error := build_error(partial(build, split.dataset), part):
                yield ctx.build_error(place, part, error).finding
                break
        batch = cfg.get('batch_size') or 1
        share = -(-len(split.photos) // ctx.processes)
        if cfg.get('drop_last') and share < batch:
            yield Finding(
                'RUN006',
                f'{loader}.drop_last',
                f'no batch: {share} photos in each of {ctx.processes} '
                f'processes are fewer than a batch of {batch}, and drop_last '
                'leaves out an incomplete one',
                set_options({f'{loader}.drop_last': False}),
                # Training does not read the test photos.
                Severity.WARNING if loader == 'test_dataloader' else None,
            )


def _build_sampler(dataset: Dataset, cfg: ConfigDict) -> None:
    DATA_SAMPLERS.build(cfg, default_args={'dataset': dataset, 'seed': 0})


def _build_loader(dataset: Dataset, cfg: ConfigDict) -> None:
    cfg.dataset = dataset
    Runner.build_dataloader(cfg, seed=0)


def _metrics(
    built: list[tuple[str, BaseMetric]], ctx: CheckContext
) -> Iterator[Finding]:
    evaluator = ctx.cfg.get('val_evaluator')
    for number, metric in enumerate(metrics_of(evaluator)):
        place = 'val_evaluator'
        if not isinstance(evaluator, dict):
            place += f'.{number}'
        if error := build_error(METRICS.build, metric):
            yield ctx.build_error(place, metric, error).finding
        else:
            with quiet():
                built.append((place, METRICS.build({**metric})))


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


def _batches(ctx: CheckContext, batches: dict[str, dict]) -> Iterator[Finding]:
    """Load a small batch of each data loader."""
    messages = set()
    for loader in ctx.splits:
        try:
            batch = sample_batch(ctx, loader)
        except FindingError as error:
            finding = error.finding
            # Data loaders share steps: the same error once.
            key = finding.code, finding.message.partition(':')[0]
            if finding.code == 'RUN003' or key not in messages:
                yield finding
            messages.add(key)
        else:
            if batch is not None:
                batches[loader] = batch


# --- steps -------------------------------------------------------------------


def _training_step(
    ctx: CheckContext, model: BaseModel, watch: _Watch, batch: dict
) -> bool:
    """Note the memory of a step in the context; return whether it runs."""
    model.train()
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
        if is_out_of_memory(error):
            return False
        finding = _failed_step(ctx, model, watch, error)
        raise FindingError(finding) from error
    sizes = [size for pointer, size in kept.items() if pointer not in own]
    ctx.activations = sum(sizes) / len(batch['inputs'])
    if not loss.requires_grad:
        message = 'every parameter is frozen: at least one must be trained'
        raise FindingError(Finding('RUN004', 'model', message))
    return True


def _failed_step(
    ctx: CheckContext, model: nn.Module, watch: _Watch, error: Exception
) -> Finding:
    path = 'model.module' if 'module' in ctx.cfg.model else 'model'
    place = f'{path}.{watch.stage}' if watch.stage else path
    message = f'the training step fails: {reason(error)}'
    values, fix = watch.head_input, ''
    wanted = getattr(getattr(model, 'head', None), 'in_channels', None)
    shapes_differ = watch.stage == 'head' and 'mat1 and mat2' in str(error)
    if shapes_differ and isinstance(values, torch.Tensor):
        size = values.shape[1] if values.ndim > 1 else wanted
        if isinstance(wanted, int) and wanted != size:
            place += '.in_channels'
            fix = set_options({place: size})
        elif values.ndim == 4:
            place = f'{path}.neck'
            fix = "neck=dict(type='GlobalAveragePooling')"
    return Finding('RUN004', place, message, fix)


def _validation_step(
    ctx: CheckContext,
    model: BaseModel,
    watch: _Watch,
    batch: dict,
    metrics: list[tuple[str, BaseMetric]],
) -> None:
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
        raise FindingError(Finding('RUN005', place, message)) from error
    names = set()
    differing = _outputs(ctx, samples)
    if differing and differing.severity == Severity.ERROR:
        raise FindingError(differing)
    for place, metric in metrics:
        try:
            with quiet():
                names |= _names_of(metric, samples, batch, ctx.classes)
        except Exception as error:
            message = f'{type(metric).__name__} fails: {reason(error)}'
            raise FindingError(Finding('RUN005', place, message)) from error
    loop = bare_name((ctx.cfg.get('val_cfg') or {}).get('type', 'ValLoop'))
    if metrics and loop in ('ValLoop', *EMA_LOOPS):
        averaged = loop in EMA_LOOPS and has_hook(ctx.cfg, 'EMAHook')
        if averaged and TOP1 in names:
            names |= {f'{TOP1}_ema', f'{TOP1}_plain'}
        ctx.metrics = frozenset(names)
    if differing:
        raise FindingError(differing)


def _outputs(ctx: CheckContext, samples: list) -> Finding | None:
    """Compare the number of outputs with that of the classes."""
    score = getattr(samples[0], 'pred_score', None)
    count = len(ctx.classes)
    if score is None or score.numel() == count:
        return None
    return Finding(
        'RUN007',
        'model.head',
        f'the model has {score.numel()} outputs, and classes.txt names '
        f'{count} classes',
        "a head with num_classes, such as dict(type='LinearClsHead', "
        'in_channels=…)',
        Severity.ERROR if score.numel() < count else Severity.WARNING,
    )


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
