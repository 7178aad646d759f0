"""Multiply-accumulate operations, counted as the literature does."""

from __future__ import annotations

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op


def macs(graph: Graph, op: Op) -> int:
    """Multiplications of an input with a weight in one run of ``op``, padding included.

    Convolutions, transposed convolutions, fully connected layers and matrix products count; what
    others multiply (requantization, pooling, elementwise products) does not.
    """
    if isinstance(op, ops.TransposeConv2D):
        x, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
        return x.elements * weights.elements // weights.shape[3]
    if isinstance(op, (ops.Conv2D, ops.FullyConnected)):
        weights, y = graph.tensor(op.inputs[1]), graph.tensor(op.outputs[0])
        return y.elements * (weights.elements // weights.shape[0])
    if isinstance(op, ops.BatchMatMul):
        a, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
        return y.elements * a.shape[-2 if op.adjoint_a else -1]
    if isinstance(op, ops.DepthwiseConv2D):
        weights, y = graph.tensor(op.inputs[1]), graph.tensor(op.outputs[0])
        return y.elements * weights.shape[1] * weights.shape[2]
    return 0


def graph_macs(graph: Graph) -> int:
    """The multiply-accumulates of one run of the whole graph."""
    return sum(macs(graph, op) for op in graph.ops)
