"""The report as one HTML file that asks nothing of anybody.

Every text that comes from a run, a dataset or a photo's name is made
printable first and escaped by Jinja2 then; beyond that the page's own policy
lets no script run but the one that sorts tables, and fetches nothing.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from math import sqrt

import numpy as np

from flower_mm.errors import printable
from flower_mm.report import charts, settings_diff, verdict, words
from flower_mm.report.run_folder import Run

LONGEST = 2000  # characters of a line from a file
MOST_WRONG = 24  # photos shown
MOST_SUSPECTS = 24
MOST_CHANGED = 18
MOST_CLASSES = 60  # in a confusion matrix
SOME_CLASSES = 40  # where there are more
PARTS = [
    ('result', 'Result'),
    ('curves', 'How it learned'),
    ('confusion', 'What for what'),
    ('classes', 'Classes'),
    ('wrong', 'Most wrong'),
    ('labels', 'Labels to check'),
    ('equal', 'Equal photos'),
    ('confidence', 'Confidence'),
    ('doubtful', 'Doubtful ones'),
    ('speed', 'Speed'),
    ('changes', 'Changes'),
    ('repeat', 'Repeat'),
]


@dataclass(frozen=True)
class Shown:
    """A photo as JPEG: what the model saw, and where it looked."""

    seen: bytes
    heat: bytes | None = None


def report_page(facts: dict, run: Run, photos: Mapping[str, Shown]) -> str:
    """Put report.json's `facts` and the pictures into a page.

    `photos` has what could be read, by the photo's path in `facts`.
    """
    # By the photos' paths as they are, before they are made printable.
    cards = {
        'wrong': _cards(facts['wrong'][:MOST_WRONG], photos),
        'suspects': _cards(facts['suspects'][:MOST_SUSPECTS], photos),
    }
    facts = clean(facts)
    record, result = facts['run'], facts['result']
    no_judge = words.cannot_judge(facts) if result else None
    if no_judge and cards['suspects']:
        facts['why']['suspects'] = no_judge
        cards['suspects'] = []
        cards['wrong'] = [
            card | {'label_doubtful': False} for card in cards['wrong']
        ]
    made_by = record['changes']
    view = {
        'title': f'{record["name"]}: report',
        'name': record['name'],
        'headline': words.headline(facts),
        'alarms': words.alarms(facts),
        'parts_of_page': PARTS,
        'why': facts['why'],
        'result': result,
        'tiles': words.tiles(facts),
        'folds': words.folds(facts['folds']),
        'curves': charts.compared(
            [(fold.name, fold.scalars) for fold in run.folds]
        )
        if run.folds
        else charts.curves(run.scalars),
        'curve_keys': [
            (fold.name, charts.colour(i)) for i, fold in enumerate(run.folds)
        ],
        'speed': words.speed(facts['speed']),
        'data': words.data(facts['data'], record['dataset_sha256']),
        'changes': None
        if made_by['settings'] is None
        else settings_diff.listed(made_by['bases'] or [], made_by['settings']),
        'command': words.command(record['command']),
        'command_caution': words.command_caution(record),
        'environment': words.environment(facts),
        'written': words.footer(facts),
        **cards,
        **_of_the_result(facts, cards),
    }
    return _render('report.html.j2', view)


def _of_the_result(facts: dict, cards: dict) -> dict:
    result, calibration = facts['result'], facts['calibration']
    if not result:
        return {'calibration': None, 'handed_over': None}
    handed = facts['handed_over']
    return {
        'measured_on': words.measured_on(facts['measured']),
        'sentences': words.result_sentences(facts),
        'matrix': matrix(facts['confusion'], facts['classes']),
        'confused_pairs': words.pairs(facts['confused_pairs']),
        'per_class': facts['per_class'],
        'wrong_sentence': words.wrong(facts, cards['wrong']),
        'suspects_sentence': words.suspects(facts),
        'more_suspects': facts['suspects'][MOST_SUSPECTS:],
        'calibration': {
            'picture': charts.reliability(calibration),
            'sentences': words.calibration(calibration, result['top1']),
        },
        'handed_over': {
            'picture': charts.handed_over(handed),
            'sentence': words.handed_over(handed, result),
            'table': handed['table'],
        },
    }


def comparison_page(
    facts: dict, runs: list[Run], photos: Mapping[str, Shown]
) -> str:
    """Put runs side by side; `facts` are comparison.json's."""
    changed = [
        {
            kind: _cards(pair.get(kind, [])[:MOST_CHANGED], photos)
            for kind in ('right_then_wrong_photos', 'wrong_then_right_photos')
        }
        for pair in facts['pairs']
    ]
    facts = clean(facts)
    names = [run['name'] for run in facts['runs']]
    bases = [run['run']['changes']['bases'] for run in facts['runs']]
    view = {
        'title': f'Comparison: {", ".join(names)}',
        'names': names,
        'runs': facts['runs'],
        'colours': [charts.colour(i) for i in range(len(names))],
        'scale': _scale(facts['runs']),
        'alarms': [words.alarms(run) for run in facts['runs']],
        'pairs': [
            {
                'first': pair['first'],
                'second': pair['second'],
                'sentences': verdict.compared(pair),
                'worse': cards['right_then_wrong_photos'],
                'better': cards['wrong_then_right_photos'],
                'worse_count': pair.get('right_then_wrong', 0),
                'better_count': pair.get('wrong_then_right', 0),
            }
            for pair, cards in zip(facts['pairs'], changed, strict=True)
        ],
        'asked': verdict.asked(facts),
        'caution': verdict.caution(facts),
        'curves': charts.compared(
            [
                (name, run.scalars)
                for name, run in zip(names, runs, strict=True)
            ]
        ),
        'settings': settings_diff.differing(facts['runs'])
        if all(base == bases[0] for base in bases)
        else [],
        'written': verdict.footer(facts),
    }
    return _render('comparison.html.j2', view)


