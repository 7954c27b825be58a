"""What stands at the top level of a config and is read by nobody.

MMEngine takes any name there without a word: a variable that the file itself
does not use, a key that is misspelt, one of MMClassification 0.x.
"""

import difflib
import inspect
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from flower_mm.checks.finding import Finding, note, warn
from flower_mm.checks.keys import old
from flower_mm.checks.keys.belongs import is_of_classes, place_of
from flower_mm.checks.keys.placed import placed
from flower_mm.checks.keys.replaced import Replacement
from flower_mm.checks.keys.source import Source
from flower_mm.checks.remedy import option, shown, value_at
from flower_mm.config import datasets, walk
from flower_mm.datasets.annotations import read_classes
from flower_mm.errors import UserError

# What Runner.from_cfg takes, and what is read of the whole config.
RUNNER = set(inspect.signature(Runner.__init__).parameters)
READ = (RUNNER - {'self', 'cfg'}) | {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'more_augments',
    'precision',
    'runner_type',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# Flags that decide whatever the config says.
FLAGS = {
    'train_dataloader.dataset.data_root': 'data_root',
    'randomness.seed': 'seed',
}
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
                where = f'{source.path}:{line}'
                yield from _look_at(cfg, args, name, cfg[name], where, source)
    for path, value in (args.cfg_options or {}).items():
        name, _, key = path.partition('.')
        if key:
            value = {key: value}
        yield from _look_at(cfg, args, name, value, f'--cfg-options {path}')


def _look_at(
    cfg: Config,
    args: Namespace,
    name: str,
    value: object,
    where: str,
    source: Source | None = None,
) -> Iterator[Finding]:
    place = place_of(name)
    flag = FLAGS.get(place)
    if name in READ or (flag and getattr(args, flag) is not None):
        return
    if is_of_classes(name):
        yield from _classes(cfg, args, name, value, where)
        return
    if name in old.NAMES:
        yield from _old(cfg, name, value, where, source)
        return
    if place == 'load_from':
        place = _place_of_weights(cfg, value)
    close = difflib.get_close_matches(name, READ, 1, 0.75)
    if not place and not close:
        place = _place_of_key(cfg, name)
    if place and place in (args.cfg_options or {}):
        return  # the command line has decided about it
    if place:
        yield from _elsewhere(cfg, name, value, where, place, source)
    elif close:
        yield warn(
            f'{name} is read by nobody.', where, f'{close[0]} is meant?'
        )
    else:
        # Settings of something, or a number that somebody keeps there.
        level = warn if any(walk(value)) else note
        yield level(f'{name} is read by nobody.', where, 'take it out')


def _elsewhere(
    cfg: Config,
    name: str,
    value: object,
    where: str,
    place: str,
    source: Source | None,
) -> Iterator[Finding]:
    """What this name is for is settled at another place, as before."""
    now = value_at(cfg, place, _NOTHING)
    if now == value:
        return
    what = f'{name} is set, and read by nobody: {place} '
    if now is _NOTHING or now is None:
        what += 'is not set'
    elif isinstance(now, (dict, list)):
        itself = source and source.sets(place)
        what += 'is set by itself' if itself else "is still the base's"
    else:
        what += f'stays {shown(now)}'
    if place.endswith('.data_root'):
        mend = f'--data-root {value}'
    elif isinstance(value, (dict, list, tuple)):
        mend = placed(source, place, name)
    else:
        mend = option(place, value)
    yield warn(f'{what}.', where, mend)


def _old(
    cfg: Config,
    name: str,
    value: object,
    where: str,
    source: Source | None,
) -> Iterator[Finding]:
    """A key of MMClassification 0.x, with what says the same now."""
    now = Replacement(cfg, name, value, source)
    what = f'{name} is of MMClassification 0.x and read by nobody'
    if now.mend:
        if now.stays:
            what += f': {", ".join(now.stays)}'
        yield warn(f'{what}.', where, now.mend)
    elif name == 'evaluation' and now.same:
        what += f': {" and ".join(now.same)} say the same'
        yield note(f'{what}.', where, 'take it out')


def _classes(
    cfg: Config, args: Namespace, name: str, value: object, where: str
) -> Iterator[Finding]:
    """Classes other than those that classes.txt has."""
    roots = [part.data_root for part in datasets(cfg, ('train_dataloader',))]
    root = args.data_root or next(iter(roots), None)
    try:
        classes = read_classes(Path(root))
    except (UserError, OSError, TypeError):
        return  # told elsewhere, or there is none yet
    same = value == len(classes)
    if isinstance(value, (list, tuple)):
        same = list(value) == classes
    if not same and not isinstance(value, str):
        yield warn(
            f'{name} is set, and read by nobody: classes.txt names '
            f'{len(classes)} classes, {", ".join(classes[:5])}'
            f'{" and so on" if len(classes) > 5 else ""}.',
            where,
            'take it out; tools/prepare_dataset.py names the classes after '
            'the folders',
        )


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
