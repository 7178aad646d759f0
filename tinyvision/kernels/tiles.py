"""Operators tile by tile: which rows and columns of its inputs an operator needs for those of a
rectangle of its output, and the operator that computes that rectangle alone.

Both axes of NHWC tensors of batch 1 are treated alike and apart: ``axis`` is 1 for rows, 2 for
columns.
"""

from __future__ import annotations

from dataclasses import replace

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Concatenation, Op, Pad, Split
from tinyvision.ir.types import Tensor
from tinyvision.kernels.rows import RESIZED, WINDOWED, alone, row_use, window_along

Span = tuple[int, int]
"""First row or column and the one after the last."""

ROWS, COLUMNS = 1, 2


def has_tiles(graph: Graph, op: Op) -> bool:
    """Whether any rectangle of the output of ``op`` can be computed from rectangles of its
    inputs.
    """
    use = row_use(graph, op)
    if use is None or use.accumulates or isinstance(op, RESIZED):
        return False
    if isinstance(op, (Concatenation, Split)):
        return op.axis == 3
    if isinstance(op, Pad):
        return True
    extent = graph.tensor(op.outputs[0]).shape[COLUMNS]
    if isinstance(op, WINDOWED):
        return all(
            first < end
            for first, end in (_under(graph, op, COLUMNS, (x, x + 1)) for x in range(extent))
        )
    for x in graph.input_tensors(op):
        if x.is_constant and len(x.shape) > 1 and x.shape[-2] != 1:
            return False
        if not x.is_constant and x.shape[COLUMNS] not in (1, extent):
            return False
    return True


def spans_read(graph: Graph, op: Op, axis: int, span: Span) -> tuple[Span | None, ...]:
    """For each input of ``op`` the rows (or columns) that ``span`` of its outputs needs, None for a
    constant; none where ``span`` lies in the padding of a Pad. For operators that have tiles.
    """
    if isinstance(op, (*WINDOWED, Pad)):
        return (_under(graph, op, axis, span), *(None for _ in op.inputs[1:]))
    extent = graph.tensor(op.outputs[0]).shape[axis]
    return tuple(
        None if x.is_constant else span if x.shape[axis] == extent else (0, 1)
        for x in graph.input_tensors(op)
    )


def _under(graph: Graph, op: Op, axis: int, span: Span) -> Span:
    """What windows, or an output with a border, see of the input."""
    extent = graph.tensor(op.inputs[0]).shape[axis]
    if isinstance(op, Pad):
        before = op.pads[axis][0]
        first, end = span[0] - before, span[1] - before
    else:
        stride, before, reach = window_along(graph, op, axis)
        first, end = span[0] * stride - before, (span[1] - 1) * stride - before + reach
    return min(max(first, 0), extent), max(min(end, extent), 0)


def restricted(graph: Graph, op: Op, axis: int, span: Span) -> tuple[Graph, Op]:
    """The operator that computes the rows (or columns) ``span`` of ``op``'s outputs from those that
    it needs of its inputs, which are all that its inputs have; and a graph of it alone.
    """
    reads = spans_read(graph, op, axis, span)
    tensors = {name: _cut(graph.tensor(name), axis, span) for name in op.outputs}
    for name, read in zip(op.inputs, reads, strict=True):
        tensors[name] = graph.tensor(name) if read is None else _cut(graph.tensor(name), axis, read)
    if isinstance(op, Pad):
        extent = graph.tensor(op.inputs[0]).shape[axis]
        before = op.pads[axis][0]
        pads = list(op.pads)
        pads[axis] = max(before - span[0], 0), max(span[1] - before - extent, 0)
        op = replace(op, pads=tuple(pads))
    elif isinstance(op, WINDOWED):
        read = reads[0]
        assert read is not None
        stride, before, reach = window_along(graph, op, axis)
        first, end = span[0] * stride - before, (span[1] - 1) * stride - before + reach
        sides = ("top", "bottom") if axis == ROWS else ("left", "right")
        outside = max(read[0] - first, 0), max(end - read[1], 0)
        op = replace(op, padding=replace(op.padding, **dict(zip(sides, outside, strict=True))))
    return alone(graph, op, tensors), op


def _cut(tensor: Tensor, axis: int, span: Span) -> Tensor:
    shape = list(tensor.shape)
    shape[axis] = span[1] - span[0]
    return replace(tensor, shape=tuple(shape))
