"""The one function that says which kernels can compute an operator on a core."""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels import (
    batch_matmul,
    conv2d,
    depthwise,
    elementwise,
    fully_connected,
    fully_connected_rows,
    layout,
    lookup,
    mean,
    pad,
    pool,
    resize,
    softmax,
    transpose_conv,
)
from tinyvision.kernels.kernel import Kernel
from tinyvision.target.core import Core

CandidatesOf = Callable[[Graph, Op, Core], tuple[Kernel, ...]]
"""Of an operator on a core the kernels to choose from, fastest first."""

FAMILIES: dict[type[Op], CandidatesOf] = {
    ops.Add: elementwise.candidates,
    ops.BatchMatMul: batch_matmul.candidates,
    ops.AveragePool2D: pool.candidates,
    ops.Concatenation: layout.concatenation_candidates,
    ops.Conv2D: conv2d.candidates,
    ops.DepthwiseConv2D: depthwise.candidates,
    ops.Dequantize: elementwise.convert_candidates,
    ops.FullyConnected: fully_connected.candidates,
    ops.Lookup: lookup.candidates,
    ops.MaxPool2D: pool.candidates,
    ops.Maximum: elementwise.candidates,
    ops.Mean: mean.candidates,
    ops.Minimum: elementwise.candidates,
    ops.Mul: elementwise.candidates,
    ops.Pad: pad.candidates,
    ops.Prelu: elementwise.candidates,
    ops.Quantize: elementwise.convert_candidates,
    ops.Reshape: layout.reshape_candidates,
    ops.ResizeBilinear: resize.bilinear_candidates,
    ops.ResizeNearest: resize.nearest_candidates,
    ops.Slice: layout.slice_candidates,
    ops.Softmax: softmax.candidates,
    ops.Split: layout.split_candidates,
    ops.Sub: elementwise.candidates,
    ops.Transpose: layout.transpose_candidates,
    ops.TransposeConv2D: transpose_conv.candidates,
}


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Every kernel that computes ``op`` on ``core``, fastest first; never empty.

    Raises NotImplementedError where no kernel exists for the operator.
    """
    family = FAMILIES.get(type(op))
    if family is None:
        raise NotImplementedError(f"no kernel computes {op.kind} ({op.name!r})")
    return family(graph, op, core)


def thrifty_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Further kernels of ``op`` that are slower and need less scratch, fastest first."""
    return conv2d.thrifty_candidates(graph, op, core) if isinstance(op, ops.Conv2D) else ()


def summing_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Of an operator that adds up the rows of its input as they come (``rows.RowUse``)."""
    if isinstance(op, ops.FullyConnected):
        return (fully_connected_rows.kernel(graph, op, core),)
    return (Kernel("mean_rows", "mean_rows"),)
