"""What the user reads at the end: all of it in a file, the gist on screen."""

from dataclasses import dataclass, field
from pathlib import Path

FIRST = 10  # of a list on the screen
ROWS = 40  # classes on the screen
# How titles of report.txt begin; flower_mm.report finds its parts by them.
CONFLICTS = 'Conflicts: identical photos under two classes'
LABEL_ERRORS = 'Possible label errors: near-duplicates under two classes, kept'
DUPLICATES = 'Near-duplicates, each group on one side of the split'
TORN = 'Left out: near-duplicates of earlier photos on two sides'


@dataclass
class Report:
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    conflicts: list[list[str]] = field(default_factory=list)
    dropped: bool = True  # the conflicts
    label_errors: list[list[str]] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    rewritten: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        parts = [
            '\n'.join(self._table()),
            *self.remarks,
            _part('Cannot be used', _reasons(self.bad)),
            _part(self._conflict_title(), _groups(self.conflicts)),
            _part(LABEL_ERRORS, _groups(self.label_errors)),
            _part(TORN, self.torn),
            _part(DUPLICATES, _groups(self.duplicates)),
            _part('Rewritten as PNG', _reasons(self.rewritten)),
            _part('Used as they are', _reasons(self.notes)),
        ]
        return '\n\n'.join(part for part in parts if part) + '\n'

    def screen(self, file: Path) -> str:
        lines = self._table(ROWS) + self.remarks
        if self.duplicates:
            lines.append(
                f'{len(self.duplicates)} groups of near-duplicates, each on '
                'one side of the split'
            )
        for items, title in (
            (_groups(self.conflicts), self._conflict_title()),
            (_groups(self.label_errors), LABEL_ERRORS),
            (_reasons(self.bad), 'Cannot be used'),
            (self.torn, TORN),
        ):
            if items:
                lines.append(f'{title} ({len(items)}):')
                lines += first(items)
        if self.rewritten:
            lines.append(f'{len(self.rewritten)} photos rewritten as PNG')
        if self.notes:
            lines.append(f'{len(self.notes)} photos with a remark')
        return '\n'.join([*lines, f'All of it is in {file}'])

    def _conflict_title(self) -> str:
        kept = 'left out' if self.dropped else 'kept'
        return f'{CONFLICTS}, {kept}'

    def _table(self, rows: int | None = None) -> list[str]:
        sides = list(self.counts)
        classes = list(self.counts[sides[0]])
        some = classes[:rows]
        wide = max(len(name) for name in (*some, 'class', 'total'))
        lines = [f'{"class":{wide}}' + ''.join(f'{s:>9}' for s in sides)]
        for name in some:
            cells = ''.join(f'{self.counts[s][name]:9}' for s in sides)
            lines.append(f'{name:{wide}}{cells}')
        if len(some) < len(classes):
            lines.append(f'... and {len(classes) - len(some)} more classes')
        sums = ''.join(f'{sum(self.counts[s].values()):9}' for s in sides)
        return [*lines, f'{"total":{wide}}{sums}']


def first(items: list[str], most: int = FIRST) -> list[str]:
    lines = [f'  {item}' for item in items[:most]]
    if len(items) > most:
        lines.append(f'  ... and {len(items) - most} more')
    return lines


def _reasons(reasons: dict[str, str]) -> list[str]:
    return [f'{path}: {why}' for path, why in sorted(reasons.items())]


def _groups(groups: list[list[str]]) -> list[str]:
    return [' = '.join(group) for group in groups]


def _part(title: str, items: list[str]) -> str:
    return '\n'.join([f'{title} ({len(items)}):', *items]) if items else ''
