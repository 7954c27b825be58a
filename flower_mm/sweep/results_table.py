"""The results of a comparison: a row for each run, a table of the configs."""

import csv
import signal
import textwrap
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean

from flower_mm.csv_files import read_dicts, write_row
from flower_mm.exit_codes import INTERRUPTED, TERMINATED
from flower_mm.files import replacing
from flower_mm.layout import RunDir
from flower_mm.report.learning_curves import phases, read_scalars
from flower_mm.sweep.trial import LOG, Trial

CSV, MARKDOWN = 'compare.csv', 'compare.md'


def row(trial: Trial, code: int) -> dict:
    """Return the row of a run in compare.csv; missing values are None."""
    error, record = failure(trial, code), trial.record()
    result = record.get('result', {})
    parameters = record.get('parameters', {})
    photos = record.get('photos', {})
    versions = record.get('versions', {}).items()
    started = datetime.fromtimestamp(trial.started()).astimezone()
    return {
        'config': trial.config.stem,
        'seed': trial.seed,
        'status': 'failed' if error else 'finished',
        'epochs': result.get('epochs'),
        'best_top1': _round(result.get('best_top1')),
        'best_epoch': result.get('best_epoch'),
        'last_top1': _round(_last_accuracy(trial.folder)),
        'seconds': round(trial.seconds(), 1),
        'at_once': trial.at_once(),
        'parameters': parameters.get('all'),
        'trained_parameters': parameters.get('trained'),
        'train': photos.get('train'),
        'val': photos.get('val'),
        'optim_wrapper': record.get('optim_wrapper'),
        'device': record.get('device'),
        'lists_sha256': record.get('lists_sha256'),
        'versions': ' '.join(f'{name} {number}' for name, number in versions),
        'started': started.isoformat('T', 'seconds'),
        'error': error,
        'folder': str(trial.folder),
    }


def failure(trial: Trial, code: int) -> str | None:
    """Return why a training has no result: its last error or line."""
    if code == 0 and trial.is_done():
        return None
    if code < 0:
        return _killed(-code)
    if code == 0:
        return (
            'run.json is missing or incomplete: expected '
            'default_hooks.record in the config'
        )
    if code in (INTERRUPTED, TERMINATED):
        return 'stopped; resume with the same command'
    lines = trial.output()
    errors = [n for n, line in enumerate(lines) if line.startswith('error: ')]
    if errors:
        return ' '.join(lines[errors[-1] :]).removeprefix('error: ')
    return lines[-1] if lines else f'exit code {code} without output'


def _killed(number: int) -> str:
    names = {known.value: known.name for known in signal.Signals}
    error = f'killed by {names.get(number, f"signal {number}")}'
    if names.get(number) == 'SIGKILL':
        error += (
            ', probably out of memory. Try fewer --jobs or smaller batches'
        )
    return error


def _last_accuracy(folder: Path) -> float | None:
    path = folder / RunDir.SCALARS
    if not path.is_file():
        return None
    _, validated = phases(read_scalars(path))
    return validated[-1]['accuracy/top1'] if validated else None


def _round(value: float | None) -> float | None:
    # Four digits, so that a mean of them is exact in the second.
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class ConfigResult:
    """The finished runs of a config."""

    config: str
    runs: list[dict]

    def values(self, key: str) -> list[float]:
        return [run[key] for run in self.runs if run[key] is not None]

    @property
    def mean(self) -> float:
        return mean(self.values('best_top1'))

    @property
    def lowest(self) -> float:
        return min(self.values('best_top1'))

    @property
    def highest(self) -> float:
        return max(self.values('best_top1'))


def config_results(rows: list[dict]) -> list[ConfigResult]:
    """Group the rows by config, the best mean accuracy first."""
    runs: dict[str, list[dict]] = {}
    for run in rows:
        if run['status'] == 'finished' and run['best_top1'] is not None:
            runs.setdefault(run['config'], []).append(run)
    results = [ConfigResult(config, own) for config, own in runs.items()]
    return sorted(results, key=lambda result: -result.mean)


