"""The table of configs/flower/README.md, from results/."""

import csv
from pathlib import Path
from statistics import mean

from benchmarks.record import ends, recorded, seeds, spread
from benchmarks.reports import GROUP, LOWER_RATES, OURS, full_length
from benchmarks.time_to_accuracy.rows import validations_of
from benchmarks.time_to_accuracy.systems import SYSTEMS

FLOWER = Path(__file__).parent.parent / 'configs' / 'flower'
MOBILENET = 'configs/flower/mobilenet_v2_flower'
COMMANDS = {  # of the systems in time_to_accuracy: config and flags
    'ours': (f'{MOBILENET}.py', ''),
    'head_only': (f'{MOBILENET}.py', '--head-only'),
    'fast': (f'{MOBILENET}_fast.py', ''),
}
RECIPES = {path.stem: name for name, path in OURS.items()}


def table() -> str:
    """A line for each config, and each command of it that was measured."""
    theirs, own, lengths = _theirs(), _own_backbones(), on_one_backbone()
    measured = at_length()
    lines = []
    for path in [
        *sorted(FLOWER.glob('*_flower*.py')),
        *sorted((FLOWER / 'reports').glob('*.py')),
    ]:
        name = f'configs/flower/{path.relative_to(FLOWER).as_posix()}'
        own_length = str(full_length(path))
        told, recipe = theirs.get(path.stem, {}), RECIPES.get(path.stem)
        beside = [
            _with_seconds(recipes.get(recipe or path.stem, []))
            for recipes in lengths.values()
        ]
        beside += [told.get(key, '') for key in ('top1', 'epochs', 'seconds')]
        beside.append(own.get(path.stem, ''))
        # What was measured at full length, with weights of its own.
        rows = [row for row in measured if row['config'] == name]
        for row in rows or [{}]:
            reached = [row.get('epochs') or own_length]
            reached.append(row.get('seconds', ''))
            flags = row.get('flags', '')
            command = f'python tools/train.py {name} {flags}'.strip()
            lines.append([_best(row), *reached, *beside, f'`{command}`'])
            beside = [''] * len(beside)
        for variant, (report, _) in LOWER_RATES.items():
            if report == path.stem:
                beside = [
                    _with_seconds(recipes.get(variant, []))
                    for recipes in lengths.values()
                ]
                command = (
                    'python -m benchmarks.reports --weights FILE '
                    f'--full-length --only {variant}'
                )
                cells = ['', own_length, '', *beside, *[''] * 4]
                lines.append([*cells, f'`{command}`'])
    heads = ['val top-1, %', 'epochs', 's', *_heads(list(lengths))]
    heads += ['theirs, %', 'their epochs', 'their s', 'loss', 'command']
    every = [heads, ['---'] * len(heads), *lines]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in every)


def _heads(groups: list[tuple]) -> list[str]:
    return [
        f'MobileNetV2, {group[0]} epoch{"s" * (group[0] > 1)}, %{besides}'
        for group, besides in zip(groups, told_apart(groups), strict=True)
    ]


def told_apart(groups: list[tuple]) -> list[str]:
    """What but their length tells the groups apart, if anything does."""
    told = [
        place
        for place in range(1, len(GROUP))
        if len({group[place] for group in groups}) > 1
    ]
    return [
        ''.join(
            f', {GROUP[place]} {_short(GROUP[place], group[place])}'
            for place in told
        )
        for group in groups
    ]


def _short(name: str, value: str) -> str:
    return value[:8] if name.endswith('_sha256') else value


def at_length() -> list[dict]:
    """What configs reach by the commands that they are meant for."""
    found = [
        row | {'runs': len(row['seeds'].split())}
        for row in recorded('accuracy')
        if 'at commit' not in row['name']
    ]
    for row in recorded('time_to_accuracy'):
        command = COMMANDS.get(row['system'])
        if command and row['epochs'] == str(SYSTEMS[row['system']].epochs):
            config, flags = command
            best = [
                max(top1 for _, top1 in run) for run in validations_of(row)
            ]
            found.append(
                {'config': config, 'flags': flags, 'runs': len(best)}
                | ends(best)
                | {
                    'epochs': row['epochs'],
                    'seconds': f'{float(row["seconds"]):.0f}',
                }
            )
    return sorted(found, key=lambda row: row['flags'])


def _theirs() -> dict[str, dict]:
    """What each report got, with data and weights of its own."""
    with (FLOWER / 'reports' / 'theirs.csv').open(encoding='utf-8') as file:
        return {row['config']: row for row in csv.DictReader(file)}


def _own_backbones() -> dict[str, str]:
    """How the loss of each report falls with its own backbone."""
    return {
        row['config']: f'{row["first_loss"]} to {row["last_loss"]}'
        for row in recorded('own_backbones')
    }


def on_one_backbone() -> dict[tuple, dict[str, list[dict]]]:
    """The runs of each recipe, by length and what else tells runs apart."""
    found: dict[tuple, dict[str, list[dict]]] = {}
    for row in recorded('reports'):
        row['epochs'] = int(row['epochs'])
        group = found.setdefault(tuple(row[name] for name in GROUP), {})
        group.setdefault(row['recipe'], []).append(row)
    return dict(sorted(found.items()))


def _best(row: dict) -> str:
    if not row:
        return ''
    return spread(row) + seeds(row['runs'])


def _with_seconds(runs: list[dict]) -> str:
    if not runs:
        return ''
    seconds = mean(float(run['seconds']) for run in runs)
    return f'{reached(runs)}, {seconds:.0f} s'


def reached(runs: list[dict]) -> str:
    """The best epochs, and whether anything was trained by then."""
    values = [float(run['best_top1']) for run in runs]
    untrained = all(run['best_epoch'] == '0' for run in runs)
    head = ', of the fitted head' * untrained
    return f'{spread(ends(values))}{seeds(len(runs))}{head}'
