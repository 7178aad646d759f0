"""Instance builders: for each kernel family the integers and packed constants of one call."""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.codegen.instances import (
    batch_matmul,
    conv2d,
    depthwise,
    elementwise,
    fully_connected,
    layout,
    lookup,
    mean,
    pad,
    pool,
    resize,
    softmax,
    transpose_conv,
)
from tinyvision.codegen.instances.instance import Instance
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.kernel import Kernel

Builder = Callable[[Graph, Op, Kernel], Instance]

BUILDERS: dict[type[Op], Builder] = {
    ops.Add: elementwise.build_sum,
    ops.AveragePool2D: pool.build,
    ops.Concatenation: layout.build_concatenation,
    ops.Conv2D: conv2d.build,
    ops.DepthwiseConv2D: depthwise.build,
    ops.Dequantize: elementwise.build_convert,
    ops.FullyConnected: fully_connected.build,
    ops.Lookup: lookup.build,
    ops.MaxPool2D: pool.build,
    ops.Maximum: elementwise.build_minmax,
    ops.Mean: mean.build,
    ops.Minimum: elementwise.build_minmax,
    ops.Mul: elementwise.build_mul,
    ops.Pad: pad.build,
    ops.Prelu: elementwise.build_prelu,
    ops.Quantize: elementwise.build_convert,
    ops.Reshape: layout.build_reshape,
    ops.BatchMatMul: batch_matmul.build,
    ops.ResizeBilinear: resize.build_bilinear,
    ops.ResizeNearest: resize.build_nearest,
    ops.Slice: layout.build_slice,
    ops.Softmax: softmax.build,
    ops.Split: layout.build_split,
    ops.Sub: elementwise.build_sum,
    ops.Transpose: layout.build_transpose,
    ops.TransposeConv2D: transpose_conv.build,
}


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    """The call of ``kernel`` that computes ``op``."""
    return BUILDERS[type(op)](graph, op, kernel)
