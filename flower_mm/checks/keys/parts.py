"""Each part of a config against the class that it names.

MMEngine builds a part as Class(**part): a key that the class does not take
ends the run, where it is a part of the validation after the first epoch.
"""

import difflib
import re
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.runner import LogProcessor, Runner
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from flower_mm.checks.finding import Finding, stop
from flower_mm.checks.keys.accepted import (
    find,
    is_path,
    keys_of,
    takes,
    takes_the_rest,
)
from flower_mm.checks.keys.meant import (
    Meaning,
    Part,
    not_registered,
    without_type,
)
from flower_mm.checks.keys.source import Source
from flower_mm.checks.remedy import option

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
# The functions for both types of clip_grad, and what each cannot do without.
CLIPPING = {
    'norm': (clip_grad_norm_, 'max_norm'),
    'value': (clip_grad_value_, 'clip_value'),
}
MULTIPLIERS = frozenset({'lr_mult', 'decay_mult'})
MARKS = {'type', '_scope_'}
# Models whose keys are their classes' arguments.
MODEL = re.compile(
    r'(tta_)?model(\.module)?(\.(backbone|neck|head)(\.\d+)?(\.loss)?)?'
    r'|(model\.)?data_preprocessor'
)
# Where there has to be a type, and one that is registered.
TYPED = {
    'model',
    'backbone',
    'head',
    'dataset',
    'sampler',
    'optimizer',
    'augments',
}
TYPED_ITEMS = {
    'pipeline',
    'param_scheduler',
    'default_hooks',
    'custom_hooks',
    'val_evaluator',
    'test_evaluator',
    'vis_backends',
    'augments',
}


def check_parts(
    cfg: Config, own: Source | None, options: dict
) -> Iterator[Finding]:
    """Find keys that no class takes, and types that nobody registered.

    The user's own file and the options of the command line tell what is
    meant from what is left of the base.
    """
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
    said = Meaning(cfg, own, options, walk.met)
    for part, key in walk.unknown:
        yield said.unknown(part, key)


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
            elif key == 'clip_grad' and isinstance(value, dict):
                self._clipping(value, f'{path}.{key}')
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
                self.found.append(without_type(self.cfg, path))
            return
        found = find(name, kind, scope)
        if found is None:
            if _is_typed(path) and not is_path(name):
                self.found.append(not_registered(name, path, kind, scope))
            return
        known = keys_of(found) | TAKEN_OUT.get(kind, set())
        if path.endswith('norm_cfg'):
            known |= {'requires_grad'}
        if kind == 'MODELS' and not MODEL.fullmatch(path):
            return  # some models take keys out of their parts
        shown = name if isinstance(name, str) else name.__name__
        further = takes_the_rest(found, part, scope)
        if further:
            known |= keys_of(further)
        here = Part(path, frozenset(known), shown)
        self.met.append(here)
        self.unknown += [
            (here, key)
            for key in part
            if key not in known | MARKS
            and (_is_priority(key, kind) or not takes(further or found, key))
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

    def _clipping(self, part: dict, path: str) -> None:
        kind = part.get('type', 'norm')
        if kind not in CLIPPING:
            what = f'{path}.type cannot be {kind!r}.'
            mend = ' or '.join(map(repr, CLIPPING))
            self.found.append(stop(what, f'{path}.type', mend))
            return
        function, needed = CLIPPING[kind]
        keys = keys_of(function) - {'parameters'}
        self.compare(part, Part(path, keys, function.__name__))
        if not difflib.get_close_matches(needed, part, 1, 0.75):
            what = f'{path} has no {needed}.'
            self.found.append(
                stop(what, path, option(f'{path}.{needed}', 1.0))
            )


def _is_priority(key: str, kind: str) -> bool:
    """Whether it is one misspelt, which a hook would take for others."""
    return kind == 'HOOKS' and bool(
        difflib.get_close_matches(key, ['priority'], 1, 0.85)
    )


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
