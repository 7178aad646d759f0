"""Instance of TransposeConv2D."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import ConstArg, Instance, TensorArg
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, TransposeConv2D
from tinyvision.kernels.kernel import Kernel


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, TransposeConv2D)
    x, weights, bias = graph.input_tensors(op)
    (y,) = graph.output_tensors(op)
    assert weights.data is not None and bias.data is not None
    requant = conv_requant(graph, op)
    return Instance(
        args=(
            operand(x, "input"),
            TensorArg(y.name),
            ConstArg("weights", weights.data),
            # Sums wrap in 32 bits, so a 64-bit bias may do so before.
            ConstArg("bias", bias.data.astype(np.int32)),
            ConstArg("multipliers", np.array(requant.multipliers, np.int32)),
            ConstArg("shifts", np.array(requant.shifts, np.int32)),
        ),
        context={
            "batch": x.shape[0],
            "height": x.shape[1],
            "width": x.shape[2],
            "input_channels": x.shape[3],
            "output_height": y.shape[1],
            "output_width": y.shape[2],
            "channels": y.shape[3],
            "kernel_h": weights.shape[1],
            "kernel_w": weights.shape[2],
            "stride_h": op.stride[0],
            "stride_w": op.stride[1],
            "top": op.padding.top,
            "left": op.padding.left,
            "input_zero_point": requant.input_zero_point,
            "output_zero_point": requant.output_zero_point,
            "low": op.clamp[0],
            "high": op.clamp[1],
        },
    )
