"""Settings of a config as text, and how two configs differ."""

MAX_DEPTH = 8  # of nested settings
MAX_TEXT = 400  # characters of one setting
MAX_ITEMS = 200  # of a list; matching takes their square
# Settings that differ between any two runs, and variables of our configs
# whose content is in the dataloaders.
OF_EACH_RUN = (
    'work_dir',
    'visualizer',
    'launcher',
    'resume',
    'train_pipeline',
    'test_pipeline',
)
# What MMEngine and our tools fill in from the dataset and the machine.
FILLED_IN = ('_scope_', 'collate_fn', 'persistent_workers', 'pin_memory')


def changed_settings(settings: list[dict]) -> list[dict]:
    """The settings that differ from the base config, with both values."""
    return [
        _row(setting['key'], [setting['base'], setting['run']])
        for setting in settings
    ]


def code(value: object, depth: int = 0) -> str:
    """A setting as in a config; a dict with a type is shown as a call."""
    if depth > MAX_DEPTH:
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
    """The settings that differ between resolved configs, with all values."""
    flat = [_flat(config) for config in configs]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    rows = [(key, [settings.get(key) for settings in flat]) for key in keys]
    return [
        _row(key, values)
        for key, values in rows
        if any(value != values[0] for value in values)
    ]


def _row(key: str, values: list) -> dict:
    """A setting with its lines per config; None counts as not set.

    Of lists, such as pipelines, only the items that are not in all of them.
    """
    lines = []
    if all(isinstance(value, (list, tuple)) for value in values):
        lines = [_own_items(value, values) for value in values]
    if not any(lines):
        # No lists, or the same items in another order or number.
        lines = [[] if value is None else [code(value)] for value in values]
    return {'key': key, 'values': lines}


def _own_items(items: list, lists: list[list]) -> list[str]:
    return [
        code(item)
        for item in items[:MAX_ITEMS]
        if not all(item in other[:MAX_ITEMS] for other in lists)
    ]


def _flat(config: dict, prefix: str = '', depth: int = 0) -> dict[str, object]:
    """Each setting by its dotted key; None counts as not set."""
    settings: dict[str, object] = {}
    for name, value in config.items():
        if value is None or name in (FILLED_IN if depth else OF_EACH_RUN):
            continue
        key = f'{prefix}{name}'
        if isinstance(value, dict) and value and depth < MAX_DEPTH:
            settings |= _flat(value, f'{key}.', depth + 1)
        else:
            settings[key] = value
    return settings
