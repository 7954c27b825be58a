"""The report of `flower-mm prepare`, in full and for the screen."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flower_mm.photo_faults import reason_lines

LISTED = 10  # entries of a list on the screen
ROWS = 40  # classes on the screen
SUFFIXES = 5  # of ignored files on the screen
# The titles in report.txt begin like this; flower_mm.report finds its parts
# by them.
UNUSABLE = 'Unusable files'
CONFLICTS = 'Conflicts: identical photos under two classes'
LABEL_ERRORS = 'Possible label errors: near-duplicates under two classes, kept'
DUPLICATES = 'Near-duplicates, each group within one split'
LEAKS = 'Near-duplicates across the published split'
NO_CLASS = 'Photos without a class, left out'
NO_FILE = 'Rows without a file, left out'
REWRITTEN = 'Rewritten as PNG, or as JPEG from HEIC'
OTHER_FILES = 'Other files, ignored'
IN_TWO_SPLITS = 'Left out: near-duplicates of earlier photos in two splits'


@dataclass
class Report:
    """The findings about the photos; dictionaries map a path to a reason."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    rows_without_file: list[str] = field(default_factory=list)
    no_class: dict[str, str] = field(default_factory=dict)
    other_files: list[str] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    drops_conflicts: bool = True
    label_errors: list[list[str]] = field(default_factory=list)
    in_two_splits: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    # Of the split that the source has published.
    leaks: list[list[str]] = field(default_factory=list)
    leak_counts: dict[str, int] = field(default_factory=dict)
    fixes_leaks: bool = False
    rewritten: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the text of report.txt."""
        parts = [
            '\n'.join(self._table()),
            *self.remarks,
            *self._empty_splits(),
            _part(UNUSABLE, _reasons(self.bad)),
            _part(NO_FILE, self.rows_without_file),
            _part(NO_CLASS, _reasons(self.no_class)),
            _part(self._conflict_title(), _groups(self.conflicts)),
            _part(LABEL_ERRORS, _groups(self.label_errors)),
            _part(IN_TWO_SPLITS, self.in_two_splits),
            _part(self._leak_title(), _groups(self.leaks)),
            _part(DUPLICATES, _groups(self.duplicates)),
            _part(
                'Rewritten as PNG, or JPEG for HEIC', _reasons(self.rewritten)
            ),
            _part('Notes on photos', _reasons(self.notes)),
            _part(OTHER_FILES, self.other_files),
        ]
        return '\n\n'.join(part for part in parts if part) + '\n'

    def screen(self, file: Path) -> str:
        """Return a short version that refers to `file` for the full one."""
        lines = self._table(ROWS) + self.remarks + self._empty_splits()
        if self.duplicates:
            lines.append(
                f'{len(self.duplicates)} groups of near-duplicates, each '
                'within one split'
            )
        for items, title in (
            (_groups(self.conflicts), self._conflict_title()),
            (_groups(self.label_errors), LABEL_ERRORS),
            (reason_lines(sorted(self.bad.items())), UNUSABLE),
            (self.rows_without_file, NO_FILE),
            (_reasons(self.no_class), NO_CLASS),
            (self.in_two_splits, IN_TWO_SPLITS),
            (_groups(self.leaks), self._leak_title()),
        ):
            if items:
                lines.append(f'{title} ({len(items)}):')
                lines += first_lines(items)
        if self.rewritten:
            lines.append(f'{len(self.rewritten)} photos rewritten')
        if self.notes:
            lines.append(f'{len(self.notes)} photos with notes')
        if self.other_files:
            lines.append(
                f'{len(self.other_files)} other files ignored: '
                + _suffixes(self.other_files)
            )
        return '\n'.join([*lines, f'Full report: {file}'])

    def left_out(self) -> dict[str, str]:
        """Return the photos that the dataset lacks, with the reasons."""
        left_out = self.bad | self.no_class
        if self.drops_conflicts:
            for paths in self.conflicts:
                for path in paths:
                    others = ', '.join(p for p in paths if p != path)
                    left_out[path] = f'conflict: identical to {others}'
        for path in self.in_two_splits:
            left_out[path] = 'near-duplicate of earlier photos in two splits'
        return dict(sorted(left_out.items()))

    def _empty_splits(self) -> list[str]:
        lines = []
        for split, counts in self.counts.items():
            empty = [name for name, count in counts.items() if not count]
            if empty:
                lines.append(
                    'Classes with too few different photos for '
                    f'{split}: {", ".join(empty[:LISTED])}'
                    + f' and {len(empty) - LISTED} more'
                    * (len(empty) > LISTED)
                )
        return lines

    def _conflict_title(self) -> str:
        kept = 'left out' if self.drops_conflicts else 'kept'
        return f'{CONFLICTS}, {kept}'

    def _leak_title(self) -> str:
        counts = ' and '.join(
            f'{count} {split}' for split, count in self.leak_counts.items()
        )
        fix = 'kept; --fix-leaks moves them to train'
        if self.fixes_leaks:
            fix = 'moved to train'
        return f'{LEAKS}: {counts} photos ({fix})'

    def _table(self, rows: int | None = None) -> list[str]:
        splits = list(self.counts)
        classes = list(self.counts[splits[0]])
        some = classes[:rows]
        wide = max(len(name) for name in (*some, 'class', 'total'))
        lines = [f'{"class":{wide}}' + ''.join(f'{s:>9}' for s in splits)]
        for name in some:
            cells = ''.join(f'{self.counts[s][name]:9}' for s in splits)
            lines.append(f'{name:{wide}}{cells}')
        if len(some) < len(classes):
            lines.append(f'... and {len(classes) - len(some)} more classes')
        sums = ''.join(f'{sum(self.counts[s].values()):9}' for s in splits)
        return [*lines, f'{"total":{wide}}{sums}']


def first_lines(items: list[str], most: int = LISTED) -> list[str]:
    lines = [f'  {item}' for item in items[:most]]
    if len(items) > most:
        lines.append(f'  ... and {len(items) - most} more')
    return lines


def _reasons(reasons: dict[str, str]) -> list[str]:
    return [f'{path}: {why}' for path, why in sorted(reasons.items())]


def _suffixes(files: list[str]) -> str:
    counts = Counter(PurePosixPath(file).suffix.casefold() for file in files)
    return ', '.join(
        f'{count} {suffix or "without suffix"}'
        for suffix, count in counts.most_common(SUFFIXES)
    ) + ', …' * (len(counts) > SUFFIXES)


def _groups(groups: list[list[str]]) -> list[str]:
    return [' = '.join(group) for group in groups]


def _part(title: str, items: list[str]) -> str:
    return '\n'.join([f'{title} ({len(items)}):', *items]) if items else ''
