"""Settings of MMClassification 0.x, said again as they are said now."""

from mmengine.config import Config

from flower_mm.checks.keys import old
from flower_mm.checks.keys.decay import multiplied
from flower_mm.checks.keys.old_schedule import schedulers_of
from flower_mm.checks.keys.placed import placed
from flower_mm.checks.keys.source import Source
from flower_mm.checks.remedy import code, setting, shown, value_at

_NOTHING = object()


class Replacement:
    """One old group: what says the same now, and what is in force instead."""

    def __init__(
        self, cfg: Config, name: str, value: object, source: Source | None
    ) -> None:
        self.cfg = cfg
        self.source = source
        self.options: list[str] = []
        self.lines: list[str] = []
        self.words: list[str] = []
        self.stays: list[str] = []
        self.same: list[str] = []
        if value is None:
            pass  # it was switched off
        elif not isinstance(value, dict):
            self._set(old.NAMES[name], value)
        elif name == 'lr_config':
            self._schedule(value)
        elif name == 'evaluation':
            self._evaluation(value)
        elif name == 'optimizer' and self._is_another(value):
            new = {'_delete_': True, **value}
            if 'weight_decay' not in value and multiplied(cfg):
                new['weight_decay'] = 0
            self._line('optim_wrapper.optimizer', new)
            self._keep(value)
        else:
            self._group(name, value)

    @property
    def mend(self) -> str:
        """Empty where nothing of it would change anything."""
        parts = []
        if self.options:
            parts.append(f'--cfg-options {" ".join(self.options)}')
        if self.lines:
            parts.append(f'in the config {"; ".join(self.lines)}')
        if self.words:
            parts.append(f'now {", ".join(dict.fromkeys(self.words))}')
        return '; '.join(parts)

    def _group(self, name: str, value: dict) -> None:
        for key, item in value.items():
            place = old.SETTINGS.get(f'{name}.{key}')
            if not place and name in old.GROUPS:
                place = f'{old.NAMES[name]}.{key}'
            if place:
                self._set(place, item)
            elif place is None:
                self.words.append(old.NAMES[name])

    def _set(self, place: str, value: object) -> None:
        now = value_at(self.cfg, place, _NOTHING)
        # None is what there is without any setting.
        if now == value or (value is None and now is _NOTHING):
            self.same.append(place)
            return
        if isinstance(now, (str, int, float)):
            self.stays.append(f'{place} stays {shown(now)}')
        is_whole = isinstance(value, (dict, list, tuple))
        is_odd = isinstance(now, (dict, list)) and not is_whole
        if ' ' in place or place in old.WHOLE or is_odd:
            self.words.append(place)
        elif is_whole:
            self._line(place, value)
        else:
            self.options.append(setting(place, value))

    def _line(self, place: str, value: object) -> None:
        self.lines.append(placed(self.source, place, code(value)))

    def _is_another(self, value: dict) -> bool:
        now = value_at(self.cfg, 'optim_wrapper.optimizer.type')
        return value.get('type', now) != now

    def _keep(self, value: dict) -> None:
        for key in value:
            place = f'optim_wrapper.optimizer.{key}'
            now = value_at(self.cfg, place)
            if isinstance(now, (str, int, float)) and now != value[key]:
                self.stays.append(f'{place} stays {shown(now)}')

    def _schedule(self, value: dict) -> None:
        found = schedulers_of(value)
        if found is None:
            policy = value.get('policy')
            self.words.append(f'param_scheduler, which has no {policy}')
        else:
            # A list takes the place of what the base has, of any kind.
            self.lines.append(f'param_scheduler = {code(found)}')

    def _evaluation(self, value: dict) -> None:
        if 'interval' in value:
            self._set('train_cfg.val_interval', value['interval'])
        if value.get('save_best'):
            best = str(value['save_best']).replace('_top-', '/top')
            self._set('default_hooks.checkpoint.save_best', best)
        there = self.cfg.get('val_evaluator') or []
        there = there if isinstance(there, (list, tuple)) else [there]
        types = {str(item.get('type')).rpartition('.')[2] for item in there}
        new = []
        for metric in _metrics(value):
            if metric['type'] in types:
                self.same.append(f'val_evaluator of {metric["type"]}')
            else:
                new.append(metric)
        if new:
            self.lines.append(f'val_evaluator = {code([*there, *new])}')


def _metrics(value: dict) -> list[dict]:
    """The evaluators that measure what was asked for."""
    names = value.get('metric') or []
    names = names if isinstance(names, (list, tuple)) else [names]
    found = []
    if 'accuracy' in names:
        topk = value_at(value, 'metric_options.topk', (1, 5))
        found.append({'type': 'Accuracy', 'topk': topk})
    items = [new for name, new in old.METRICS.items() if name in names]
    if items:
        found.append({'type': 'SingleLabelMetric', 'items': items})
    return found
