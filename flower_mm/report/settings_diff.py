"""Settings of a config as text, and how two configs differ."""

import difflib

MAX_TEXT = 400  # characters of one setting
MAX_ITEMS = 200  # matching takes the square of the number of items
# Settings that differ between any two runs, and variables of our configs
# whose content is in the dataloaders.
OF_EACH_RUN = ('work_dir', 'visualizer', 'launcher', 'resume')
OF_EACH_RUN += ('train_pipeline', 'test_pipeline')
# What MMEngine and our tools fill in from the dataset and the machine.
FILLED_IN = ('_scope_', 'collate_fn', 'persistent_workers', 'pin_memory')


def changed_lines(settings: list[dict]) -> list[dict]:
    """The settings that differ from the base config, as removed and added."""
    rows = []
    for setting in settings:
        minus, plus = _lines(setting['base'], setting['run'])
        rows.append({'key': setting['key'], 'minus': minus, 'plus': plus})
    return rows


def _lines(base: object, run: object) -> tuple[list[str], list[str]]:
    if not (isinstance(base, list) and isinstance(run, list)):
        return (
            [] if base is None else [code(base)],
            [] if run is None else [code(run)],
        )
    before, now = [code(i) for i in base], [code(i) for i in run]
    if max(len(before), len(now)) > MAX_ITEMS:
        return before[:MAX_ITEMS], now[:MAX_ITEMS]
    minus, plus = [], []
    matcher = difflib.SequenceMatcher(None, before, now, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != 'equal':
            minus += before[a:b]
            plus += now[c:d]
    return minus, plus


def code(value: object, depth: int = 0) -> str:
    """A setting as in a config; a dict with a type is shown as a call."""
    if depth > 8:
        return '…'
    if isinstance(value, dict):
        rest = dict(value)
        kind = rest.pop('type', 'dict')
        inside = ', '.join(
            f'{k}={code(v, depth + 1)}' for k, v in rest.items()
        )
        text = f'{kind}({inside})'
    elif isinstance(value, (list, tuple)):
        text = f'[{", ".join(code(item, depth + 1) for item in value)}]'
    else:
        text = repr(value)
    return text if len(text) <= MAX_TEXT else f'{text[:MAX_TEXT]}…'


def differing_settings(configs: list[dict]) -> list[dict]:
    """The settings that differ between resolved configs, with all values.

    Of lists, such as pipelines, only the items that are not in all of them.
    """
    flat = [_flat(config) for config in configs]
    rows = []
    for key in dict.fromkeys(key for settings in flat for key in settings):
        values = [settings.get(key) for settings in flat]
        if all(value == values[0] for value in values):
            continue
        if all(isinstance(value, (list, tuple)) for value in values):
            shown = [_own_items(value, values) for value in values]
        else:
            shown = [
                [] if value is None else [code(value)] for value in values
            ]
        rows.append({'key': key, 'values': shown})
    return rows


def _own_items(items: list, lists: list[list]) -> list[str]:
    own = [
        code(item)
        for item in items[:MAX_ITEMS]
        if not all(item in other[:MAX_ITEMS] for other in lists)
    ]
    # The same items in another order or number.
    return own or [code(items)]


def _flat(config: dict) -> dict[str, object]:
    """Each setting by its dotted key; None counts as not set."""
    found = {}
    todo = [
        (key, value, 0)
        for key, value in config.items()
        if key not in OF_EACH_RUN
    ][::-1]
    while todo:  # no recursion: a file may nest deeper than Python allows
        key, value, depth = todo.pop()
        if isinstance(value, dict) and value and depth < 8:
            todo += [
                (f'{key}.{name}', part, depth + 1)
                for name, part in value.items()
                if name not in FILLED_IN
            ][::-1]
        elif value is not None:
            found[key] = value
    return found
