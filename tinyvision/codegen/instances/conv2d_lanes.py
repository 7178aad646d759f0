"""Instances of Conv2D with two pixels in one register."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.kernels import conv2d_lanes, lanes16
from tinyvision.kernels.narrow_requant import Line, line
from tinyvision.kernels.window import Window


def line_context(fitted: Line | None) -> dict[str, Value]:
    """What ``kernels/_line.j2`` needs to know."""
    if fitted is None:
        return {"narrow": 0, "drop": 0, "ties": 0, "tie": 0}
    return {
        "narrow": 1,
        "drop": fitted.drop,
        "ties": int(fitted.ties),
        "tie": fitted.tie,
    }


def build(
    graph: Graph, op: Conv2D, context: dict[str, Value], shape: Window, block: int
) -> Instance:
    """``context``: the integers of the window and of the output."""
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("stream", conv2d_lanes.stream(graph, op)),
            ScratchArg(),
        ),
        context={
            **context,
            **line_context(line(graph, op)),
            "low": op.clamp[0],
            "high": op.clamp[1],
            "flip": (op.clamp[0] ^ op.clamp[1]) % 256,
            "output_zero_point": graph.tensor(op.outputs[0]).zero_point,
            "input_zero_point": graph.tensor(op.inputs[0]).zero_point,
            "slices": lanes16.slices(shape.taps),
            "centre": lanes16.CENTRE * 0x10001,
            "pointwise": int(shape.is_pointwise),
            "block": block,
            "row_pixels": conv2d_lanes.row_pixels(shape),
        },
    )
