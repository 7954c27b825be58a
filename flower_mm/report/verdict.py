"""Whether one run is better than another, in sentences."""

from flower_mm.report.words import NBSP, measured_on, plural, written


def asked(facts: dict) -> list[str]:
    """Which photos the figures are of, and what that makes of them."""
    kinds: dict[str, list[str]] = {}
    runs = [run for run in facts['runs'] if run['result']]
    for run in runs:
        kind = f'{measured_on(run["measured"])} photo'
        what = plural(run['result']['photos'], kind)
        different = run['result']['different']
        if different < run['result']['photos']:
            what += f', of which {different} are different'
        kinds.setdefault(what, []).append(run['name'])
    sentences = [
        f'Measured on {what}.'
        if len(kinds) == 1
        else f'{", ".join(names)}: measured on {what}.'
        for what, names in kinds.items()
    ]
    splits = {run['measured']['split'] for run in runs}
    if 'val' in splits and any(
        (run['run']['result']['epochs'] or 0) > 1 for run in runs
    ):
        sentences.append(
            'Validation photos also chose which epoch of a run to keep, so '
            'its figure flatters a little. Test photos (--split test) give '
            'one that does not.'
        )
    if 'test' in splits:
        sentences.append(
            'Test photos had no say in the training; to choose a run by '
            'them makes the figure of the chosen one flatter, too.'
        )
    if any(
        run['result']['different'] < run['result']['photos'] for run in runs
    ):
        sentences.append(
            'The comparison below counts equal photos one by one, and is '
            'surer than it should be.'
        )
    return sentences


def compared(pair: dict) -> list[str]:
    """Whether the second run is better than the first, and how sure."""
    if pair['why']:
        return [pair['why']]
    first, second = pair['first'], pair['second']
    worse, better = pair['right_then_wrong'], pair['wrong_then_right']
    low, high = pair['difference_interval']
    level = f'{pair["interval_level"]:.3g}{NBSP}%'
    if not worse + better:
        return [
            f'{second} is right and wrong on the same photos as {first}: no '
            f'difference on {pair["photos"]} photos, {level} interval '
            f'{signed(low)} to {signed(high)} points.'
        ]
    sentences = [
        f'{second} is right on {plural(better, "photo")} that {first} got '
        f'wrong, and wrong on {worse} that {first} got right: '
        f'{signed(pair["difference"])} points of {pair["photos"]} photos, '
        f'{level} interval {signed(low)} to {signed(high)}.'
    ]
    p = pair['p']
    often = f'{100 * p:.0f} of 100' if p >= 0.01 else 'fewer than 1 of 100'
    sentences.append(
        f'Two equally good models would differ that much in {often} cases '
        f'(exact McNemar test, p = {p:.2g}): '
        + (
            'hardly chance.'
            if pair['more_than_chance']
            else 'that may well be chance.'
        )
    )
    if (low > 0 or high < 0) != pair['more_than_chance']:
        sentences.append(
            'Interval and test, which is the stricter of the two, do not '
            'agree: it is a close call, and more photos would tell.'
        )
    return sentences


def signed(value: float) -> str:
    # What is not 0 does not look like it.
    places = 2 if 0 < abs(value) < 0.05 else 1
    return f'{value:+.{places}f}'.replace('-', '\u2212')


def caution(facts: dict) -> str:
    text = (
        'This is about the photos, not about luck in training: another seed '
        'alone moves the figure, too. To know by how much, train each with '
        '--seed 1 and --seed 2 as well.'
    )
    tests = len(facts['pairs'])
    if tests > 1:
        text = (
            f'Of {tests} comparisons one looks good by chance the more '
            f'easily: each has to reach p < {0.05 / tests:.2g}, and the '
            f'intervals are as much wider. {text}'
        )
    return text


def footer(facts: dict) -> str:
    return (
        f'{written(facts)} The figures of this page are in the JSON file '
        'beside it. This file fetches nothing from anywhere.'
    )
