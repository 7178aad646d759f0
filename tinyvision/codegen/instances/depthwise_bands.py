"""Instances of DepthwiseConv2D over bands of words."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.conv2d_lanes import line_context
from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.kernels import depthwise_bands as bands
from tinyvision.kernels.narrow_requant import line
from tinyvision.kernels.window import Window


def build(graph: Graph, op: DepthwiseConv2D, context: dict[str, Value], shape: Window) -> Instance:
    """``context``: the integers of the window. Weights go channel by channel, in each the column
    that the kernel needs first; see the template.
    """
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    columns = [2, 1, 0] if shape.stride[1] == 1 else [1, 2, 0]
    packed = weights[0][:, columns].transpose(2, 1, 0)
    table = bands.constants(graph, op) % 2**32
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("weights", np.ascontiguousarray(packed)),
            ConstArg("constants", table.astype(np.uint32)),
            ScratchArg(),
        ),
        context={
            **context,
            **line_context(line(graph, op)),
            "low": op.clamp[0],
            "high": op.clamp[1],
            "flip": (op.clamp[0] ^ op.clamp[1]) % 256,
            "input_zero_point": graph.tensor(op.inputs[0]).zero_point,
            "band_rows": bands.band_rows(shape),
            "band_lines": bands.band_lines(shape),
            "band_columns": bands.band_columns(shape),
        },
    )
