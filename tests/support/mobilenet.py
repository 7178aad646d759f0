"""MobileNetV2 (Sandler et al., 2018, table 2) with random weights: a large network to plan."""

from __future__ import annotations

from tests.support.networks import Builder
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph

BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repetitions, stride of the first."""


def mobilenet_v2(size: int = 224, classes: int = 1000, seed: int = 0) -> Graph:
    """Width 1.0; the same seed gives the same weights."""
    net = Builder(f"mobilenet_v2_{size}", seed)
    x = net.conv(net.input(1, size, size, 3), 32, 3, 2)
    depth = 32
    for expansion, channels, count, first in BLOCKS:
        for stride in (first, *(1 for _ in range(count - 1))):
            y = net.conv(x, expansion * depth) if expansion > 1 else x
            y = net.conv(net.depthwise(y, 3, stride), channels)
            x = net.add(x, y) if stride == 1 and depth == channels else y
            depth = channels
    x = net.conv(x, 1280)
    window = net.tensors[x].shape[1:3]
    x = net._op(ops.AveragePool2D, (x,), (1, 1, 1, 1280), window=window, stride=(1, 1))
    return net.graph(net.dense(net.reshape(x, 1, 1280), classes))
