"""Instances of Conv2D for cores with MVE."""

from __future__ import annotations

from collections.abc import Mapping

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import requant_context
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.kernels.conv2d_mve import steps, stream
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window


def build(
    graph: Graph, op: Conv2D, kernel: Kernel, geometry: Mapping[str, Value], shape: Window
) -> Instance:
    """``geometry``: what every windowed kernel needs to know of its shape."""
    context: dict[str, Value] = {
        **requant_context(requantization(graph, op)),
        "channels": shape.channels,
        "depth": shape.depth,
        "group_channels": shape.group_channels,
        "steps": steps(shape),
    }
    tensors = (TensorArg(op.inputs[0]), TensorArg(op.outputs[0]))
    constants = ConstArg("stream", stream(graph, op))
    if kernel.template == "conv2d_1x1_mve":
        return Instance((*tensors, constants), {**context, "pixels": shape.pixels})
    context |= {
        **geometry,
        "taps": shape.taps,
        "groups": shape.groups,
        "group_depth": shape.group_depth,
        "input_zero_point": graph.tensor(op.inputs[0]).zero_point,
    }
    if shape.is_pointwise:  # one row of all pixels
        context |= {"batch": 1, "in_height": 1, "out_height": 1}
        context |= {"in_width": shape.pixels, "out_width": shape.pixels}
    return Instance((*tensors, constants, ScratchArg()), context)
