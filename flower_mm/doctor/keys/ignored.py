"""What stands at the top level of a config and is read by nobody.

MMEngine takes any name there without a word: a variable that the file itself
does not use, a key that is misspelt, one of MMClassification 0.x.
"""

import difflib
import inspect
from argparse import Namespace
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.runner import Runner

from flower_mm.doctor.finding import Finding, note, warn
from flower_mm.doctor.keys import old
from flower_mm.doctor.keys.source import Source
from flower_mm.doctor.remedy import nested, option, value_at
from flower_mm.settings import walk

# What Runner.from_cfg takes, and what is read of the whole config.
RUNNER = set(inspect.signature(Runner.__init__).parameters)
READ = (RUNNER - {'self', 'cfg'}) | {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# classes.txt decides about these, whatever a config says.
DECIDED = {'num_classes', 'classes', 'class_names', 'CLASSES'}
# Where that belongs which people write at the top level, under its own name
# or another.
PLACES = {
    'optim_wrapper.optimizer.lr': {'lr', 'learning_rate', 'base_lr', 'LR'},
    'optim_wrapper.optimizer.weight_decay': {'weight_decay', 'wd'},
    'optim_wrapper.optimizer.momentum': {'momentum'},
    'train_cfg.max_epochs': {'max_epochs', 'epochs', 'num_epochs', 'EPOCHS'},
    'train_cfg.val_interval': {'val_interval', 'eval_interval'},
    'train_dataloader.batch_size': {'batch_size', 'train_batch_size'},
    'train_dataloader.num_workers': {'num_workers', 'workers'},
    'train_dataloader.dataset': {'dataset', 'train_dataset'},
    'train_dataloader.dataset.data_root': {'data_root', 'dataset_root'},
    'train_dataloader.dataset.type': {'dataset_type'},
    'train_dataloader.dataset.pipeline': {'train_pipeline', 'pipeline'},
    'val_dataloader.dataset': {'val_dataset'},
    'val_dataloader.dataset.pipeline': {'test_pipeline', 'val_pipeline'},
    'randomness.seed': {'random_seed'},
    'load_from': {'pretrained', 'pretrained_weights', 'checkpoint'},
    'visualizer.vis_backends': {'vis_backends'},
}
PLACE_OF = {name: place for place, names in PLACES.items() for name in names}
# Flags that decide whatever the config says.
FLAGS = {'data_root': 'data_root', 'seed': 'seed', 'random_seed': 'seed'}
_NOTHING = object()


def check_ignored(
    cfg: Config, args: Namespace, sources: list[Source]
) -> Iterator[Finding]:
    """Find what changes nothing, in the user's own files and the options."""
    own = [source for source in sources if not source.packaged]
    for source in own:
        used = source.used.union(
            *(other.used for other in own if other.depth < source.depth)
        )
        for name, line in source.names.items():
            if name in cfg and name not in used and name[0] != '_':
                yield from _look_at(
                    cfg, args, name, cfg[name], f'{source.path}:{line}'
                )
    for path, value in (args.cfg_options or {}).items():
        name, _, key = path.partition('.')
        if key:
            value = {key: value}
        yield from _look_at(cfg, args, name, value, f'--cfg-options {path}')


def _look_at(
    cfg: Config, args: Namespace, name: str, value: object, where: str
) -> Iterator[Finding]:
    flag = FLAGS.get(name)
    if name in READ | DECIDED or (flag and getattr(args, flag) is not None):
        return
    if name in old.NAMES:
        yield from _old(cfg, name, value, where)
        return
    place = PLACE_OF.get(name)
    if place == 'load_from':
        place = _place_of_weights(cfg, value)
    close = difflib.get_close_matches(name, READ, 1, 0.75)
    if not place and not close:
        place = _place_of_key(cfg, name)
    if place:
        yield from _elsewhere(cfg, name, value, where, place)
    elif close:
        yield warn(
            f'{name} is read by nobody.', where, f'{close[0]} is meant?'
        )
    else:
        # Settings of something, or a number that somebody keeps there.
        level = warn if any(walk(value)) else note
        yield level(f'{name} is read by nobody.', where, 'take it out')


def _elsewhere(
    cfg: Config, name: str, value: object, where: str, place: str
) -> Iterator[Finding]:
    """What this name is for is settled at another place, as before."""
    now = value_at(cfg, place, _NOTHING)
    if now == value:
        return
    what = f'{name} is set, and read by nobody: {place} '
    if now is _NOTHING or now is None:
        what += 'is not set'
    elif isinstance(now, (dict, list)):
        what += "is still the base's"
    else:
        what += f'stays {now!r}'
    if place.endswith('.data_root'):
        mend = f'--data-root {value}'
    elif isinstance(value, (dict, list, tuple)):
        mend = nested(place, name)
    else:
        mend = option(place, value)
    yield warn(f'{what}.', where, mend)


def _old(
    cfg: Config, name: str, value: object, where: str
) -> Iterator[Finding]:
    """A key of MMClassification 0.x, with what it is called now."""
    mend, stays = [], []
    for key, item in _flat(name, value):
        place = old.SETTINGS.get(key) or old.NAMES.get(key)
        now = value_at(cfg, place, _NOTHING) if place else _NOTHING
        if now == item:
            continue
        if not place or isinstance(item, (dict, list)):
            mend.append(f'{place or old.NAMES[name]}')
        elif ' ' in place:
            mend.append(place)
        else:
            mend.append(f'{place}={item}')
        if isinstance(now, (str, int, float)):
            stays.append(f'{place} stays {now!r}')
    if not mend:
        return
    what = f'{name} is of MMClassification 0.x and read by nobody'
    if stays:
        what += f': {", ".join(stays)}'
    yield warn(f'{what}.', where, f'now {", ".join(dict.fromkeys(mend))}')


def _flat(name: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, dict):
        return [(name, value)]
    return [(f'{name}.{key}', item) for key, item in value.items()]


def _place_of_weights(cfg: Config, value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if value_at(cfg, 'default_hooks.pretrained'):
        return 'default_hooks.pretrained.weights'
    return 'load_from'


def _place_of_key(cfg: Config, name: str) -> str | None:
    """Where the config has a key of this name, the shallowest of them."""
    waiting = [(key, cfg[key]) for key in cfg if key in READ or '_data' in key]
    for path, part in waiting:
        if isinstance(part, dict):
            if name in part:
                return f'{path}.{name}'
            waiting += [(f'{path}.{key}', item) for key, item in part.items()]
        elif isinstance(part, (list, tuple)):
            waiting += [(f'{path}.{i}', item) for i, item in enumerate(part)]
    return None
