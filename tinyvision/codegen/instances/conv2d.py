"""Instances of Conv2D."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import (
    folded_bias,
    pack_rows,
    requant_context,
    requant_tables,
    wrapped,
)
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, Op
from tinyvision.kernels.conv2d import BLOCK_CHANNELS, BLOCK_PIXELS, padded_taps
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window, window


def window_context(shape: Window) -> dict[str, Value]:
    """The integers that every windowed kernel needs."""
    return {
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
        )
    rows = weights.reshape(shape.channels, shape.taps)
    groups = rows.reshape(shape.groups, shape.group_channels, shape.taps)
    sums = rows.sum(axis=1, dtype="int64")
    context |= {
        "taps": padded_taps(shape.taps),
        "group_channels": shape.group_channels,
        "block_pixels": BLOCK_PIXELS,
        "block_channels": BLOCK_CHANNELS,
    }
    if kernel.template == "conv2d_dsp":
        context |= window_context(shape)
        context |= {"input_zero_point": zero_point, "group_depth": shape.group_depth}
    else:
        context["pixels"] = shape.pixels
    packed = pack_rows(groups, BLOCK_CHANNELS, widened_in_order=kernel.template == "conv2d_dsp")
    return Instance(
        args=(
            *tensors,
            ConstArg("weights", packed),
            ConstArg("bias", folded_bias(bias, sums, zero_point)),
            *requant_tables(requant),
            ScratchArg(),
        ),
        context=context,
    )