def rank(result: ConfigResult, results: list[ConfigResult]) -> str:
    """Return the ranks that the range of a config allows, as `2 to 4`.

    One config is ahead of another if all its runs are. A single run has no
    range, and so no rank.
    """
    if len(result.runs) < 2:
        return ''
    ranked = _with_range(results)
    ahead = sum(other.lowest > result.highest for other in ranked)
    behind = sum(other.highest < result.lowest for other in ranked)
    first, last = 1 + ahead, len(results) - behind
    return str(first) if first == last else f'{first} to {last}'


def overlaps(result: ConfigResult, results: list[ConfigResult]) -> list[str]:
    """Return the configs whose range of accuracies overlaps this one."""
    if len(result.runs) < 2:
        return []
    return [
        other.config
        for other in _with_range(results)
        if other != result
        and other.lowest <= result.highest
        and other.highest >= result.lowest
    ]


def _with_range(results: list[ConfigResult]) -> list[ConfigResult]:
    return [result for result in results if len(result.runs) > 1]


def markdown(rows: list[dict]) -> str:
    """Return the text of compare.md."""
    results = config_results(rows)
    text = _table(results) if results else 'No accuracies to compare.\n'
    if (most := max((run['at_once'] for run in rows), default=1)) > 1:
        text += (
            f'\nUp to {most} trainings ran at the same time; alone, each is '
            'faster.\n'
        )
    for run in rows:
        name = f'{run["config"]}, seed {run["seed"]}'
        if run['status'] == 'failed':
            log = Path(run['folder']) / LOG
            text += f'\nFailed: {name}: {run["error"]} (`{log}`)\n'
        elif run['best_top1'] is None:
            text += f'\nAccuracy not measured: {name}\n'
    return text


def _table(results: list[ConfigResult]) -> str:
    heads = [
        'rank', 'config', 'best top-1, %', 'overlaps with',
        'last epoch, %', 'runs', 'epochs', 'seconds per run', 'parameters',
        'trained parameters',
    ]  # fmt: skip
    cells = [
        [
            rank(result, results),
            result.config,
            _range(result.values('best_top1')),
            ', '.join(overlaps(result, results)),
            _range(result.values('last_top1')),
            str(len(result.runs)),
            _range(result.values('epochs'), '{:.0f}'),
            _range(result.values('seconds'), '{:.0f}'),
            _range(result.values('parameters'), '{:,.0f}'),
            _range(result.values('trained_parameters'), '{:,.0f}'),
        ]
        for result in results
    ]
    table = [heads, ['---', '---', *['---:'] * (len(heads) - 2)], *cells]
    text = ''.join(f'| {" | ".join(line)} |\n' for line in table)
    notes = (
        'Mean and range over the runs. Best is the epoch with the highest '
        'validation accuracy, which is therefore optimistic.'
    )
    if _with_range(results):
        notes += (
            ' A config ranks ahead of another if all its runs are better; '
            'ranges that overlap leave the rank open.'
        )
    if len(_with_range(results)) < len(results):
        notes += ' Configs with a single run have no rank: add --seeds.'
    return f'{text}\n{textwrap.fill(notes, 79)}\n'


def _range(values: list[float], form: str = '{:.2f}') -> str:
    if not values:
        return ''
    low, middle, high = (
        form.format(value)
        for value in (min(values), mean(values), max(values))
    )
    return middle if low == high else f'{middle} ({low} to {high})'


def other_rows(folder: Path, trials: list[Trial]) -> int:
    """Count the rows of compare.csv that the new table will not have."""
    # The last two folders, so that the spelling of --out is irrelevant.
    path, planned = folder / CSV, {trial.folder.parts[-2:] for trial in trials}
    if not path.is_file():
        return 0
    with path.open(newline='', encoding='utf-8', errors='replace') as file:
        try:
            rows = list(read_dicts(file))
        except csv.Error:
            rows = []
    folders = [Path(run.get('folder') or '').parts[-2:] for run in rows]
    return sum(folder not in planned for folder in folders)


def write(folder: Path, rows: list[dict]) -> str:
    """Replace compare.csv and compare.md; return the text of the latter."""
    text = markdown(rows)
    with replacing(folder / CSV, 'w') as file:
        write_row(file, rows[0])
        for run in rows:
            write_row(file, run.values())
    with replacing(folder / MARKDOWN, 'w') as file:
        file.write(text)
    return text
