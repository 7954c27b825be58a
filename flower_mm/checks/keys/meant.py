"""What was meant by a key or a type that nobody knows."""

import difflib
from dataclasses import dataclass

from mmengine.config import Config

from flower_mm.checks.finding import Finding, Level
from flower_mm.checks.keys import old
from flower_mm.checks.keys.accepted import find, similar
from flower_mm.checks.keys.belongs import place_of
from flower_mm.checks.keys.decay import PLACE as DECAY
from flower_mm.checks.keys.decay import multiplied
from flower_mm.checks.keys.placed import placed
from flower_mm.checks.keys.source import Source
from flower_mm.checks.remedy import code, value_at
from flower_mm.engine.runner import MMENGINES_HOOKS

# MMEngine only looks for keys that it knows in these.
FORGIVING = ('auto_scale_lr', 'env_cfg', 'optim_wrapper.paramwise_cfg')
OWNERS = ('mmpretrain', 'flower_mm')
# Not built while training.
LATER = ('test_', 'tta_')
HOOKS = (*MMENGINES_HOOKS, 'visualization', 'pretrained', 'ema')
# What a dataset of another type still wants.
KEPT = {'data_root', 'pipeline', 'test_mode'}


@dataclass(frozen=True)
class Part:
    """A dictionary in the config whose keys are known; `name` is its type."""

    path: str
    keys: frozenset[str]
    name: str = ''


class Meaning:
    """What was meant by a key that nobody takes.

    The user's own file and the options tell it from what the base left.
    """

    def __init__(
        self, cfg: Config, own: Source | None, options: dict, met: list[Part]
    ) -> None:
        self.cfg = cfg
        self.own = own
        self.options = options
        self.met = met

    def unknown(self, part: Part, key: str) -> Finding:
        what = f'{part.name or part.path} takes no {key}'
        smoothed = self._smoothed(part, key)
        if smoothed:
            mend = smoothed
        elif self._is_own(f'{part.path}.type') and not self._is_own(
            f'{part.path}.{key}'
        ):
            what += ': it is left over from the base'
            mend = self._anew(part)
        else:
            mend = self._meant(part, key)
        if part.path.startswith(FORGIVING):
            what += ', and it is ignored'
        place = f'{part.path}.{key}'
        return Finding(_level(part.path), f'{what}.', place, mend)

    def _is_own(self, path: str) -> bool:
        return path in self.options or bool(self.own and self.own.sets(path))

    def _smoothed(self, part: Part, key: str) -> str:
        """Smoothing is not a setting of a loss or head, but a loss."""
        if (
            not key.startswith('label_smooth')
            or 'label_smooth_val' in part.keys
        ):
            return ''
        loss = part.path
        if loss.endswith('.head'):
            loss += '.loss'
        value = value_at(self.cfg, f'{part.path}.{key}')
        if not loss.endswith('.loss') or not isinstance(value, (int, float)):
            return ''
        smooth = {'type': 'LabelSmoothLoss', 'label_smooth_val': value}
        return f'instead of it {placed(self.own, loss, code(smooth))}'

    def _anew(self, part: Part) -> str:
        """The user's part of it, without the base's.

        A dataset keeps the photos and the pipeline that it had.
        """
        words = ['_delete_=True']
        for key, value in value_at(self.cfg, part.path).items():
            path = f'{part.path}.{key}'
            if self._is_own(path):
                written = self.own and self.own.text(path)
                if path in self.options or not written:
                    written = code(value)
            elif key not in KEPT & part.keys:
                continue
            elif key == 'pipeline' and self.own and self.own.bases:
                written = f'_base_.{path}'
            else:
                written = code(value)
            words.append(f'{key}={written}')
        if (
            DECAY.startswith(f'{part.path}.')
            and multiplied(self.cfg)
            and not self._is_own(DECAY)
        ):
            words.append('weight_decay=0')
        new = f'dict({", ".join(words)})'
        return f'in the config {placed(self.own, part.path, new)}'

    def _meant(self, part: Part, key: str) -> str:
        now = old.KEYS.get(key, key)
        if now in part.keys:
            return f'{part.path}.{now} is meant'
        close = difflib.get_close_matches(key, part.keys, 1, 0.75)
        if close:
            return f'{part.path}.{close[0]} is meant?'
        near = [
            other.path
            for other in self.met
            if now in other.keys
            and other.path.partition('.')[0] == part.path.partition('.')[0]
        ]
        if near:
            nearest = min(near, key=lambda path: _distance(path, part.path))
            return f'{nearest}.{now} is meant?'
        place = place_of(key)
        if place and place != f'{part.path}.{key}':
            return f'{place} is meant?'
        if key == 'momentum' and 'betas' in part.keys:
            return 'take it out; betas=(0.9, 0.999) are what it has instead'
        if part.path == 'train_cfg' and key == 'max_epochs':
            return 'take train_cfg.type out; by_epoch=True counts in epochs'
        return 'take it out'


def _level(path: str) -> Level:
    if path.startswith((*LATER, *FORGIVING)):
        return Level.WARN
    return Level.STOP


def not_registered(name: object, path: str, kind: str, scope: str) -> Finding:
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


def without_type(cfg: Config, path: str) -> Finding:
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


def _distance(one: str, two: str) -> int:
    """Steps from one place in the config to the other."""
    a, b = one.split('.'), two.split('.')
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return len(a) + len(b) - 2 * shared
