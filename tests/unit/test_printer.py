"""The printed graph and the multiply-accumulates it mentions."""

from __future__ import annotations

import numpy as np

from tests.support.graph_builder import GraphBuilder
from tinyvision.ir import ops
from tinyvision.ir.macs import graph_macs, macs
from tinyvision.ir.ops import Padding
from tinyvision.ir.printer import to_text
from tinyvision.ir.types import DType


def test_text_of_a_graph() -> None:
    b = GraphBuilder("net")
    x = b.input((1, 8, 8, 3), (0.5, -1), name="image")
    y = b.weighted(
        ops.Conv2D,
        x,
        np.ones((2, 3, 3, 3)),
        stride=(2, 2),
        padding=Padding(0, 1, 0, 1),
        clamp=(0, 127),
        quant=(0.25, 0),
        scales=(0.1, 0.2),
    )
    z = b.op(ops.Pad, y, pads=((0, 0), (1, 0), (0, 0), (0, 0)), mode=ops.PadMode.REFLECT)
    graph = b.build(z, interface={"image": DType.FLOAT32})
    assert to_text(graph) == (
        "graph net\n"
        "  input  %image: int8[1x8x8x3]{0.5*(q+1)} as float32\n"
        "  %conv2d0: int8[1x4x4x2]{0.25*(q+0)} = Conv2D(%image, int8[2x3x3x3]{2 scales}, "
        "int32[2]{2 scales}, stride=(2,2), padding=(0,1,0,1), clamp=(0,127))  "
        "# conv2d0, 864 MACs\n"
        "  %pad1: int8[1x5x4x2]{0.25*(q+0)} = Pad(%conv2d0, pads=((0,0),(1,0),(0,0),(0,0)), "
        "mode=reflect)  # pad1\n"
        "  output %pad1: int8[1x5x4x2]{0.25*(q+0)}\n"
    )


def test_macs_of_every_weighted_operator() -> None:
    b = GraphBuilder()
    x = b.input((1, 6, 5, 4))
    grouped = b.weighted(ops.Conv2D, x, np.ones((6, 3, 3, 2)), stride=(1, 1))
    depthwise = b.weighted(
        ops.DepthwiseConv2D, grouped, np.ones((1, 2, 2, 12)), stride=(1, 1), multiplier=2
    )
    up = b.weighted(ops.TransposeConv2D, depthwise, np.ones((3, 2, 2, 12)), stride=(2, 2))
    flat = b.op(ops.Reshape, up, shape=(2, 36))
    dense = b.weighted(ops.FullyConnected, flat, np.ones((7, 36)))
    graph = b.build(b.op(ops.Softmax, dense, quant=(1 / 256, -128)))
    counts = [macs(graph, op) for op in graph.ops]
    assert counts == [4 * 3 * 6 * 9 * 2, 3 * 2 * 12 * 4, 3 * 2 * 12 * 4 * 3, 0, 2 * 36 * 7, 0]
    assert graph_macs(graph) == sum(counts)
