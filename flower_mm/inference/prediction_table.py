"""The table of predictions on a terminal."""

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

MIN_PATH = 20  # columns of a photo's path

# The top classes with their percentages, the path, whether it is unsure or
# unknown.
Row = tuple[list[tuple[str, str]], str, bool]


def table(rows: list[Row]) -> Table:
    content = Table(box=None, pad_edge=False, header_style='dim')
    cells = [
        [text for pair in classes for text in pair] for classes, *_ in rows
    ]
    for number, column in enumerate(zip(*cells, strict=True)):
        content.add_column(
            '' if number % 2 else 'or' if number else 'class',
            justify='right' if number % 2 else 'left',
            min_width=max(map(cell_len, column)),
            no_wrap=True,
        )
    content.add_column('photo')
    for texts, (_, path, doubtful) in zip(cells, rows, strict=True):
        content.add_row(
            *map(Text, texts),
            EndOfPath(path),
            style='yellow' if doubtful else None,
        )
    return content


class EndOfPath:
    """A path in one line, which is cut at its beginning."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_measure__(
        self, console: Console, options: ConsoleOptions
    ) -> Measurement:
        width = cell_len(self.text)
        return Measurement(min(width, MIN_PATH), width)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        text, width = self.text, options.max_width
        if cell_len(text) > width:
            # A character takes one column or two.
            text = text[-width:]
            while cell_len(text) > width - 1:
                text = text[1:]
            text = f'…{text}'
        yield Text(text, no_wrap=True)
