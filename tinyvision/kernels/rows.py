"""Operators row by row: which rows of its inputs an operator needs for each row of its output.

Rows run along the height of NHWC tensors of batch 1. An operator takes turns: turn ``t`` writes
row ``t`` of every output, or the ``t``-th of blocks of several rows. One that reduces over the
height (a mean, or a dense layer over a whole image) takes a turn for each input row (or block of
them) instead, keeps sums, and writes its only row in the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from tinyvision.ir.derive import interpolation, nearest_indices
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import (
    Add,
    AveragePool2D,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    Maximum,
    MaxPool2D,
    Mean,
    Minimum,
    Mul,
    Op,
    Pad,
    PadMode,
    Prelu,
    ResizeBilinear,
    ResizeNearest,
    Split,
    Sub,
)
from tinyvision.ir.shapes import dilated
from tinyvision.ir.types import DType, Tensor

Rows = tuple[int, int]
"""First row and the one after the last."""

WINDOWED = (Conv2D, DepthwiseConv2D, AveragePool2D, MaxPool2D)
RESIZED = (ResizeNearest, ResizeBilinear)
BROADCAST = (Add, Sub, Mul, Minimum, Maximum, Prelu)


class Grain(NamedTuple):
    """What an operator of a stream computes in a turn: so many rows, or one of as many ``pieces``
    as a row is cut into (``kernels.pieces``); never both.
    """

    rows: int = 1
    pieces: int = 1


ROW = Grain()


@dataclass(frozen=True)
class RowUse:
    """``reads``: for each operator input the rows that each turn reads, None for a constant.

    ``accumulator_bytes`` is 0, or the size of the sums (int32, one for each element of the output)
    that are kept from the first turn to the last. ``rows_differ``: turns see different padding, or
    other rows than those of their number. ``rows``: in a turn, but in the first ``first`` (0: as in
    any), and what is left of ``height``, all there are (0: as many as turns), in the last.
    """

    turns: int
    reads: tuple[tuple[Rows, ...] | None, ...]
    accumulator_bytes: int = 0
    rows_differ: bool = False
    rows: int = 1
    first: int = 0
    height: int = 0

    def several(self, rows: int, first: int = 0) -> RowUse:
        """The same, which has one row in a turn, with ``rows``, all of them where there are no
        more, and ``first`` in the first.
        """
        rows = min(rows, self.turns)
        first = min(first or rows, rows)
        turns = 1 + -(-(self.turns - first) // rows)
        blocks = replace(self, turns=turns, rows=rows, first=first, height=self.turns)

        def joined(reads: tuple[Rows, ...]) -> tuple[Rows, ...]:
            parts = (reads[slice(*blocks.block(turn))] for turn in range(turns))
            return tuple((min(r[0] for r in p), max(r[1] for r in p)) for p in parts)

        return replace(blocks, reads=tuple(None if r is None else joined(r) for r in self.reads))

    def block(self, turn: int) -> Rows:
        """The rows of a turn; none before the first."""
        end = (self.first or self.rows) + turn * self.rows
        return max(end - self.rows, 0), max(min(end, self.height or self.turns), 0)

    @property
    def phase(self) -> int:
        """What the number of a turn's first row is short of a multiple of ``rows``."""
        return -self.first % self.rows

    @property
    def accumulates(self) -> bool:
        return self.accumulator_bytes > 0

    @cached_property
    def is_aligned(self) -> bool:
        """Every turn reads the row of its own number, or one that repeats: one row of the output is
        the same operator on one row.
        """
        same = tuple(self.block(turn) for turn in range(self.turns))
        repeated = ((0, 1),) * self.turns
        alike = all(rows in (None, same, repeated) for rows in self.reads)
        return alike and not self.accumulates and not self.rows_differ


def row_use(graph: Graph, op: Op) -> RowUse | None:
    """How ``op`` runs row by row, or None where it cannot."""
    if _accumulates(graph, op):
        x, (y,) = graph.tensor(op.inputs[0]), graph.output_tensors(op)
        turns = tuple((t, t + 1) for t in range(x.shape[1]))
        return RowUse(x.shape[1], (turns, *(None for _ in op.inputs[1:])), 4 * y.elements)
    if not all(_has_rows(y) for y in graph.output_tensors(op)):
        return None
    if isinstance(op, WINDOWED):
        return _windowed(graph, op)
    if isinstance(op, Pad):
        return _padded(graph, op)
    if isinstance(op, RESIZED):
        return _resized(graph, op)
    if isinstance(op, (*BROADCAST, Lookup)) or (
        isinstance(op, (Concatenation, Split)) and op.axis in (2, 3)
    ):
        return _aligned(graph, op)
    return None


