"""Each part of a config against the class that it names.

MMEngine builds a part as Class(**part): a key that the class does not take
ends the run, where it is a part of the validation after the first epoch.
"""

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.runner import LogProcessor, Runner
from torch.utils.data import DataLoader

from flower_mm.doctor.finding import Finding, Level
from flower_mm.doctor.keys import old
from flower_mm.doctor.keys.accepted import (
    find,
    is_path,
    keys_of,
    similar,
    takes,
)
from flower_mm.doctor.keys.ignored import PLACE_OF
from flower_mm.doctor.keys.source import Source
from flower_mm.doctor.remedy import value_at

# The registry of what stands at the top level.
ROOTS = {
    'model': 'MODELS',
    'data_preprocessor': 'MODELS',
    'val_evaluator': 'METRICS',
    'test_evaluator': 'METRICS',
    'train_cfg': 'LOOPS',
    'val_cfg': 'LOOPS',
    'test_cfg': 'LOOPS',
    'optim_wrapper': 'OPTIM_WRAPPERS',
    'param_scheduler': 'PARAM_SCHEDULERS',
    'default_hooks': 'HOOKS',
    'custom_hooks': 'HOOKS',
    'visualizer': 'VISUALIZERS',
    'tta_model': 'MODELS',
    'tta_pipeline': 'TRANSFORMS',
}
# And of what stands somewhere below; other keys keep to what is above them.
BELOW = {
    'dataset': 'DATASETS',
    'datasets': 'DATASETS',
    'pipeline': 'TRANSFORMS',
    'sampler': 'DATA_SAMPLERS',
    'batch_sampler': 'DATA_SAMPLERS',
    'optimizer': 'OPTIMIZERS',
    'vis_backends': 'VISBACKENDS',
    'init_cfg': 'WEIGHT_INITIALIZERS',
    'augments': 'BATCH_AUGMENTS',
}
# What is taken out of a part before its class is called with the rest.
TAKEN_OUT = {
    'HOOKS': {'priority'},
    'PARAM_SCHEDULERS': {'convert_to_iter_based'},
    'OPTIM_WRAPPERS': {'constructor', 'paramwise_cfg', 'optimizer'},
    'LOOPS': {'by_epoch'},
    # Of a policy of RandAugment.
    'TRANSFORMS': {'magnitude_key', 'magnitude_range'},
}
LOADER = keys_of(DataLoader) | {
    'num_batch_per_epoch',
    'disable_subprocess_warning',
}
# Parts without a class that have keys of their own.
PLAIN = {
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'randomness': keys_of(Runner.set_randomness),
    'log_processor': keys_of(LogProcessor),
}
PARAMWISE = {
    'norm_decay_mult',
    'bias_decay_mult',
    'bias_lr_mult',
    'dwconv_decay_mult',
    'dcn_offset_lr_mult',
    'flat_decay_mult',
    'bypass_duplicate',
    'layer_decay_rate',
    'custom_keys',
}
MULTIPLIERS = frozenset({'lr_mult', 'decay_mult'})
# MMEngine only looks for keys that it knows in these.
FORGIVING = ('auto_scale_lr', 'env_cfg', 'optim_wrapper.paramwise_cfg')
MARKS = {'type', '_scope_'}
# Models whose keys are their classes' arguments.
MODEL = re.compile(
    r'(tta_)?model(\.module)?(\.(backbone|neck|head)(\.\d+)?(\.loss)?)?'
    r'|(model\.)?data_preprocessor'
)
# Where there has to be a type, and one that is registered.
TYPED = {'model', 'backbone', 'head', 'dataset', 'sampler', 'optimizer'}
TYPED_ITEMS = {
    'pipeline',
    'param_scheduler',
    'default_hooks',
    'custom_hooks',
    'val_evaluator',
    'test_evaluator',
    'vis_backends',
}
OWNERS = ('mmpretrain', 'flower_mm')
# Not built while training.
LATER = ('test_', 'tta_')
HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
    'visualization',
    'pretrained',
    'ema',
)


@dataclass(frozen=True)
class Part:
    """A dictionary in the config whose keys are known; `name` is its type."""

    path: str
    keys: frozenset[str]
    name: str = ''


