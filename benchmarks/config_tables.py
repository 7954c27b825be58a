"""Tables of the configs and of the reference reports, from results/."""

import csv
from pathlib import Path
from statistics import mean

from benchmarks.record import ends, recorded, seeds, spread
from benchmarks.reports import GROUP, LOWER_RATES, OURS, TWINS
from benchmarks.time_to_accuracy.rows import validations_of
from benchmarks.time_to_accuracy.systems import SYSTEMS

FLOWER = Path(__file__).parent.parent / 'configs' / 'flower'
MOBILENET = 'configs/flower/mobilenet_v2_flower'
COMMANDS = {  # of the systems in time_to_accuracy: config and flags
    'ours': (f'{MOBILENET}.py', ''),
    'head_only': (f'{MOBILENET}.py', '--head-only'),
    'fast': (f'{MOBILENET}_fast.py', ''),
}


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table without the columns that are empty in every row."""
    used = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    every = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(
        f'| {" | ".join(cells[i] for i in used)} |' for cells in every
    )


def configs() -> str:
    """A row for each measured config, then the names of the others."""
    rows, missing = [], []
    measured = at_length()
    for path in sorted(FLOWER.glob('*_flower*.py')):
        name = f'configs/flower/{path.name}'
        found = [row for row in measured if row['config'] == name]
        if not found:
            missing.append(f'`{path.stem}`')
        rows += [
            [
                f'`{path.stem}`' + f' `{row["flags"]}`' * bool(row['flags']),
                spread(row),
                str(row['runs']),
                row['epochs'],
                row['seconds'],
            ]
            for row in found
        ]
    heads = ['config', 'validation accuracy, %', 'seeds', 'epochs', 'seconds']
    return (
        f'{markdown(heads, rows)}\n\n'
        'Not measured, because their ImageNet weights were not available on '
        f'this machine: {", ".join(missing)}.'
    )


def reports() -> str:
    """A row for each recipe that is compared on MobileNetV2."""
    reported, losses = _reported(), _own_backbones()
    groups = on_one_backbone()
    names = {name: path.stem for name, path in OURS.items()}
    names |= {
        path.stem: path.stem
        for path in sorted((FLOWER / 'reports').glob('*.py'))
    }
    for variant, (report, rate) in LOWER_RATES.items():
        names[variant] = f'{report}, learning rate {rate:g}'
    rows = []
    for recipe, name in sorted(names.items(), key=lambda item: item[1]):
        published = reported.get(recipe, {})
        rows.append(
            [
                f'`{name}`' if ',' not in name else name,
                *(
                    _with_seconds(runs.get(recipe, []))
                    for runs in groups.values()
                ),
                published.get('top1', ''),
                published.get('epochs', ''),
                losses.get(recipe, ''),
            ]
        )
    heads = [
        'recipe',
        *_heads(list(groups)),
        'published accuracy, %',
        'published epochs',
        'loss from scratch',
    ]
    twins = ' and '.join(f'`{name}`' for name in TWINS)
    return (
        f'{markdown(heads, rows)}\n\n'
        f'{twins} differ from another report by their backbone only, so '
        'that they have no run on MobileNetV2.'
    )


def _heads(groups: list[tuple]) -> list[str]:
    return [
        f'{group[0]} epoch{"s" * (group[0] > 1)}, %{besides}'
        for group, besides in zip(groups, told_apart(groups), strict=True)
    ]


def told_apart(groups: list[tuple]) -> list[str]:
    """What besides their length distinguishes the groups, if anything."""
    differing = [
        place
        for place in range(1, len(GROUP))
        if len({group[place] for group in groups}) > 1
    ]
    return [
        ''.join(
            f', {GROUP[place]} {_short(GROUP[place], group[place])}'
            for place in differing
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


def _reported() -> dict[str, dict]:
    """What each report published, with its own data and weights."""
    with (FLOWER / 'reports' / 'published.csv').open(encoding='utf-8') as file:
        return {row['config']: row for row in csv.DictReader(file)}


def _own_backbones() -> dict[str, str]:
    """How the loss of each report decreases with its own backbone."""
    return {
        row['config']: f'{row["first_loss"]} to {row["last_loss"]}'
        for row in recorded('own_backbones')
    }


def on_one_backbone() -> dict[tuple, dict[str, list[dict]]]:
    """The runs of each recipe, by length and what else differs."""
    found: dict[tuple, dict[str, list[dict]]] = {}
    for row in recorded('reports'):
        row['epochs'] = int(row['epochs'])
        group = found.setdefault(tuple(row[name] for name in GROUP), {})
        group.setdefault(row['recipe'], []).append(row)
    return dict(sorted(found.items()))


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
