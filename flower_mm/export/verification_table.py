"""What a comparison has found, as text."""

from flower_mm.export.verify_export import BATCH, Candidate

HEADER = (
    'file',
    'MB',
    'photos/s by 1',
    f'by {BATCH}',
    'largest difference',
    'same class',
    'accuracy',
)


def table(
    checkpoint: list[Candidate], size: int, made: list[Candidate]
) -> str:
    """A line a file, the checkpoint of `size` bytes first.

    The first of `checkpoint` is what all others are compared with.
    """
    rows = [HEADER, *(_row(one, size) for one in checkpoint)]
    rows += [_row(one, len(one.content)) for one in made]
    # The reference has nothing to differ from.
    rows[1] = (*rows[1][:4], '', '', rows[1][6])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *figures in rows:
        cells = [name.ljust(widths[0])]
        cells += [
            text.rjust(width)
            for text, width in zip(figures, widths[1:], strict=True)
        ]
        lines.append('  ' + '  '.join(cells))
    return '\n'.join(lines)


def _row(one: Candidate, size: int) -> tuple[str, ...]:
    return (
        one.name,
        f'{size / 1e6:.1f}',
        f'{one.speeds[1]:.1f}',
        f'{one.speeds[BATCH]:.1f}',
        f'{one.difference:.1e}',
        f'{100 * one.agreement:.2f} %',
        f'{100 * one.accuracy:.2f} %',
    )