def _scale(runs: list[dict]) -> int:
    """Where a scale to 100 % begins that shows the intervals apart."""
    lows = [run['result']['top1_interval'][0] for run in runs if run['result']]
    return min(90, int(min(lows, default=0)) // 10 * 10)


def _cards(rows: list[dict], photos: Mapping[str, Shown]) -> list[dict]:
    """The rows, printable, with their pictures."""
    cards = []
    for row in rows:
        found = photos.get(row['photo'])
        cards.append(
            clean(row)
            | {
                'seen': found and _uri(found.seen),
                'heat': found and found.heat and _uri(found.heat),
            }
        )
    return cards


def _uri(jpeg: bytes) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'


def clean(value: object) -> object:
    """The same with all text printable, line by line."""
    if isinstance(value, str):
        return '\n'.join(printable(x, LONGEST) for x in value.split('\n'))
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


def matrix(counts: list[list[int]], classes: list[str]) -> dict:
    """The confusion matrix as cells; of many classes the worst."""
    cells = np.array(counts)
    chosen = np.arange(len(classes))
    if len(classes) > MOST_CLASSES:
        mistakes = cells.sum(0) + cells.sum(1) - 2 * cells.diagonal()
        chosen = np.sort(np.argsort(-mistakes, kind='stable')[:SOME_CLASSES])
    return {
        'classes': [classes[i] for i in chosen],
        'left_out': len(classes) - len(chosen),
        'rows': [
            {
                'class': classes[i],
                'cells': [
                    _cell(cells[i], i, j, classes) for j in chosen.tolist()
                ],
            }
            for i in chosen.tolist()
        ],
    }


def _cell(row: np.ndarray, i: int, j: int, classes: list[str]) -> dict:
    count, photos = int(row[j]), int(row.sum())
    share = count / max(1, photos)
    # A few mistakes are what one looks for: the root lifts them. At most as
    # dark as text on it stays readable.
    strength = 0.15 + 0.4 * share if i == j else 0.15 + 0.55 * sqrt(share)
    what = 'named right' if i == j else f'taken for {classes[j]}'
    return {
        'count': count,
        'kind': 'right' if i == j else 'wrong',
        'strength': f'{strength:.2f}',
        'words': f'{classes[i]} {what}: {count} of {photos}',
    }


def _render(name: str, view: dict) -> str:
    import jinja2
    import markupsafe

    folder = resources.files('flower_mm.report') / 'templates'
    script = (folder / 'sort.js').read_text(encoding='utf-8')
    digest = hashlib.sha256(script.encode()).digest()
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: (folder / name).read_text(encoding='utf-8')
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        'one': words.one,
        # As with one: what is less than 100 does not look like it.
        'whole': lambda value: f'{99 if 99 < value < 100 else value:.0f}',
        'average': words.average,
        'photos': lambda count: words.plural(count, 'photo'),
        'css': lambda value: f'{value:.2f}',
    }
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{base64.b64encode(digest).decode()}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(name).render(
        **view,
        policy=policy,
        # Our own, besides matplotlib's pictures the only text not escaped.
        style=markupsafe.Markup((folder / 'page.css').read_text('utf-8')),
        script=markupsafe.Markup(script),
    )
