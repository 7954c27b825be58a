"""From runs to a row of results/time_to_accuracy.csv."""

from math import inf
from statistics import median

from benchmarks.time_to_accuracy.watch import Run

LEVELS = (85, 88, 90, 92)  # top-1, %


def seconds_to(level: float, validations: list[tuple[float, float]]) -> float:
    """When a validation first was this good; infinite where none was."""
    return min((s for s, top1 in validations if top1 >= level), default=inf)


def photos_a_second(run: Run, photos: int) -> float | None:
    """Train photos a second, validations and all between them included.

    From the first validation to the last: that leaves out the start. None
    where there is only one.
    """
    (first, _), (last, _) = run.validations[0], run.validations[-1]
    if last == first:
        return None
    return photos * (len(run.validations) - 1) / (last - first)


def row(runs: list[Run], photos: int) -> dict:
    """Median, minimum and maximum of each figure over the runs.

    `each_epoch` has seconds:top1 of each validation, the runs apart by a
    slash. A figure is empty where it is not reached or cannot be told.
    """
    runs = [_rounded(run) for run in runs]
    figures: dict[str, tuple[int, list[float | None]]] = {
        f'seconds_to_{level}': (
            1,
            [seconds_to(level, run.validations) for run in runs],
        )
        for level in LEVELS
    }
    figures |= {
        'top1': (2, [max(top1 for _, top1 in r.validations) for r in runs]),
        'seconds': (1, [run.seconds for run in runs]),
        'photos_a_second': (1, [photos_a_second(r, photos) for r in runs]),
        'peak_mb': (0, [run.peak / 1e6 or None for run in runs]),
        'cpu_seconds': (0, [run.cpu_seconds for run in runs]),
    }
    row = {'runs': len(runs)}
    for name, (digits, values) in figures.items():
        known = [value for value in values if value is not None]
        for end, of in (('', median), ('_min', min), ('_max', max)):
            value = of(known) if known else inf
            row[name + end] = '' if value == inf else f'{value:.{digits}f}'
    row['each_epoch'] = ' / '.join(
        ' '.join(f'{s:.1f}:{top1:.2f}' for s, top1 in run.validations)
        for run in runs
    )
    return row


def validations_of(row: dict) -> list[list[tuple[float, float]]]:
    """What `each_epoch` of a row says, a list for each run."""
    return [
        [
            tuple(float(part) for part in pair.split(':'))
            for pair in run.split()
        ]
        for run in row['each_epoch'].split(' / ')
    ]


def _rounded(run: Run) -> Run:
    """As the row shows it, so that both say the same."""
    return Run(
        [(round(s, 1), round(top1, 2)) for s, top1 in run.validations],
        run.seconds,
        run.cpu_seconds,
        run.peak,
    )
