"""A canvas of floats, frames to paint in, and filled shapes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = np.ndarray | Sequence[float]
Shader = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Canvas:
    """A picture with red, green, blue in 0..1, and where paint has been.

    `cover` starts at 0 everywhere and is 1 where something opaque was
    painted, so that a canvas can also be laid over another one.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        self.rgb = np.array(rgb, np.float32)
        self.cover: np.ndarray = np.zeros(rgb.shape[:2], np.float32)

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.cover.shape
        return width, height

    def above(self) -> 'Canvas':
        """An unpainted canvas that shows this one."""
        return Canvas(self.rgb)

    def lay(self, top: 'Canvas', blur: float = 0.0) -> None:
        """Take over what was painted on `top`, out of focus by `blur`."""
        part = top.painted(round(3 * blur) + 1)
        cover = soften(top.cover[part], blur)[..., None]
        self.rgb[part] += (
            soften(top.rgb[part], blur) - self.rgb[part]
        ) * cover

    def painted(self, margin: int) -> tuple[slice, slice]:
        """The rows and columns with paint on them, and some around."""
        spans = []
        for axis in (1, 0):
            (at,) = np.nonzero(self.cover.any(axis))
            low, high = (at[0], at[-1] + 1) if len(at) else (0, 0)
            spans.append(slice(max(0, low - margin), high + margin))
        return spans[0], spans[1]


@dataclass(frozen=True)
class Frame:
    """A coordinate system on the canvas: where it is, its turn, its scale."""

    matrix: np.ndarray

    @classmethod
    def canvas(cls) -> 'Frame':
        return cls(np.eye(3))

    def move(self, x: float, y: float) -> 'Frame':
        return Frame(self.matrix @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]))

    def turn(self, angle: float) -> 'Frame':
        c, s = np.cos(angle), np.sin(angle)
        return Frame(
            self.matrix @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        )

    def scale(self, x: float, y: float | None = None) -> 'Frame':
        return Frame(self.matrix @ np.diag([x, x if y is None else y, 1]))

    @property
    def unit(self) -> float:
        """How many canvas pixels one unit is, the geometric mean."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))

    def to_canvas(self, points: np.ndarray) -> np.ndarray:
        return points @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def from_canvas(
        self, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        (a, b, c), (d, e, f) = np.linalg.inv(self.matrix)[:2]
        return a * x + b * y + c, d * x + e * y + f


def fill(
    canvas: Canvas,
    frame: Frame,
    outline: np.ndarray,
    colour: Colour | Shader,
    opacity: float = 1.0,
) -> None:
    """Paint a polygon; a shader gets each pixel's place in the frame."""
    points = frame.to_canvas(outline)
    box = _box(canvas, points, 1)
    if box is None:
        return
    left, top, right, bottom = box
    mask = Image.new('1', (right - left, bottom - top))
    moved = (points - (left, top)).ravel().tolist()
    ImageDraw.Draw(mask).polygon(moved, fill=1)
    ys, xs = np.nonzero(np.asarray(mask))
    if callable(colour):
        colour = colour(*frame.from_canvas(xs + left, ys + top))
    _blend(canvas, ys + top, xs + left, colour, opacity)


def strokes(
    canvas: Canvas,
    frame: Frame,
    lines: Sequence[np.ndarray],
    width: float,
    colour: Colour,
    opacity: float = 1.0,
) -> None:
    """Paint lines through points, all at once; `width` in frame units."""
    moved = [frame.to_canvas(np.asarray(line)) for line in lines]
    pixels = max(1, round(width * frame.unit))
    box = _box(canvas, np.concatenate(moved), pixels)
    if box is None:
        return
    left, top, right, bottom = box
    mask = Image.new('1', (right - left, bottom - top))
    pen = ImageDraw.Draw(mask)
    for line in moved:
        flat = (line - (left, top)).ravel().tolist()
        pen.line(flat, fill=1, width=pixels, joint='curve')
    ys, xs = np.nonzero(np.asarray(mask))
    _blend(canvas, ys + top, xs + left, colour, opacity)


def dots(
    canvas: Canvas,
    frame: Frame,
    points: np.ndarray,
    radius: float,
    colour: Colour,
    opacity: float = 1.0,
) -> None:
    """Paint small discs, all at once."""
    moved = frame.to_canvas(points)
    pixels = max(0.7, radius * frame.unit)
    box = _box(canvas, moved, int(pixels) + 1)
    if box is None:
        return
    left, top, right, bottom = box
    mask = Image.new('1', (right - left, bottom - top))
    pen = ImageDraw.Draw(mask)
    for x, y in (moved - (left, top)).tolist():
        pen.ellipse((x - pixels, y - pixels, x + pixels, y + pixels), fill=1)
    ys, xs = np.nonzero(np.asarray(mask))
    _blend(canvas, ys + top, xs + left, colour, opacity)


def soften(picture: np.ndarray, blur: float) -> np.ndarray:
    """Gaussian blur over `blur` pixels."""
    if blur <= 0:
        return picture
    eight_bit = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    blurred = Image.fromarray(eight_bit).filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(blurred).astype(np.float32) / 255


def _box(
    canvas: Canvas, points: np.ndarray, margin: int
) -> tuple[int, int, int, int] | None:
    """The part of the canvas that the points span, None outside of it."""
    low = np.floor(points.min(0)).astype(int) - margin
    high = np.ceil(points.max(0)).astype(int) + margin + 1
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, canvas.size).tolist()
    if left >= right or top >= bottom:
        return None
    return left, top, right, bottom


def _blend(
    canvas: Canvas,
    ys: np.ndarray,
    xs: np.ndarray,
    colour: Colour,
    opacity: float,
) -> None:
    colour = np.asarray(colour, np.float32)
    if opacity < 1:
        below = canvas.rgb[ys, xs]
        colour = below + (colour - below) * opacity
    canvas.rgb[ys, xs] = colour
    canvas.cover[ys, xs] = np.maximum(canvas.cover[ys, xs], opacity)
