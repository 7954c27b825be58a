"""A page for each check, from the table of codes and the texts in checks/.

A text belongs to the title of a check, so that it survives a new number.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TEXTS = Path(__file__).parent / 'checks'
AREAS = {
    'CFG': 'Config',
    'RUN': 'Rehearsal: one training and one validation step',
    'DATA': 'Dataset',
    'PRE': 'Preprocessing',
    'LR': 'Learning rate',
    'WGT': 'Weights',
    'HOOK': 'Hooks',
    'DISK': 'Disk',
    'MEM': 'Memory',
    'HW': 'Hardware',
}


def codes(table: Path) -> dict[str, tuple[str, str]]:
    """Title and severity of each code; empty without a table.

    The table is read as text: importing it would need PyTorch.
    """
    if not table.is_file():
        return {}
    for node in ast.parse(table.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.AnnAssign) and node.target.id == 'CODES':
            return {
                code.value: (
                    row.elts[0].value,
                    ast.unparse(row.elts[1]).strip('_').lower(),
                )
                for code, row in zip(
                    node.value.keys, node.value.values, strict=True
                )
            }
    raise ValueError(f'{table} has no CODES')


def texts() -> dict[str, str]:
    """The text of each title."""
    found = {}
    for path in sorted(TEXTS.glob('*.md')):
        parts = re.split(r'^## (.*)\n', path.read_text('utf-8'), flags=re.M)
        found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return found


def pages(table: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each page."""
    text_of = texts()
    for code, (title, severity) in codes(table).items():
        text = text_of.get(title, '').strip()
        yield (
            f'checks/{code}.md',
            f'# {code}: {title}\n\nUsual severity: {severity}.\n\n{text}\n\n'
            f'To hide this finding: `--ignore {code}`, or '
            f"`ignore_checks = ['{code}']` in the config.\n",
        )


def overview(table: Path) -> str:
    """Tables of the codes, one for each area."""
    rows: dict[str, list[str]] = {}
    for code, (title, severity) in codes(table).items():
        rows.setdefault(code.rstrip('0123456789'), []).append(
            f'| [{code}](checks/{code}.md) | {title} | {severity} |'
        )
    if not rows:
        return ''
    lines = [
        '## Codes\n\nEach finding has a code with a page of its own. '
        '`--ignore LR003` hides one, `--ignore LR,DATA022` an area and '
        'another.'
    ]
    lines += [
        f'\n### {AREAS[area]}\n\n| code | finding | severity |\n'
        '| --- | --- | --- |\n' + '\n'.join(of_area)
        for area, of_area in rows.items()
    ]
    return '\n'.join(lines)
