"""Settings of a config, as one would write them, and how they differ."""

import difflib

from flower_mm.report.words import plural

TOO_LONG = 400  # characters of one setting
LONG = 200  # items of a list


def listed(bases: list, settings: list) -> dict:
    """The settings that differ from the base, as lines taken and added."""
    names = ', '.join(str(base) for base in bases)
    if not names:
        return {
            'sentence': 'The config stands alone: it is based on no other.',
            'rows': [],
        }
    rows = []
    for setting in settings:
        if isinstance(setting, dict) and isinstance(setting.get('key'), str):
            minus, plus = _lines(setting.get('base'), setting.get('run'))
            rows.append({'key': setting['key'], 'minus': minus, 'plus': plus})
    count = f'{plural(len(rows), "setting")} of config and command line'
    return {
        'sentence': f'{count} differ from the base, {names}.'
        if len(rows) != 1
        else f'{count} differs from the base, {names}.',
        'rows': rows,
    }


def _lines(base: object, run: object) -> tuple[list[str], list[str]]:
    if not (isinstance(base, list) and isinstance(run, list)):
        return (
            [] if base is None else [code(base)],
            [] if run is None else [code(run)],
        )
    before, now = [code(i) for i in base], [code(i) for i in run]
    if max(len(before), len(now)) > LONG:  # no pipeline; to match them takes
        return before[:LONG], now[:LONG]  # the square of their number
    minus, plus = [], []
    matched = difflib.SequenceMatcher(None, before, now, autojunk=False)
    for kind, a, b, c, d in matched.get_opcodes():
        if kind != 'equal':
            minus += before[a:b]
            plus += now[c:d]
    return minus, plus


def code(value: object, depth: int = 0) -> str:
    """A setting, as one would write it; a registered type like a call."""
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
    return text if len(text) <= TOO_LONG else f'{text[:TOO_LONG]}…'


def differing(runs: list[dict]) -> list[dict]:
    """The settings that differ between runs, with each one's value."""
    noted = [run['run']['changes']['settings'] for run in runs]
    if any(found is None for found in noted):
        return []
    by_key = [
        {
            row['key']: row
            for row in found
            if isinstance(row, dict) and isinstance(row.get('key'), str)
        }
        for found in noted
    ]
    rows = []
    for key in dict.fromkeys(key for found in by_key for key in found):
        base = next(found[key].get('base') for found in by_key if key in found)
        # What a run did not change is as in the base, if that is the same.
        values = [
            found[key].get('run') if key in found else base for found in by_key
        ]
        if any(value != values[0] for value in values):
            shown = ['\u2013' if v is None else code(v) for v in values]
            rows.append({'key': key, 'values': shown})
    return rows