def check_parts(
    cfg: Config, own: Source | None, options: dict
) -> Iterator[Finding]:
    """Find keys that no class takes, and types that nobody registered.

    The user's own file and the options of the command line tell what is
    meant from what is left of the base.
    """

    def is_own(path: str) -> bool:
        return path in options or bool(own and own.sets(path))

    walk = _Walk(cfg)
    for key, value in cfg.items():
        if key.endswith('_dataloader') and isinstance(value, dict):
            walk.compare(value, Part(key, frozenset(LOADER), 'A dataloader'))
            walk.below(value, key, 'FUNCTIONS', walk.scope)
        elif key in ROOTS:
            walk.visit(value, key, ROOTS[key], walk.scope)
        elif key in PLAIN and isinstance(value, dict):
            walk.compare(value, Part(key, frozenset(PLAIN[key])))
    yield from walk.found
    for part, key in walk.unknown:
        yield _unknown(cfg, walk.met, part, key, is_own)


class _Walk:
    """Goes through a config once and keeps what it meets."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        self.scope = cfg.get('default_scope') or 'mmengine'
        self.met: list[Part] = []
        self.unknown: list[tuple[Part, str]] = []
        self.found: list[Finding] = []

    def visit(self, value: object, path: str, kind: str, scope: str) -> None:
        if isinstance(value, (list, tuple)):
            for number, item in enumerate(value):
                self.visit(item, f'{path}.{number}', kind, scope)
        elif isinstance(value, dict):
            scope = value.get('_scope_') or scope
            if path != 'default_hooks':
                self._look_at(value, path, kind, scope)
            self.below(value, path, kind, scope)

    def below(self, part: dict, path: str, kind: str, scope: str) -> None:
        for key, value in part.items():
            if key == 'paramwise_cfg' and isinstance(value, dict):
                self._paramwise(value, f'{path}.{key}')
            elif isinstance(value, (dict, list, tuple)):
                self.visit(value, f'{path}.{key}', BELOW.get(key, kind), scope)

    def compare(self, part: dict, known: Part) -> None:
        self.met.append(known)
        self.unknown += [
            (known, key) for key in part if key not in known.keys | MARKS
        ]

    def _look_at(self, part: dict, path: str, kind: str, scope: str) -> None:
        name = part.get('type') or self._default(path)
        if name is None:
            if _is_typed(path) and not _is_group(part):
                self.found.append(_without_type(self.cfg, path))
            return
        found = find(name, kind, scope)
        if found is None:
            if _is_typed(path) and not is_path(name):
                self.found.append(_not_registered(name, path, kind, scope))
            return
        known = keys_of(found) | TAKEN_OUT.get(kind, set())
        if path.endswith('norm_cfg'):
            known |= {'requires_grad'}
        if kind == 'MODELS' and not MODEL.fullmatch(path):
            return  # some models take keys out of their parts
        shown = name if isinstance(name, str) else name.__name__
        here = Part(path, frozenset(known), shown)
        self.met.append(here)
        self.unknown += [
            (here, key)
            for key in part
            if key not in known | MARKS and not takes(found, key)
        ]

    def _default(self, path: str) -> str | None:
        """The class of what need not name one."""
        cfg = self.cfg
        if path == 'train_cfg':
            by_epoch = cfg.train_cfg.get('by_epoch', True)
            return 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
        if path == 'optim_wrapper' and 'optimizer' not in cfg.optim_wrapper:
            return None  # several optimizers, each with a wrapper
        classifies = (cfg.get('model') or {}).get('type') == 'ImageClassifier'
        if path.endswith('data_preprocessor') and classifies:
            return 'ClsDataPreprocessor'
        return {
            'optim_wrapper': 'OptimWrapper',
            'val_cfg': 'ValLoop',
            'test_cfg': 'TestLoop',
        }.get(path)

    def _paramwise(self, part: dict, path: str) -> None:
        self.compare(part, Part(path, frozenset(PARAMWISE)))
        for pattern, settings in (part.get('custom_keys') or {}).items():
            # Optimizers and hooks may read others, such as LARS lars_exclude.
            strange = [
                key
                for key in (settings if isinstance(settings, dict) else {})
                if key not in MULTIPLIERS
                and difflib.get_close_matches(key, MULTIPLIERS, 1, 0.75)
            ]
            here = Part(f'{path}.custom_keys.{pattern}', MULTIPLIERS)
            self.unknown += [(here, key) for key in strange]


def _is_typed(path: str) -> bool:
    above, _, key = path.rpartition('.')
    return key in TYPED or above.rpartition('.')[2] in TYPED_ITEMS


def _is_group(part: dict) -> bool:
    """Whether it has no settings of its own: names, and parts under them."""
    return all(
        isinstance(item, dict)
        for value in part.values()
        for item in (value if isinstance(value, list) else [value])
    )


def _level(path: str) -> Level:
    if path.startswith((*LATER, *FORGIVING)):
        return Level.WARN
    return Level.STOP


def _not_registered(name: object, path: str, kind: str, scope: str) -> Finding:
    bare = str(name).rpartition('.')[2]
    close = similar(bare, kind, scope)
    what = f'No {name} is registered.'
    owner = next((s for s in OWNERS if find(bare, kind, s)), None)
    if owner and scope == 'mmengine':
        what = f'No default_scope is set, so parts of {owner} are not found.'
        return Finding(_level(path), what, 'default_scope', f"'{owner}'")
    if owner:
        what = f'{bare} is of {owner}, and the scope here is {scope}.'
        mend = f"'{owner}.{bare}'"
    elif bare in old.TYPES:
        what = f'{bare} is of MMClassification 0.x.'
        mend = old.TYPES[bare]
    elif close:
        mend = f'{close!r} is meant?'
    else:
        mend = 'a class of your own takes custom_imports=dict(imports=[…])'
    return Finding(_level(path), what, f'{path}.type', mend)


def _without_type(cfg: Config, path: str) -> Finding:
    above, _, key = path.rpartition('.')
    what, mend = f'{path} has no type.', "type='…'"
    if above == 'default_hooks':
        names = {*HOOKS, *cfg.default_hooks} - {key}
        close = difflib.get_close_matches(key, names, 1, 0.6)
        if close:
            mend = f'{above}.{close[0]} is meant?'
    elif key.isdigit():
        what += " A list replaces the base's; their items are not merged."
        mend = 'the whole item, its type too'
    return Finding(_level(path), what, path, mend)


def _unknown(
    cfg: Config,
    met: list[Part],
    part: Part,
    key: str,
    is_own: Callable[[str], bool],
) -> Finding:
    what = f'{part.name or part.path} takes no {key}'
    if is_own(f'{part.path}.type') and not is_own(f'{part.path}.{key}'):
        what += ': it is left over from the base'
        mend = _anew(cfg, part.path, is_own)
    else:
        mend = _meant(met, part, key)
    if part.path.startswith(FORGIVING):
        what += ', and it is ignored'
    return Finding(_level(part.path), f'{what}.', f'{part.path}.{key}', mend)


def _anew(cfg: Config, path: str, is_own: Callable[[str], bool]) -> str:
    """The user's part of it, without the base's."""
    words = [
        f'{key}={value!r}'
        if isinstance(value, (str, int, float))
        else f'{key}=…'
        for key, value in value_at(cfg, path).items()
        if is_own(f'{path}.{key}')
    ]
    name = path.rpartition('.')[2]
    return f'in the config {name}=dict(_delete_=True, {", ".join(words)})'


def _meant(met: list[Part], part: Part, key: str) -> str:
    now = old.KEYS.get(key, key)
    if now in part.keys:
        return f'{part.path}.{now} is meant'
    close = difflib.get_close_matches(key, part.keys, 1, 0.75)
    if close:
        return f'{part.path}.{close[0]} is meant?'
    near = [
        other.path
        for other in met
        if now in other.keys
        and other.path.partition('.')[0] == part.path.partition('.')[0]
    ]
    if near:
        nearest = min(near, key=lambda path: _distance(path, part.path))
        return f'{nearest}.{now} is meant?'
    if key in PLACE_OF:
        return f'{PLACE_OF[key]} is meant?'
    return 'take it out'


def _distance(one: str, two: str) -> int:
    """Steps from one place in the config to the other."""
    a, b = one.split('.'), two.split('.')
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return len(a) + len(b) - 2 * shared
