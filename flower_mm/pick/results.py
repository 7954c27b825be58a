"""Compare the probed backbones; write pick.csv and pick.json."""

import json
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from flower_mm.commands import command
from flower_mm.csv_files import write_row
from flower_mm.files import replacing
from flower_mm.packaged_configs import config_path, typed_config
from flower_mm.report.formatting import one_decimal, signed
from flower_mm.report.metrics import wilson
from flower_mm.report.paired_tests import difference

CSV, JSON, PNG = 'pick.csv', 'pick.json', 'pick.png'
# Training takes this many times as long as the forward passes of its photos:
# 2.8 to 4.4 times in benchmarks/results/throughput.csv.
TRAINING = 4
COLUMNS = ('backbone', 'accuracy, % (95 % interval)', 'minus the best',
           'images/s', 'parameters', 'licence')  # fmt: skip
NOTES = """\
* worse beyond chance, by a paired test corrected for all pairs
Accuracy is that of a linear classifier on the features of the pretrained
backbone, which `train` with --head-only makes. Fine-tuning can raise it, and
can change the order."""


@dataclass
class Result:
    """The linear probe of a backbone."""

    name: str
    words: list[str]  # of `train`
    correct: np.ndarray  # (photos,) of the out-of-fold predictions
    effective: float  # number of photos as evidence
    photos_per_second: float
    trained_photos: int  # in all epochs of the training
    facts: dict  # further columns
    to_best: dict = field(default_factory=dict)  # its difference

    @property
    def accuracy(self) -> float:
        return 100 * float(self.correct.mean())

    @property
    def interval(self) -> list[float]:
        share = float(self.correct.mean())
        return wilson(share * self.effective, self.effective) or [0.0, 100.0]

    @property
    def is_worse(self) -> bool:
        """Whether the best one is better beyond chance."""
        return self.to_best.get('significant', False)

    @property
    def training_seconds(self) -> float:
        return TRAINING * self.trained_photos / self.photos_per_second

    def command(self) -> str:
        """Return the command that trains it, as this user types it."""
        config, *options = self.words
        config = typed_config(config_path(config))
        return command('train', config, *options)

    def row(self) -> dict:
        ends = self.to_best.get('difference_interval', (None, None))
        values = {
            'accuracy': self.accuracy,
            'accuracy_low': self.interval[0],
            'accuracy_high': self.interval[1],
            'difference': self.to_best.get('difference'),
            'difference_low': ends[0],
            'difference_high': ends[1],
            'photos_per_second': self.photos_per_second,
        }
        return {
            'backbone': self.name,
            'status': 'measured',
            'photos': len(self.correct),
            **{k: v and round(float(v), 2) for k, v in values.items()},
            'worse_beyond_chance': self.is_worse,
            **self.facts,
            'command': self.command(),
            'training_seconds': round(self.training_seconds),
        }

    def cells(self) -> list[str]:
        """Return the cells of COLUMNS."""
        low, high = map(one_decimal, self.interval)
        minus = ''
        if self.to_best:
            ends = map(signed, self.to_best['difference_interval'])
            minus = signed(self.to_best['difference'])
            minus += f' ({" to ".join(ends)}){"*" * self.is_worse}'
        return [
            self.name,
            f'{one_decimal(self.accuracy)} ({low} to {high})',
            minus,
            f'{self.photos_per_second:.0f}',
            f'{self.facts["parameters"] / 1e6:.1f} M',
            self.facts['licence'],
        ]


def rank(results: list[Result]) -> list[Result]:
    """Sort by accuracy and compare each with the first one."""
    ranked = sorted(results, key=lambda r: (-r.accuracy, -r.photos_per_second))
    for result in ranked:
        result.to_best = {}
        if result is not ranked[0]:
            result.to_best = _compare(ranked[0], result, len(ranked))
    return ranked


def _compare(first: Result, second: Result, count: int) -> dict:
    """Test a difference; any pair of `count` could have been chosen."""
    return difference(
        int((first.correct & ~second.correct).sum()),
        int((~first.correct & second.correct).sum()),
        len(first.correct),
        count * (count - 1) // 2,
    )


def faster(ranked: list[Result]) -> Result | None:
    """Return the fastest one that is not worse than the best beyond chance."""
    fastest = max(
        (result for result in ranked if not result.is_worse),
        key=lambda result: result.photos_per_second,
    )
    return None if fastest is ranked[0] else fastest


def write(
    ranked: list[Result], others: list[dict], head: dict, out: Path
) -> None:
    """Write pick.csv and pick.json.

    Args:
        ranked: The measured backbones, the best first.
        others: Rows of the others, whose status is the reason.
        head: What pick.json begins with.
        out: The folder.
    """
    rows = [result.row() for result in ranked]
    rows += [dict.fromkeys(rows[0]) | other for other in others]
    with replacing(out / CSV, 'w') as file:
        write_row(file, rows[0])
        for row in rows:
            write_row(file, row.values())
    second = faster(ranked)
    pairs = [
        {'first': first.name, 'second': second.name}
        | _compare(first, second, len(ranked))
        for first, second in combinations(ranked, 2)
    ]
    names = {'best': ranked[0].name, 'faster': second and second.name}
    with replacing(out / JSON, 'w') as file:
        record = {**head, **names, 'backbones': rows, 'pairs': pairs}
        json.dump(record, file, indent=2, ensure_ascii=False)
        file.write('\n')


def text(ranked: list[Result]) -> str:
    """Return the table, and the commands of the best and of a faster one."""
    rows = [list(COLUMNS), *(result.cells() for result in ranked)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '  '.join(map(str.ljust, row, widths)).rstrip() for row in rows
    ] + [NOTES]
    for title, result in (
        ('most accurate', ranked[0]),
        ('faster, and not worse beyond chance', faster(ranked)),
    ):
        if result:
            lines += [
                f'\n{title}: {result.name}, training takes about '
                f'{max(1, round(result.training_seconds / 60))} min',
                f'  {result.command()}',
            ]
    return '\n'.join(lines)
