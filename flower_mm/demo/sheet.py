"""A few drawings of each kind on one sheet, for people to look at."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from flower_mm.demo.write import NAMES, draw
from flower_mm.files import replacing

TILE, GAP, MARGIN = 150, 4, 22


def write_sheet(
    path: Path, seed: int = 0, kinds: Sequence[str] = NAMES, columns: int = 6
) -> None:
    """Write a PNG with a row of drawings for each kind."""
    step = TILE + GAP
    size = MARGIN + columns * step, GAP + len(kinds) * step
    sheet = Image.new('RGB', size, 'white')
    font = ImageFont.load_default(14)
    for row, kind in enumerate(kinds):
        name = Image.new('L', (TILE, MARGIN), 255)
        pen = ImageDraw.Draw(name)
        pen.text((TILE / 2, MARGIN / 2), kind, 60, font, 'mm')
        sheet.paste(name.rotate(90, expand=True), (0, GAP + row * step))
        for column in range(columns):
            tile = ImageOps.fit(draw(kind, column + 1, seed), (TILE, TILE))
            sheet.paste(tile, (MARGIN + column * step, GAP + row * step))
    file = io.BytesIO()
    # 256 colours, dithered: a third of the bytes of a true-colour PNG.
    colours = sheet.quantize(256, Image.Quantize.MEDIANCUT)
    sheet.quantize(palette=colours).save(file, 'PNG', optimize=True)
    with replacing(path) as out:
        out.write(file.getvalue())
