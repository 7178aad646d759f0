"""Instances of FullyConnected."""

from __future__ import annotations

from tinyvision.codegen.instances.conv2d_lanes import line_context
from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg
from tinyvision.codegen.packing import (
    folded_bias,
    pack_rows,
    requant_context,
    requant_tables,
    wrapped,
)
from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected, Op
from tinyvision.kernels import (
    fully_connected_halves,
    fully_connected_mve,
    fully_connected_quads,
)
from tinyvision.kernels.fully_connected import BLOCK_CHANNELS
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.narrow_requant import line
from tinyvision.kernels.requant import requantization


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, FullyConnected)
    x, requant, params = (
        graph.tensor(op.inputs[0]),
        requantization(graph, op),
        conv_requant(graph, op),
    )
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    channels, depth = weights.shape
    rows = x.elements // depth
    tensors = (TensorArg(op.inputs[0]), TensorArg(op.outputs[0]))
    context = {**requant_context(requant), "depth": depth, "channels": channels}
    if kernel.template == "fully_connected":
        return Instance(
            args=(
                *tensors,
                ConstArg("weights", weights),
                ConstArg("bias", wrapped(bias)),
                *requant_tables(requant),
            ),
            context={
                **context,
                "rows": rows,
                "input_zero_point": params.input_zero_point,
                "weights_zero_point": params.weights_zero_point,
            },
        )
    if kernel.template == fully_connected_halves.TEMPLATE:
        dual, wide = kernel.variant.endswith("_dual"), kernel.scratch_bytes > 0
        block = fully_connected_halves.block_of(kernel.variant)
        stream, first_words = fully_connected_halves.stream(graph, op, block, dual)
        return Instance(
            args=(*tensors, ConstArg("stream", stream), *((ScratchArg(),) if wide else ())),
            context={
                "low": op.clamp[0],
                "high": op.clamp[1],
                "ties": int(requant.ties),
                "per_channel": int(requant.per_channel),
                "depth": depth,
                "taps": fully_connected_halves.taps(depth),
                "channels": channels,
                "rows": rows,
                "dual": int(dual),
                "ahead": fully_connected_halves.AHEAD_BYTES if dual else 0,
                "wide": int(wide),
                "block": block,
                "first_words": first_words,
            },
        )
    if kernel.template == fully_connected_mve.TEMPLATE:
        return Instance(
            args=(*tensors, ConstArg("stream", fully_connected_mve.stream(graph, op))),
            context={**context, "rows": rows, "steps": fully_connected_mve.steps(depth)},
        )
    if kernel.template == fully_connected_quads.TEMPLATE:
        return Instance(
            args=(
                *tensors,
                ConstArg("weights", fully_connected_quads.weights(graph, op)),
                ConstArg("constants", fully_connected_quads.constants(graph, op)),
            ),
            context={
                **line_context(line(graph, op)),
                "low": op.clamp[0],
                "high": op.clamp[1],
                "output_zero_point": params.output_zero_point,
                "depth": depth,
                "channels": channels,
                "rows": rows,
                "weights_zero_point": params.weights_zero_point,
            },
        )
    sums = weights.sum(axis=1, dtype="int64")
    return Instance(
        args=(
            *tensors,
            ConstArg("weights", pack_rows(weights[None], BLOCK_CHANNELS, widened_in_order=False)),
            ConstArg("bias", folded_bias(bias, sums, params.input_zero_point)),
            *requant_tables(requant),
        ),
        context={**context, "rows": rows, "block_channels": BLOCK_CHANNELS},
    )