def _has_rows(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[0] == 1


def _accumulates(graph: Graph, op: Op) -> bool:
    """Means over the height, alone or with the width, by whatever operator, and dense layers over
    a whole image.
    """
    if not isinstance(op, (Mean, AveragePool2D, FullyConnected)):
        return False
    x = graph.tensor(op.inputs[0])
    if not _has_rows(x) or x.dtype is not DType.INT8 or x.is_constant or x.shape[1] == 1:
        return False
    if isinstance(op, FullyConnected):
        return graph.tensor(op.inputs[1]).shape[1] == x.elements
    if isinstance(op, Mean):
        return op.axes in ((1,), (1, 2))
    return op.window == x.shape[1:3] and not op.padding


def window_along(graph: Graph, op: Op, axis: int) -> tuple[int, int, int]:
    """Stride, padding before and reach (first to last tap) of a windowed operator in rows (axis 1)
    or columns (axis 2).
    """
    assert isinstance(op, WINDOWED)
    before = op.padding.top if axis == 1 else op.padding.left
    if isinstance(op, (AveragePool2D, MaxPool2D)):
        return op.stride[axis - 1], before, op.window[axis - 1]
    kernel = graph.tensor(op.inputs[1]).shape[axis]
    return op.stride[axis - 1], before, dilated(kernel, op.dilation[axis - 1])


def window_rows(graph: Graph, op: Op) -> tuple[int, int, int]:
    """``window_along`` of the rows."""
    return window_along(graph, op, 1)


def _windowed(graph: Graph, op: Op) -> RowUse | None:
    x, (y,) = graph.tensor(op.inputs[0]), graph.output_tensors(op)
    if x.is_constant:
        return None
    stride, top, reach = window_rows(graph, op)
    turns = []
    for turn in range(y.shape[1]):
        first = turn * stride - top
        rows = max(first, 0), min(first + reach, x.shape[1])
        if rows[0] >= rows[1]:
            return None
        turns.append(rows)
    differ = len(turns) > 1 and (stride, top, reach) != (1, 0, 1)
    return RowUse(y.shape[1], (tuple(turns), *(None for _ in op.inputs[1:])), rows_differ=differ)


def _padded(graph: Graph, op: Pad) -> RowUse | None:
    x = graph.tensor(op.inputs[0])
    if x.is_constant or op.mode is not PadMode.CONSTANT or any(op.pads[0]):
        return None
    above, below = op.pads[1]
    height = x.shape[1]
    turns = [(0, 0)] * above + [(t, t + 1) for t in range(height)] + [(height, height)] * below
    return RowUse(len(turns), (tuple(turns),))


def _resized(graph: Graph, op: ResizeNearest | ResizeBilinear) -> RowUse | None:
    """Each row from one of the input, or from two neighbours."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if x.is_constant:
        return None
    if isinstance(op, ResizeBilinear):
        along = interpolation(x.shape[1], y.shape[1], op)
        reads = tuple((low, high + 1) for low, high in zip(along.low, along.high, strict=True))
        return RowUse(y.shape[1], (reads,), rows_differ=True)
    return RowUse(
        y.shape[1], (tuple((r, r + 1) for r in nearest_indices(x.shape[1], y.shape[1], op)),)
    )


def _aligned(graph: Graph, op: Op) -> RowUse | None:
    """Row ``t`` from the same row of every input; inputs of one row repeat."""
    height = graph.tensor(op.outputs[0]).shape[1]
    reads: list[tuple[Rows, ...] | None] = []
    for x in graph.input_tensors(op):
        if x.is_constant:
            if len(x.shape) > 2 and x.shape[-3] != 1:
                return None
            reads.append(None)
        elif not _has_rows(x):
            return None
        elif x.shape[1] == height:
            reads.append(tuple((t, t + 1) for t in range(height)))
        elif x.shape[1] == 1:
            reads.append(((0, 1),) * height)
        else:
            return None
    return RowUse(height, tuple(reads))


def one_row(graph: Graph, op: Op) -> tuple[Graph, Op]:
    """The operator that computes one row of ``op``'s output (one inside the padding of a Pad) from
    one row of each input, and a graph of it alone.
    """
    return some_rows(graph, op, 1)


def some_rows(graph: Graph, op: Op, count: int) -> tuple[Graph, Op]:
    """The same for ``count`` rows of an operator whose turns are aligned."""
    shrunk = {name: _with_rows(graph.tensor(name), count) for name in op.inputs + op.outputs}
    if isinstance(op, Pad):
        op = replace(op, pads=(op.pads[0], (0, 0), *op.pads[2:]))
    return alone(graph, op, shrunk), op


def window_at(graph: Graph, op: Op, turn: int, rows: Rows) -> tuple[Graph, Op]:
    """The windowed operator that computes row ``turn`` of ``op``'s output from the input's
    ``rows`` alone, and a graph of it alone.
    """
    assert isinstance(op, WINDOWED)
    stride, top, reach = window_rows(graph, op)
    first = turn * stride - top
    padding = replace(op.padding, top=rows[0] - first, bottom=first + reach - rows[1])
    op = replace(op, padding=padding)
    shrunk = {name: graph.tensor(name) for name in op.inputs}
    shrunk[op.inputs[0]] = _with_rows(graph.tensor(op.inputs[0]), rows[1] - rows[0])
    shrunk[op.outputs[0]] = _with_rows(graph.tensor(op.outputs[0]), 1)
    return alone(graph, op, shrunk), op


def _with_rows(tensor: Tensor, rows: int) -> Tensor:
    if tensor.is_constant or len(tensor.shape) != 4 or tensor.shape[1] == 1:
        return tensor
    return replace(tensor, shape=(tensor.shape[0], rows, *tensor.shape[2:]))


def alone(graph: Graph, op: Op, tensors: Mapping[str, Tensor]) -> Graph:
    """A graph of ``op`` by itself with those tensors."""
    inputs = tuple(name for name in op.inputs if not tensors[name].is_constant)
    return Graph(graph.name, dict(tensors), (op,), inputs, op.outputs)
