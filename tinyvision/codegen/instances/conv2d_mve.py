"""Instances of Conv2D for cores with MVE."""

from __future__ import annotations

from collections.abc import Mapping

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import requant_context
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.kernels.conv2d_mve import steps, stream
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window


def build(graph: Graph, op: Conv2D, geometry: Mapping[str, Value], shape: Window) -> Instance:
    """``geometry``: what every windowed kernel needs to know of its shape."""
    context: dict[str, Value] = {
        **requant_context(requantization(graph, op)),
        "channels": shape.channels,
        "depth": shape.depth,
        "group_channels": shape.group_channels,
        "steps": steps(shape),
    }
    if shape.is_pointwise:
        context |= {"pixels": shape.pixels}
    else:
        context |= {
            **geometry,
            "taps": shape.taps,
            "groups": shape.groups,
            "group_depth": shape.group_depth,
            "input_zero_point": graph.tensor(op.inputs[0]).zero_point,
        }
    scratch = () if shape.is_pointwise else (ScratchArg(),)
    tensors = (TensorArg(op.inputs[0]), TensorArg(op.outputs[0]))
    return Instance((*tensors, ConstArg("stream", stream(graph, op)), *scratch), context)
