"""What came out: a row for each run, and a table of the configs."""

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

CSV = 'compare.csv'


def row(trial: Trial, code: int) -> dict:
    """One run as compare.csv has it; empty is what did not come about."""
    why, record = failure(trial, code), trial.record()
    result = record.get('result', {})
    parameters = record.get('parameters', {})
    photos = record.get('photos', {})
    versions = record.get('versions', {}).items()
    return {
        'config': trial.config.stem,
        'seed': trial.seed,
        'status': 'failed' if why else 'finished',
        'epochs': result.get('epochs'),
        'best_top1': _round(result.get('best_top1')),
        'best_epoch': result.get('best_epoch'),
        'last_top1': _round(_last(trial.folder)),
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
        'started': datetime.fromtimestamp(trial.started())
        .astimezone()
        .isoformat('T', 'seconds'),
        'error': why,
        'folder': str(trial.folder),
    }


def failure(trial: Trial, code: int) -> str | None:
    """Why a training has no result: the last thing that it said."""
    if code == 0 and trial.done():
        return None
    said = trial.said()
    if code < 0:
        return _killed(-code)
    if code == 0:
        return (
            'it ended well, and left no run.json that says so: '
            'default_hooks.record writes it'
        )
    if code in (INTERRUPTED, TERMINATED):
        return 'told to stop; the same comparison goes on with it'
    errors = [n for n, line in enumerate(said) if line.startswith('error: ')]
    if errors:
        return ' '.join(said[errors[-1] :]).removeprefix('error: ')
    return (said or ['it said nothing'])[-1]


def _killed(number: int) -> str:
    known = {one.value: one.name for one in signal.Signals}
    why = f'killed by {known.get(number, f"signal {number}")}'
    if known.get(number) == 'SIGKILL':
        why += (
            ', as a machine does that runs out of memory: fewer --jobs, or '
            '--cfg-options train_dataloader.batch_size=N'
        )
    return why


def _last(folder: Path) -> float | None:
    path = folder / RunDir.SCALARS
    if not path.is_file():
        return None
    _, validated = phases(read_scalars(path))
    return validated[-1]['accuracy/top1'] if validated else None


def _round(value: float | None) -> float | None:
    # Of rounded ones, a mean would be another in its second digit.
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class Line:
    """A config in the table: all its runs that came to their end."""

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


def lines(rows: list[dict]) -> list[Line]:
    """The best mean first."""
    runs: dict[str, list[dict]] = {}
    for one in rows:
        if one['status'] == 'finished' and one['best_top1'] is not None:
            runs.setdefault(one['config'], []).append(one)
    found = [Line(config, of_it) for config, of_it in runs.items()]
    return sorted(found, key=lambda line: -line.mean)


def place(line: Line, among: list[Line]) -> str:
    """First to last place that its range leaves open, as `2 to 4`.

    One is behind another for certain where all its runs are. Of a single
    run, nothing is certain.
    """
    if len(line.runs) < 2:
        return ''
    sure = _with_range(among)
    ahead = sum(other.lowest > line.highest for other in sure)
    behind = sum(other.highest < line.lowest for other in sure)
    first, last = 1 + ahead, len(among) - behind
    return str(first) if first == last else f'{first} to {last}'


def overlaps(line: Line, among: list[Line]) -> list[str]:
    """The configs that it is neither ahead of nor behind with every run."""
    if len(line.runs) < 2:
        return []
    return [
        other.config
        for other in _with_range(among)
        if other != line
        and other.lowest <= line.highest
        and other.highest >= line.lowest
    ]


def _with_range(among: list[Line]) -> list[Line]:
    return [line for line in among if len(line.runs) > 1]


def markdown(rows: list[dict]) -> str:
    """What compare.md says."""
    found = lines(rows)
    text = _table(found) if found else 'There are no accuracies to compare.\n'
    if (most := max((one['at_once'] for one in rows), default=1)) > 1:
        text += f'\nUp to {most} ran at a time: alone each takes less.\n'
    for one in rows:
        name = f'{one["config"]}, seed {one["seed"]}'
        if one['status'] == 'failed':
            log = Path(one['folder']) / LOG
            text += f'\nFailed: {name}: {one["error"]} (`{log}`)\n'
        elif one['best_top1'] is None:
            text += f'\nNo accuracy was measured: {name}\n'
    return text


def _table(found: list[Line]) -> str:
    heads = (
        'place', 'config', 'best top-1, %', 'overlaps with',
        'of the last epoch', 'runs', 'epochs', 's a run', 'parameters',
        'trained',
    )  # fmt: skip
    cells = [
        [
            place(line, found),
            line.config,
            _range(line.values('best_top1')),
            ', '.join(overlaps(line, found)),
            _range(line.values('last_top1')),
            str(len(line.runs)),
            _range(line.values('epochs'), '{:.0f}'),
            _range(line.values('seconds'), '{:.0f}'),
            _range(line.values('parameters'), '{:,.0f}'),
            _range(line.values('trained_parameters'), '{:,.0f}'),
        ]
        for line in found
    ]
    table = [
        list(heads),
        ['---', '---', *['---:'] * (len(heads) - 2)],
        *cells,
    ]
    text = ''.join(f'| {" | ".join(one)} |\n' for one in table)
    about = (
        'Mean and range over the runs; of each run the best epoch, which was '
        'chosen by the val photos themselves.'
    )
    if _with_range(found):
        about += (
            ' A place is known by who is ahead or behind with every run; '
            'ranges that overlap leave it open.'
        )
    if any(len(line.runs) < 2 for line in found):
        about += (
            ' Another seed may move those of one run: they have no place, '
            'and leave open that of others.'
        )
    return f'{text}\n{textwrap.fill(about, 79)}\n'


def _range(values: list[float], shape: str = '{:.2f}') -> str:
    if not values:
        return ''
    ends = [shape.format(value) for value in (min(values), max(values))]
    middle = shape.format(mean(values))
    return middle if ends[0] == ends[1] else f'{middle} ({" to ".join(ends)})'


def other_runs(folder: Path, trials: list[Trial]) -> int:
    """How many rows of an earlier comparison the new table will not have."""
    # The config's folder and the seed's, however --out was spelled.
    path, planned = folder / CSV, {trial.folder.parts[-2:] for trial in trials}
    if not path.is_file():
        return 0
    with path.open(newline='', encoding='utf-8', errors='replace') as file:
        try:
            rows = list(read_dicts(file))
        except csv.Error:
            rows = []  # damaged, so of no comparison
    folders = [Path(row.get('folder') or '').parts[-2:] for row in rows]
    return sum(folder not in planned for folder in folders)


def write(folder: Path, rows: list[dict]) -> str:
    """Replace compare.csv and compare.md; return what the latter says."""
    text = markdown(rows)
    with replacing(folder / CSV, 'w') as file:
        write_row(file, rows[0])
        for one in rows:
            write_row(file, one.values())
    with replacing(folder / 'compare.md', 'w') as file:
        file.write(text)
    return text
