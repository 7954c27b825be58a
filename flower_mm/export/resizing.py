"""Resizing and cropping in ONNX, in the arithmetic of OpenCV and Pillow.

Equal to the bit where OpenCV resizes as on x86: in integer arithmetic, like
these graphs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

# OpenCV's INTER_LINEAR has weights in 1/2048, and drops bits after each step.
WEIGHT = 2048
AFTER_COLUMNS, AFTER_ROWS, AFTER_SUM = 4, 16, 2
# Pillow's filters, as ONNX calls them; its bicubic has this coefficient.
PILLOW = {'bilinear': 'linear', 'bicubic': 'cubic'}
CUBIC = -0.5


class Nodes(Tape):
    """Adds a node to the graph with each call, as in `op.Add(a, b)`."""

    def __getattr__(self, kind: str) -> Callable[..., ir.Value]:
        if kind.startswith('_'):
            raise AttributeError(kind)
        return lambda *inputs, **attributes: self.op(kind, inputs, attributes)


class Photos:
    """Photos at one point of a graph; their size is known when it runs.

    They are resized and cropped in one step, for the kept pixels only.

    Args:
        op: The nodes of the graph.
        pixels: uint8, (N, height, width, 3).
        height: New height; that of the photos by default.
        width: New width.
    """

    def __init__(
        self,
        op: Nodes,
        pixels: ir.Value,
        height: ir.Value | None = None,
        width: ir.Value | None = None,
    ) -> None:
        self.op = op
        shape = op.Shape(pixels)
        self._source = pixels
        self.rows = _Side(op, op.Gather(shape, integer(op, 1)), height)
        self.columns = _Side(op, op.Gather(shape, integer(op, 2)), width)

    def resized(
        self,
        height: ir.Value,
        width: ir.Value,
        backend: str,
        interpolation: str,
    ) -> Photos | None:
        """The resized photos; None if ONNX has no such interpolation."""
        if (backend, interpolation) == ('cv2', 'bilinear'):
            return Photos(self.op, self.pixels(), height, width)
        if backend == 'pillow' and interpolation in PILLOW:
            mode = PILLOW[interpolation]
            pixels = _as_pillow(self.op, self.pixels(), height, width, mode)
            return Photos(self.op, pixels)
        return None

    def crop(self, height: int, width: int) -> None:
        """Keep the center; all of a side that is shorter."""
        self.rows.crop(height)
        self.columns.crop(width)

    def pixels(self) -> ir.Value:
        """The pixels by OpenCV's INTER_LINEAR: columns first, then rows."""
        if not (self.rows.changed or self.columns.changed):
            return self._source
        op = self.op
        # Weights (w, 3); (w, 1) has the same result at half the speed.
        columns = [
            (
                column,
                op.Expand(
                    op.Unsqueeze(share, integers(op, [1])),
                    integers(op, [1, 3]),
                ),
            )
            for column, share in self.columns.taps()
        ]
        lines = []
        for row, share in self.rows.taps():
            pixels = op.Gather(self._source, row, axis=1)
            parts = [
                op.Mul(
                    op.Cast(
                        op.Gather(pixels, column, axis=2),
                        to=ir.DataType.UINT32,
                    ),
                    weight,
                )
                for column, weight in columns
            ]
            line = _shift_right(op, op.Add(*parts), AFTER_COLUMNS)
            weight = op.Unsqueeze(share, integers(op, [1, 2]))  # (h, 1, 1)
            lines.append(_shift_right(op, op.Mul(line, weight), AFTER_ROWS))
        half = constant(op, np.uint32(1 << (AFTER_SUM - 1)))
        sums = op.Add(op.Add(*lines), half)
        return op.Cast(_shift_right(op, sums, AFTER_SUM), to=ir.DataType.UINT8)


class _Side:
    """Height or width: the source, its resized length, the kept places."""

    def __init__(
        self, op: Nodes, source: ir.Value, length: ir.Value | None
    ) -> None:
        self._op = op
        self._source = source
        self._resized = source if length is None else length
        self.changed = length is not None
        self.length = self._resized
        zero, one = integer(op, 0), integer(op, 1)
        self._places = op.Range(zero, self.length, one)

    def crop(self, side: int) -> None:
        op = self._op
        kept = op.Min(self.length, integer(op, side))
        spare = op.Cast(op.Sub(self.length, kept), to=ir.DataType.DOUBLE)
        # As Python's round(), halves to the even number.
        begin = op.Round(op.Mul(spare, constant(op, np.float64(0.5))))
        begin = op.Cast(begin, to=ir.DataType.INT64)
        first = integers(op, [0])
        self._places = op.Slice(
            self._places,
            op.Unsqueeze(begin, first),
            op.Unsqueeze(op.Add(begin, kept), first),
        )
        self.length = kept
        self.changed = True

    def taps(self) -> list[tuple[ir.Value, ir.Value]]:
        """The two source pixels of each kept one, and their weights."""
        op = self._op
        half = constant(op, np.float64(0.5))
        scale = op.Div(_double(op, self._source), _double(op, self._resized))
        centre = op.Add(_double(op, self._places), half)
        place = op.Cast(
            op.Sub(op.Mul(centre, scale), half), to=ir.DataType.FLOAT
        )
        before = op.Floor(place)
        share = op.Sub(place, before)
        weight = constant(op, np.float32(WEIGHT))
        second = op.Cast(
            op.Round(op.Mul(share, weight)), to=ir.DataType.UINT32
        )
        first = op.Sub(constant(op, np.uint32(WEIGHT)), second)
        left = op.Cast(before, to=ir.DataType.INT64)
        right = op.Add(left, integer(op, 1))
        # Pixels outside repeat the edge.
        last = op.Sub(self._source, integer(op, 1))
        zero = integer(op, 0)
        return [
            (op.Max(op.Min(at, last), zero), share)
            for at, share in ((left, first), (right, second))
        ]


def _as_pillow(
    op: Nodes,
    pixels: ir.Value,
    height: ir.Value,
    width: ir.Value,
    mode: str,
) -> ir.Value:
    """Resize as Pillow, whose filters grow with the scale (antialias)."""
    planes = op.Transpose(pixels, perm=[0, 3, 1, 2])
    first = integers(op, [0])
    size = op.Concat(
        op.Shape(planes, start=0, end=2),
        op.Unsqueeze(height, first),
        op.Unsqueeze(width, first),
        axis=0,
    )
    planes = op.Resize(
        planes,
        None,
        None,
        size,
        mode=mode,
        antialias=1,
        cubic_coeff_a=CUBIC,
        exclude_outside=1,
    )
    return op.Transpose(planes, perm=[0, 2, 3, 1])


def constant(op: Nodes, value: np.generic | np.ndarray) -> ir.Value:
    return op.Constant(value=ir.tensor(np.asarray(value)))


def integer(op: Nodes, value: int) -> ir.Value:
    return constant(op, np.int64(value))


def integers(op: Nodes, values: list[int]) -> ir.Value:
    return constant(op, np.array(values, np.int64))


def _double(op: Nodes, value: ir.Value) -> ir.Value:
    return op.Cast(value, to=ir.DataType.DOUBLE)


def _shift_right(op: Nodes, value: ir.Value, bits: int) -> ir.Value:
    return op.BitShift(value, constant(op, np.uint32(bits)), direction='RIGHT')
