"""Can what brings and judges the photos be built?

MMEngine finds out in the middle of its start, in words of its own.
"""

import copy
import warnings
from collections.abc import Callable, Iterator

from mmengine.config import ConfigDict
from mmengine.registry import METRICS, TRANSFORMS, init_default_scope
from mmengine.runner import Runner

from flower_mm.checks.building.assemble import reason
from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, stop, warn
from flower_mm.checks.quiet import quiet
from flower_mm.config import LOADERS, metrics_of, walk
from flower_mm.engine.distributed import processes
from flower_mm.errors import UserError


def check(case: Case) -> Iterator[Finding]:
    init_default_scope(case.settled.get('default_scope', 'flower_mm'))
    yield from _pipelines(case)
    yield from _metrics(case)
    yield from _loaders(case)


def _pipelines(case: Case) -> Iterator[Finding]:
    told = set()  # the same steps are often those of several loaders
    for loader in LOADERS[:2]:
        for dataset in walk((case.cfg.get(loader) or {}).get('dataset')):
            scope = dataset.get('_scope_')
            for number, step in enumerate(dataset.get('pipeline') or []):
                with TRANSFORMS.switch_scope_and_registry(scope) as registry:
                    why = _why_not(registry.build, step)
                if why and why not in told:
                    told.add(why)
                    place = f'{loader}.dataset.pipeline.{number}'
                    what = f'{step.get("type")} cannot be built: {why}'
                    yield stop(
                        what, place, f'settings that {step.get("type")} takes'
                    )


def _metrics(case: Case) -> Iterator[Finding]:
    found = case.settled.get('val_evaluator')
    for number, metric in enumerate(metrics_of(found)):
        why = _why_not(METRICS.build, metric)
        if why:
            place = 'val_evaluator'
            if not isinstance(found, dict):
                place += f'.{number}'
            yield _cannot(metric, place, why)


def _cannot(part: ConfigDict, place: str, why: str) -> Finding:
    kind = part.get('type')
    what = f'{kind} cannot be built: {why}'
    return stop(what, place, f'settings that {kind} takes')


def _why_not(build: Callable, part: ConfigDict) -> str | None:
    """What a library says that cannot build a part."""
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            build(copy.deepcopy(part))
    except UserError:
        raise
    except Exception as error:
        return reason(error)
    return None


# --- loaders -----------------------------------------------------------------


def _loaders(case: Case) -> Iterator[Finding]:
    for loader in LOADERS:
        cfg = case.settled.get(loader)
        if not cfg:
            continue
        # Training does not ask for the test photos.
        level = warn if loader == 'test_dataloader' else stop
        place = f'{loader}.sampler'
        shuffled = ''
        if loader == 'train_dataloader':
            shuffled = f' {place}.shuffle=True'
        if 'sampler' not in cfg and 'batch_sampler' not in cfg:
            yield level(
                f'{loader} has no sampler, and MMEngine wants one.',
                place,
                f'--cfg-options {place}.type=DefaultSampler{shuffled}',
            )
        elif cfg.get('shuffle') and cfg.get('sampler'):
            yield level(
                f'{loader}.shuffle=True stands beside a sampler, which says '
                'itself whether it shuffles; torch takes one of them.',
                f'{loader}.shuffle',
                f'--cfg-options {loader}.shuffle=False{shuffled}; or take it '
                'out',
            )
        elif loader in case.splits:
            part = copy.deepcopy(cfg)
            part.dataset = case.splits[loader].dataset
            why = _why_not(_load, part)
            if why:
                what = f'{loader} cannot be built: {why}'
                yield level(
                    what, loader, 'what torch.utils.data.DataLoader takes'
                )
            else:
                yield from _no_batch(case, loader, level)


def _load(cfg: ConfigDict) -> None:
    Runner.build_dataloader(cfg, seed=0)


def _no_batch(case: Case, loader: str, level: Callable) -> Iterator[Finding]:
    """An incomplete batch is left out, and there is no other."""
    photos = len(case.splits[loader].photos)
    each = processes(case.cfg.get('launcher', 'none'))
    batch = case.settled[loader].get('batch_size') or 1
    if case.settled[loader].get('drop_last') and -(-photos // each) < batch:
        whose = f' of each of {each} processes' if each > 1 else ''
        yield level(
            f'{loader} gives no batch: {photos} photos make none of '
            f'{batch}{whose}, and drop_last leaves out a smaller one.',
            f'{loader}.drop_last',
            f'--cfg-options {loader}.drop_last=False; or a smaller batch_size',
        )
