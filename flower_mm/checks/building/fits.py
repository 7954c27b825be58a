"""Does what each part of the model gives fit the next?"""

import copy
import warnings
from collections.abc import Callable, Iterator

import torch
from mmengine.config import ConfigDict
from mmengine.dataset import default_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, OPTIMIZERS
from torch import nn
from torch.overrides import TorchFunctionMode

from flower_mm.checks.building.assemble import forward, reason, shapes_of
from flower_mm.checks.building.loss import distilled, is_distilled, learn
from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, stop, warn
from flower_mm.checks.quiet import quiet
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.errors import UserError
from flower_mm.models.structure import unwrapped

# Optimizer wrappers whose keys are known.
WRAPPERS = ('OptimWrapper', 'AmpOptimWrapper', 'Bf16OptimWrapper')
STAGES = ('backbone', 'neck', 'head')


class _PlainNorm(TorchFunctionMode):
    """Gives shapes through batch norms as they come.

    Torch works those out in Python, half a second for the 325 of an HRNet.
    """

    def __torch_function__(
        self,
        function: Callable,
        types: tuple,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> object:
        if function is nn.functional.batch_norm:
            photos, mean = args[:2]
            if mean is not None and photos.shape[1:2] == mean.shape:
                return torch.empty_like(photos)
        return function(*args, **(kwargs or {}))


class _Watch:
    """Which part of the model was last begun, and with what."""

    def __init__(self, model: nn.Module) -> None:
        self.stage, self.given = '', None
        self.hooks = [
            part.register_forward_pre_hook(self._note(name))
            for name in STAGES
            if isinstance(part := getattr(model, name, None), nn.Module)
        ]

    def _note(self, name: str) -> Callable:
        def note(_: nn.Module, given: tuple) -> None:
            self.stage, self.given = name, given[0]

        return note

    def end(self) -> None:
        for hook in self.hooks:
            hook.remove()


def check(case: Case) -> Iterator[Finding]:
    yield from _optimizer(case)
    yield from _photo(case)
    yield from _counted(case)


def _optimizer(case: Case) -> Iterator[Finding]:
    """Can the optimizer be given this model's weights?"""
    cfg = copy.deepcopy(case.cfg.optim_wrapper)
    kind = str(cfg.get('type', 'OptimWrapper')).rpartition('.')[2]
    # Others know keys of their own, or other processes.
    if kind not in WRAPPERS or case.cfg.launcher != 'none':
        return
    if 'optimizer' not in cfg or not _is_buildable(cfg.optimizer):
        return
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        cfg.pop(key, None)
    cfg.type = 'OptimWrapper'
    try:
        with quiet():
            build_optim_wrapper(case.model, cfg)
    except UserError:
        raise
    except Exception as error:
        yield stop(
            f"The optimizer does not take this model's weights: "
            f'{reason(error)}',
            'optim_wrapper',
            'settings that constructor and paramwise_cfg have for this model',
        )


def _is_buildable(optimizer: ConfigDict) -> bool:
    """What is wrong with the optimizer alone is told with the rate."""
    weight = nn.Parameter(torch.zeros(1, 1))
    try:
        with quiet():
            OPTIMIZERS.build({**optimizer, 'params': [weight]})
    except Exception:
        return False
    return True


def _photo(case: Case) -> Iterator[Finding]:
    """Does a photo get through, and come out as a number for each class?"""
    model = unwrapped(case.model)
    watch = _Watch(model)
    try:
        with torch.no_grad(), _PlainNorm(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            out = forward(model, shapes_of(model), (3, *case.size))
    except Exception:
        watch.end()
        # The shapes may be at fault: a model that needs numbers as well, or
        # photos of another size. What is told is told by a photo.
        error = _refused(case, model)
        if error:
            yield _stuck(case, model, watch, error)
        return
    watch.end()
    answers = list(_answers(case, out))
    yield from answers
    if not answers and watch.stage == 'head':
        yield from learn(case, model, watch.given)


def _refused(case: Case, model: nn.Module) -> Exception | None:
    """Why the model cannot learn from a photo, if so."""
    cfg = copy.deepcopy(case.settled.train_dataloader.dataset)
    try:
        with drawing(0), quiet(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            sample = DATASETS.build(cfg)[0]
            data = model.data_preprocessor(
                default_collate([sample, sample]), training=True
            )
    except Exception:
        return None  # of the photos, which other checks look at
    try:
        with drawing(0):
            model(**data, mode='loss')
    except Exception as error:
        return error
    return None


def _stuck(
    case: Case, model: nn.Module, watch: _Watch, error: Exception
) -> Finding:
    place = 'model.module' if 'module' in case.cfg.model else 'model'
    if watch.stage:
        place += f'.{watch.stage}'
    head = getattr(model, 'head', None)
    if watch.stage == 'head' and is_distilled(head, error):
        return distilled(head, place)
    given = watch.given
    if isinstance(given, (list, tuple)) and given:
        given = given[-1]
    wanted = getattr(head, 'in_channels', None)
    if watch.stage == 'head' and isinstance(given, torch.Tensor):
        found = given.shape[1]
        before = 'neck' if getattr(model, 'neck', None) else 'backbone'
        if isinstance(wanted, int) and wanted != found:
            return stop(
                f'The head takes {wanted} numbers of a photo, and the '
                f'{before} gives {found}.',
                f'{place}.in_channels',
                f'--cfg-options {place}.in_channels={found}',
            )
        if given.ndim == 4:
            sides = ' x '.join(map(str, given.shape[1:]))
            return stop(
                f'The {before} gives maps of {sides}, and the head takes a '
                'row of numbers.',
                'model.neck',
                "neck=dict(type='GlobalAveragePooling')",
            )
    return stop(
        f'A photo does not get through the model: {reason(error)}',
        place,
        'what it takes has to be what the part before it gives',
    )


def _answers(case: Case, out: object) -> Iterator[Finding]:
    count = len(case.classes)
    if not (isinstance(out, torch.Tensor) and out.ndim == 2):
        return
    if out.shape[1] < count:
        yield stop(
            f'The model gives {out.shape[1]} numbers for a photo, and '
            f'classes.txt names {count} classes.',
            'model.head',
            "a head with num_classes, such as dict(type='LinearClsHead', "
            'in_channels=…)',
        )
    elif out.shape[1] > count:
        yield warn(
            f'The model gives {out.shape[1]} numbers for a photo, and '
            f'classes.txt names {count} classes.',
            'model.head',
            "a head with num_classes, such as dict(type='LinearClsHead', "
            'in_channels=…)',
        )


def _counted(case: Case) -> Iterator[Finding]:
    """MMPretrain's hook wants the classes of each part that has a number."""
    hooks = case.cfg.get('custom_hooks') or []
    if not any(hook.get('type') == 'ClassNumCheckHook' for hook in hooks):
        return
    named = len(case.splits['train_dataloader'].classes)
    for part in unwrapped(case.model).modules():
        found = getattr(part, 'num_classes', named)
        if named and found != named:
            yield stop(
                f'ClassNumCheckHook stops at {type(part).__name__}, which has '
                f'num_classes={found}, for {named} classes.',
                'custom_hooks',
                'take ClassNumCheckHook out: classes are counted in '
                'classes.txt here',
            )
            return
