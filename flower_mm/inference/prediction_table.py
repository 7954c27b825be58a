"""The table of photos on a terminal."""

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

LEAST = 20  # columns of a photo's path

# The likeliest classes with their shares, the path, whether it is unsure.
Row = tuple[list[tuple[str, str]], str, bool]


def table(rows: list[Row]) -> Table:
    made = Table(box=None, pad_edge=False, header_style='dim')
    cells = [
        [text for guess in guesses for text in guess] for guesses, *_ in rows
    ]
    for number, column in enumerate(zip(*cells, strict=True)):
        made.add_column(
            '' if number % 2 else 'or' if number else 'class',
            justify='right' if number % 2 else 'left',
            min_width=max(map(cell_len, column)),
            no_wrap=True,
        )
    made.add_column('photo')
    for texts, (_, path, unsure) in zip(cells, rows, strict=True):
        made.add_row(
            *map(Text, texts), Tail(path), style='yellow' if unsure else None
        )
    return made


class Tail:
    """A path in one line, of which the beginning gives way."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_measure__(
        self, console: Console, options: ConsoleOptions
    ) -> Measurement:
        width = cell_len(self.text)
        return Measurement(min(width, LEAST), width)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        text, room = self.text, options.max_width
        if cell_len(text) > room:
            # A character takes one column or two.
            text = text[-room:]
            while cell_len(text) > room - 1:
                text = text[1:]
            text = f'…{text}'
        yield Text(text, no_wrap=True)
