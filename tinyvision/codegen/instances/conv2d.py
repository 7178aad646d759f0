"""Instances of Conv2D."""

from __future__ import annotations

from tinyvision.codegen.instances import conv2d_lanes, conv2d_mve, pointwise, winograd
from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import (
    requant_context,
    requant_tables,
    wrapped,
)
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, Op
from tinyvision.kernels.conv2d import columns_bytes, run_length
from tinyvision.kernels.conv2d_lanes import BLOCKS
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.pointwise import AHEAD_BYTES
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window, window

VARYING = (
    "in_height",
    "in_width",
    "depth",
    "out_height",
    "out_width",
    "channels",
    "kernel_height",
    "kernel_width",
    "stride_y",
    "stride_x",
    "pad_top",
    "pad_left",
    "input_zero_point",
)
"""What windowed kernels may read at run time."""


def window_context(shape: Window) -> dict[str, Value]:
    """The integers that every windowed kernel needs; ``rows_only`` renders the function of one
    output row alone, for streams.
    """
    return {
        "rows_only": 0,
        "batch": shape.batch,
        "in_height": shape.input[0],
        "in_width": shape.input[1],
        "depth": shape.depth,
        "out_height": shape.output[0],
        "out_width": shape.output[1],
        "channels": shape.channels,
        "kernel_height": shape.kernel[0],
        "kernel_width": shape.kernel[1],
        "kernel_width_reach": (shape.kernel[1] - 1) * shape.dilation[1] + 1,
        "stride_y": shape.stride[0],
        "stride_x": shape.stride[1],
        "dilation_y": shape.dilation[0],
        "dilation_x": shape.dilation[1],
        "pad_top": shape.before[0],
        "pad_left": shape.before[1],
    }


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Conv2D)
    shape, requant = window(graph, op), requantization(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    zero_point = graph.tensor(op.inputs[0]).zero_point
    tensors = (TensorArg(op.inputs[0]), TensorArg(op.outputs[0]))
    context = {
        **requant_context(requant),
        "channels": shape.channels,
        "depth": shape.depth,
        "groups": shape.groups,
    }
    if kernel.template == "conv2d":
        return Instance(
            args=(
                *tensors,
                ConstArg("weights", weights),
                ConstArg("bias", wrapped(bias)),
                *requant_tables(requant),
            ),
            context={
                **context,
                **window_context(shape),
                "input_zero_point": zero_point,
                "group_depth": shape.group_depth,
            },
            varying=(*VARYING, "group_depth", "output_zero_point"),
        )
    if kernel.template in ("conv2d_winograd", "conv2d_winograd_rows"):
        return winograd.build(graph, op, kernel, tensors, window_context(shape))
    if kernel.template == "conv2d_lanes":
        block = BLOCKS[kernel.variant]
        return conv2d_lanes.build(graph, op, window_context(shape), shape, block)
    if kernel.template in ("conv2d_mve", "conv2d_1x1_mve"):
        return conv2d_mve.build(graph, op, kernel, window_context(shape), shape)
    if kernel.template == "conv2d_1x1_dsp":
        return pointwise.build(graph, op, kernel, shape)
    run, runs = run_length(shape)
    found = pointwise.products(graph, op, kernel, shape, pointwise.tap_order(run, runs))
    return Instance(
        args=(*tensors, ConstArg("stream", found.stream), ScratchArg()),
        context={
            **found.context,
            **window_context(shape),
            "groups": shape.groups,
            "group_channels": shape.group_channels,
            "group_depth": shape.group_depth,
            "input_zero_point": zero_point,
            "columns_bytes": columns_bytes(shape, found.block),
            "ahead": AHEAD_BYTES,
        },
        varying=("channels", "taps", "one_shift"),
    )
