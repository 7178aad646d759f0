"""Operators piece by piece: rows cut into pieces of as many columns, which come one after another
as rows do.

An NHWC tensor of batch 1 whose rows are cut into ``pieces`` is, byte for byte, one with so many
times the rows and so much less width: piece ``p`` of row ``r`` is row ``r * pieces + p``. Where an
operator makes a pixel of the pixel in its place, it is the same operator on that tensor. Where it
sees a window, it is one on a tile, which is put together from the pieces under it, with the
padding: then all tiles are alike. Of what a window needs again, only the rows before the last and
a few pieces of that one must be kept (the row and column buffers of StreamNet, Zheng et al.,
NeurIPS 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import (
    AveragePool2D,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    Lookup,
    MaxPool2D,
    Mean,
    Op,
    Padding,
    Split,
)
from tinyvision.ir.types import DType, Tensor
from tinyvision.kernels.rows import (
    BROADCAST,
    WINDOWED,
    Rows,
    RowUse,
    alone,
    row_use,
    some_rows,
    window_along,
)
from tinyvision.kernels.window import window


@dataclass(frozen=True)
class Tile:
    """The input of one piece of a windowed operator's output: ``rows`` rows, ``dilation`` apart,
    of ``columns`` columns of ``depth`` channels. That of piece ``p`` of row ``r`` begins at row
    ``r * stride - top`` and column ``p * step - left``; what lies outside is ``fill``.
    """

    rows: int
    columns: int
    depth: int
    stride: int
    top: int
    dilation: int
    step: int
    left: int
    fill: int

    @property
    def size_bytes(self) -> int:
        return self.rows * self.columns * self.depth


def tile(graph: Graph, op: Op, pieces: int) -> Tile | None:
    """The tiles of an operator that sees windows of int8; None where it sees none, or its rows
    cannot be cut so.
    """
    if not isinstance(op, WINDOWED) or _is_pointwise(graph, op):
        return None
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if not (_is_cut(x, pieces) and _is_cut(y, pieces)) or row_use(graph, op) is None:
        return None
    if isinstance(op, AveragePool2D) and op.padding != Padding():
        return None  # what lies outside is not counted
    columns = y.shape[2] // pieces
    stride, top, reach = window_along(graph, op, 1)
    across, left, breadth = window_along(graph, op, 2)
    dilation = op.dilation[0] if isinstance(op, (Conv2D, DepthwiseConv2D)) else 1
    return Tile(
        rows=(reach - 1) // dilation + 1,
        columns=(columns - 1) * across + breadth,
        depth=x.shape[3],
        stride=stride,
        top=top,
        dilation=dilation,
        step=columns * across,
        left=left,
        fill=-128 if isinstance(op, MaxPool2D) else x.zero_point,
    )


def pieces_use(graph: Graph, op: Op, pieces: int) -> RowUse | None:
    """How ``op`` runs piece by piece, in terms of pieces; None where it cannot."""
    found = tile(graph, op, pieces)
    if found is None:
        folded = fold(graph, op, pieces)
        return row_use(*folded) if folded is not None else None
    by_rows = row_use(graph, op)
    assert by_rows is not None and by_rows.reads[0] is not None
    width = graph.tensor(op.inputs[0]).shape[2]
    piece = width // pieces
    across: list[Rows] = []
    for p in range(pieces):
        first = max(p * found.step - found.left, 0)
        end = min(p * found.step - found.left + found.columns, width)
        if first >= end:
            return None
        across.append((first // piece, -(-end // piece)))
    # All from the first piece of the first row to the last of the last: rows between are there.
    reads = tuple(
        (first * pieces + left, (end - 1) * pieces + right)
        for first, end in by_rows.reads[0]
        for left, right in across
    )
    return RowUse(len(reads), (reads, *(None for _ in op.inputs[1:])), rows_differ=True)


def one_piece(graph: Graph, op: Op, pieces: int) -> tuple[Graph, Op]:
    """The operator that computes one piece of ``op``'s output, from its tile or from one piece of
    each input, and a graph of it alone.
    """
    found = tile(graph, op, pieces)
    if found is None:
        folded = fold(graph, op, pieces)
        assert folded is not None
        return some_rows(*folded, 1)
    assert isinstance(op, WINDOWED)
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    tensors = {name: graph.tensor(name) for name in op.inputs}
    tensors[op.inputs[0]] = replace(x, shape=(1, found.rows, found.columns, found.depth))
    tensors[op.outputs[0]] = replace(y, shape=(1, 1, y.shape[2] // pieces, y.shape[3]))
    op = replace(op, padding=Padding())
    if isinstance(op, (Conv2D, DepthwiseConv2D)):
        op = replace(op, dilation=(1, op.dilation[1]))
    return alone(graph, op, tensors), op


def fold(graph: Graph, op: Op, pieces: int) -> tuple[Graph, Op] | None:
    """``op`` on tensors that have pieces for rows, and a graph of it alone; None where it sees
    windows or columns apart, or its rows cannot be cut so.
    """
    use = row_use(graph, op)
    if use is None or not (use.accumulates or _is_local(graph, op)):
        return None
    if isinstance(op, Mean) and op.axes != (1, 2):
        return None
    tensors = {name: graph.tensor(name) for name in (*op.inputs, *op.outputs)}
    for name, tensor in tensors.items():
        if tensor.is_constant or len(tensor.shape) != 4 or tensor.shape[1:3] == (1, 1):
            continue
        if not _is_cut(tensor, pieces):
            return None
        _, height, width, channels = tensor.shape
        shape = 1, height * pieces, width // pieces, channels
        tensors[name] = replace(tensor, shape=shape)
    if isinstance(op, AveragePool2D):
        _, height, width, _ = tensors[op.inputs[0]].shape
        op = replace(op, window=(height, width))
    return alone(graph, op, tensors), op


def _is_cut(tensor: Tensor, pieces: int) -> bool:
    """Whether rows can be cut into so many pieces."""
    whole = not tensor.is_constant and len(tensor.shape) == 4 and tensor.shape[1] > 1
    return whole and tensor.dtype is DType.INT8 and tensor.shape[2] % pieces == 0


def _is_pointwise(graph: Graph, op: Op) -> bool:
    return isinstance(op, Conv2D) and window(graph, op).is_pointwise


def _is_local(graph: Graph, op: Op) -> bool:
    """Whether pixels come of the pixels in their place."""
    if isinstance(op, (Concatenation, Split)):
        return op.axis == 3
    if isinstance(op, BROADCAST):
        constants = (x for x in graph.input_tensors(op) if x.is_constant)
        return all(len(x.shape) < 2 or x.shape[-2] == 1 for x in constants)
    return isinstance(op, Lookup) or _is_pointwise(graph, op)
