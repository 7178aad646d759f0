"""Instances of DepthwiseConv2D."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances import depthwise_bands, depthwise_mve
from tinyvision.codegen.instances.conv2d import window_context
from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg
from tinyvision.codegen.packing import (
    folded_bias,
    pack_pairs,
    requant_context,
    requant_tables,
    wrapped,
)
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D, Op
from tinyvision.kernels.depthwise import GROUP, line_elements, odd_outputs, pair_starts
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import window


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, DepthwiseConv2D)
    shape, requant = window(graph, op), requantization(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    zero_point = graph.tensor(op.inputs[0]).zero_point
    tensors = (TensorArg(op.inputs[0]), TensorArg(op.outputs[0]))
    context = {
        **requant_context(requant),
        **window_context(shape),
        "input_zero_point": zero_point,
    }
    if kernel.template == "depthwise_conv2d":
        return Instance(
            args=(
                *tensors,
                ConstArg("weights", weights),
                ConstArg("bias", wrapped(bias)),
                *requant_tables(requant),
            ),
            context=context,
        )
    if kernel.template == "depthwise_conv2d_bands":
        return depthwise_bands.build(graph, op, window_context(shape), shape)
    if kernel.template == "depthwise_conv2d_mve":
        return depthwise_mve.build(graph, op, context, shape)
    taps = np.moveaxis(weights[0], 2, 0)
    sums = taps.sum(axis=(1, 2), dtype=np.int64)
    return Instance(
        args=(
            *tensors,
            ConstArg("pairs", pack_pairs(taps, pair_starts(shape))),
            ConstArg("bias", folded_bias(bias, sums, zero_point)),
            *requant_tables(requant),
            ScratchArg(),
        ),
        context={
            **context,
            "group": GROUP,
            "line": line_elements(shape),
            "row_pairs": len(pair_starts(shape)),
            "odd_outputs": int(odd_outputs(shape)),
        },
    )
