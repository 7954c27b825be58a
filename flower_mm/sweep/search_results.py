"""search.csv and search.html."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from flower_mm.csv_files import write_row
from flower_mm.files import replacing
from flower_mm.report.charts import BLUE, GREEN, GREY, Chart, draw
from flower_mm.report.html import clean, render
from flower_mm.sweep.plan_search import SearchPlan
from flower_mm.sweep.results_table import config_results, rank, row
from flower_mm.sweep.search_photos import interval
from flower_mm.sweep.search_rules import Point
from flower_mm.sweep.search_study import SearchStudy, trial_folder
from flower_mm.sweep.trial import Trial

CSV, PAGE, TEMPLATE = 'search.csv', 'search.html', 'search.html.j2'
STATES = {
    TrialState.COMPLETE: 'finished',
    TrialState.PRUNED: 'stopped',
    TrialState.FAIL: 'failed',
    TrialState.RUNNING: 'running',
}
STYLE = '.across .plot svg { max-width: 62rem; }'
WIDE = (7.4, 4.0)  # inches
LINES = 300  # in the chart of parallel coordinates: the best trials
ROWS = 1000  # trials on the page


def write_results(
    plan: SearchPlan, study: SearchStudy, finalists: list[Any]
) -> None:
    """Write search.csv and search.html; print the final trainings."""
    points = study.latest()
    rows = [_row(plan, point) for point in points]
    for finalist in finalists:
        for trial, measured in zip(
            finalist.runs, finalist.measured, strict=False
        ):
            rows.append(
                _row(plan, finalist.point, trial)
                | {'stage': 'final', 'measured_top1': round(measured, 4)}
            )
    # A trial that never started lacks the columns of its run.
    columns = list(dict.fromkeys(key for cells in rows for key in cells))
    with replacing(plan.folder / CSV, 'w') as file:
        write_row(file, columns)
        for cells in rows:
            write_row(file, [cells.get(key) for key in columns])
    finals = _finals(plan, finalists)
    for final in finals:
        print(
            f'{final["trial"]}: {final["measured"]} %, by seed '
            f'{final["range"]}, 95 % interval {final["interval"]} '
            f'({final["photos"]} photos that the search did not use)'
        )
    view = {
        'name': plan.folder.resolve().name,
        'trials': sorted(
            rows[: len(points)], key=lambda cells: -(cells['value'] or 0)
        )[:ROWS],
        'count': len(points),
        'params': list(plan.space),
        'finals': finals,
        'deciding': len(plan.photos.deciding),
        'measuring': len(plan.photos.measuring),
        'seed': plan.seed,
        'charts': _charts(plan, study, points, rows),
    }
    view |= {
        key: clean(view[key]) for key in ('name', 'trials', 'params', 'finals')
    }
    with replacing(plan.folder / PAGE, 'w') as file:
        file.write(render(TEMPLATE, view, STYLE))


def _row(
    plan: SearchPlan, point: Point, trial: Trial | None = None
) -> dict[str, Any]:
    folder = trial_folder(plan.folder, point.index)
    trial = trial or Trial(
        Path(f'{folder.name}.py'), plan.seed, 0, folder / f'seed_{plan.seed}',
        '', (),
    )  # fmt: skip
    values = point.values.values()
    cells = {
        'stage': 'search',
        'trial': point.index,
        'state': STATES[point.state],
        # A stopped trial has the accuracy until then.
        'value': point.value if point.value is not None
        else max(values, default=None),
        'measured_top1': None,
        **{f'param {key}': value for key, value in point.params.items()},
    }  # fmt: skip
    if (trial.folder / 'trial.json').is_file():
        cells |= row(trial, 0)
    cells |= {'config': plan.config_of(point.params).name}
    cells.pop('status', None)
    return cells | {'error': point.error}


def _finals(plan: SearchPlan, finalists: list[Any]) -> list[dict[str, Any]]:
    finals = [_final(plan, finalist) for finalist in finalists]
    results = config_results(
        [
            {'config': final['trial'], 'status': 'finished', 'best_top1': top1}
            for final, finalist in zip(finals, finalists, strict=True)
            for top1 in finalist.top1
        ]
    )
    for result in results:
        for final in finals:
            if final['trial'] == result.config:
                final['rank'] = rank(result, results) or '-'
    return finals


def _final(plan: SearchPlan, finalist: Any) -> dict[str, Any]:
    correct = np.stack(finalist.correct).mean(axis=0)
    low, high = interval(float(correct.sum()), len(correct))
    runs = finalist.measured
    return {
        'trial': f'trial {finalist.point.index}',
        'params': {
            key: f'{value:.4g}' if isinstance(value, float) else str(value)
            for key, value in finalist.point.params.items()
        },
        'decided': f'{np.mean(finalist.top1):.2f}',
        'decided_range': _range(finalist.top1),
        'measured': f'{np.mean(runs):.2f}',
        'range': _range(runs),
        'interval': f'{low:.2f} to {high:.2f}',
        'photos': len(correct),
        'seeds': len(runs),
    }


def _range(values: list[float]) -> str:
    return f'{min(values):.2f} to {max(values):.2f}'


# --- charts ------------------------------------------------------------------


def _charts(
    plan: SearchPlan,
    study: SearchStudy,
    points: list[Point],
    rows: list[dict[str, Any]],
) -> list[Chart]:
    done = [p for p in points if p.value is not None]
    charts = []
    if done:
        charts.append(_chart('Accuracy by trial, %', _history, points))
        charts.append(
            _chart('Seconds by trial', _seconds, rows[: len(points)])
        )
    if len(done) > 3:
        if importances := _importances(study):
            charts.append(
                _chart('Importance of the parameters', _bars, importances)
            )
        best = sorted(done, key=lambda p: -(p.value or 0))[:LINES]
        title = 'Parallel coordinates: the best tenth in green'
        charts.append(_chart(title, _parallel, plan, best, size=WIDE))
    return charts


def _chart(title: str, function: Any, *args: object, **options: Any) -> Chart:
    return Chart(title, draw(title, function, *args, **options))


def _history(axis, points: list[Point]) -> None:
    for state, colour in (
        (TrialState.PRUNED, GREY),
        (TrialState.COMPLETE, BLUE),
    ):
        shown = [p for p in points if p.state == state and p.values]
        axis.plot(
            [p.index for p in shown],
            [p.value if p.value is not None else max(p.values.values())
             for p in shown],
            color=colour, marker='o', markersize=3, linestyle='none',
            label=STATES[state],
        )  # fmt: skip
    done = [p for p in points if p.value is not None]
    best = np.maximum.accumulate([p.value or 0.0 for p in done])
    axis.step(
        [p.index for p in done], best, where='post', color=GREEN, label='best'
    )
    axis.set_xlabel('trial')
    axis.legend(frameon=False)
    axis.grid()


def _seconds(axis, rows: list[dict[str, Any]]) -> None:
    axis.bar(
        [cells['trial'] for cells in rows],
        [cells.get('seconds') or 0 for cells in rows],
        color=BLUE,
    )
    axis.set_xlabel('trial')
    axis.grid(axis='y')


def _importances(study: SearchStudy) -> dict[str, float]:
    import optuna

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of equal accuracies
            return optuna.importance.get_param_importances(study.study)
    except (RuntimeError, ValueError):  # of too few or equal values
        return {}


def _bars(axis, importances: dict[str, float]) -> None:
    names = list(importances)[::-1]
    axis.barh(names, [importances[name] for name in names], color=BLUE)
    axis.set_xlim(left=0)


def _parallel(axis, plan: SearchPlan, points: list[Point]) -> None:
    """Draw a line for each trial, the best ones last and darkest."""
    names = [*plan.space, 'accuracy']
    columns = [
        _scaled([p.params.get(name) for p in points], plan.space.get(name))
        for name in plan.space
    ]
    columns.append(_scaled([p.value for p in points], None))
    lines = np.array(columns).T
    for place, line in reversed(list(enumerate(lines))):
        best = place < max(1, len(points) // 10)
        axis.plot(line, color=GREEN if best else BLUE,
                  alpha=1.0 if best else 0.25, linewidth=1)  # fmt: skip
    axis.set_xticks(range(len(names)), names, rotation=30, ha='right')
    axis.set_yticks([0, 1], ['low', 'high'])
    axis.grid(axis='x')


def _scaled(values: list[Any], distribution: Any) -> np.ndarray:
    """Return values from 0 to 1 over their range."""
    choices = getattr(distribution, 'choices', None)
    if choices:
        numbers = np.array([choices.index(value) for value in values], float)
        low, high = 0.0, float(len(choices) - 1)
    else:
        numbers = np.array(values, float)
        low = getattr(distribution, 'low', numbers.min())
        high = getattr(distribution, 'high', numbers.max())
        if getattr(distribution, 'log', False):
            numbers, low, high = (np.log(x) for x in (numbers, low, high))
    return (numbers - low) / ((high - low) or 1)
