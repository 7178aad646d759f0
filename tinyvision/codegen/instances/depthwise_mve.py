"""Instance of DepthwiseConv2D for cores with MVE."""

from __future__ import annotations

from collections.abc import Mapping

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import requant_context
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.kernels.depthwise_mve import (
    columns,
    increments,
    kept_rows,
    pitch,
    positions,
    stream,
)
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window

CHANNEL_BYTES = 4
"""From one channel's word of the band to the next one's."""


def build(
    graph: Graph, op: DepthwiseConv2D, context: Mapping[str, Value], shape: Window
) -> Instance:
    """``context``: geometry and the input's zero point."""
    advance = shape.stride[1] * pitch(shape)
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("stream", stream(graph, op)),
            ScratchArg(),
        ),
        context={
            **requant_context(requantization(graph, op)),
            **context,
            "columns": columns(shape),
            "kept": kept_rows(shape),
            "increments": tuple(increments(shape)),
            # Addresses before the first output's first load, and back there for the next channel.
            "start": positions(shape)[-1] - advance,
            "back": shape.output[1] * advance - CHANNEL_BYTES,
        },
    )
