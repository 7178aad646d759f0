"""Instances of ResizeNearest and ResizeBilinear."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import C_TYPES, ConstArg, Instance, TensorArg, Value
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import Interpolation, interpolation, nearest_indices
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, ResizeBilinear, ResizeNearest
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel


def build_nearest(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, ResizeNearest)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    columns = nearest_indices(x.shape[2], y.shape[2], op)
    return Instance(
        args=(
            operand(x, "input"),
            TensorArg(y.name),
            row_table(graph, op),
            ConstArg("columns", np.array(columns, np.uint16)),
        ),
        context={"rows_only": 0, "type": C_TYPES[x.dtype.value], **_sizes(graph, op)},
    )


def build_bilinear(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, ResizeBilinear)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    return Instance(
        args=(
            operand(x, "input"),
            TensorArg(y.name),
            row_table(graph, op),
            ConstArg("columns", _table(interpolation(x.shape[2], y.shape[2], op))),
        ),
        context={"rows_only": 0, **_sizes(graph, op)},
    )


def row_table(graph: Graph, op: ResizeNearest | ResizeBilinear) -> ConstArg:
    """From which rows of the input each of the output is made."""
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    if isinstance(op, ResizeBilinear):
        return ConstArg("rows", _table(interpolation(x.shape[1], y.shape[1], op)))
    return ConstArg("rows", np.array(nearest_indices(x.shape[1], y.shape[1], op), np.uint16))


def _table(along: Interpolation) -> Array:
    """Low index, high index, weight of high, of every output index in turn."""
    return np.array([along.low, along.high, along.weight], np.int16).T


def _sizes(graph: Graph, op: Op) -> dict[str, Value]:
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    return {
        "batch": x.shape[0],
        "height": x.shape[1],
        "width": x.shape[2],
        "channels": x.shape[3],
        "output_height": y.shape[1],
        "output_width": y.shape[2],
    }
