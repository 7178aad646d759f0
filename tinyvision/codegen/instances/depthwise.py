"""Instances of DepthwiseConv2D."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances import depthwise_bands, depthwise_kronecker, depthwise_mve
from tinyvision.codegen.instances.conv2d import VARYING, window_context
from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import (
    pack_pairs,
    requant_context,
    requant_tables,
    wrapped,
)
from tinyvision.codegen.sums import sums_of
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D, Op
from tinyvision.kernels.depthwise import (
    band_of,
    is_dual,
    line_elements,
    odd_outputs,
    pair_starts,
)
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import lanes_of
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import window


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, DepthwiseConv2D)
    shape, requant = window(graph, op), requantization(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    zero_point = graph.tensor(op.inputs[0]).zero_point
    tensors = (TensorArg(op.inputs[0]), TensorArg(op.outputs[0]))
    context: dict[str, Value] = {
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
            context={**requant_context(requant), **context, "lanes": lanes_of(kernel)},
            varying=(*VARYING, "output_zero_point"),
        )
    if kernel.template == "depthwise_conv2d_bands":
        return depthwise_bands.build(graph, op, window_context(shape), shape)
    if kernel.template == "depthwise_conv2d_mve":
        return depthwise_mve.build(graph, op, context, shape)
    tops = np.arange(shape.output[0]) * shape.stride[0] - shape.before[0]
    inside = np.all((tops + shape.kernel[0] > 0) & (tops < shape.input[0]))
    context |= {
        "band": band_of(kernel),
        "dual": int(is_dual(kernel)),
        "windows_inside": int(inside),
    }
    if kernel.template == "depthwise_conv2d_kronecker":
        return depthwise_kronecker.build(graph, op, context, shape)
    taps = np.moveaxis(weights[0], 2, 0)
    found = sums_of(graph, op, wrapped(bias))
    return Instance(
        args=(
            *tensors,
            ConstArg("pairs", pack_pairs(taps, pair_starts(shape))),
            ConstArg("words", found.words[0].astype(np.int32)),
            ScratchArg(),
        ),
        context={
            **context,
            **found.context,
            "line": line_elements(shape),
            "row_pairs": len(pair_starts(shape)),
            "odd_outputs": int(odd_outputs(shape)),
        },
    )
