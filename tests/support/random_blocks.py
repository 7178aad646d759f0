"""Random networks of inverted residual blocks: what streams can compute in slices of channels."""

from __future__ import annotations

import numpy as np

from tests.support.random_layers import Layers
from tinyvision.ir.graph import Graph
from tinyvision.ir.verify import verify


class _Blocks(Layers):
    def block(self, x: str) -> str:
        """A convolution to more channels, a depthwise one, a convolution; perhaps with ``x``."""
        y = self.conv2d(x, self.integer(5, 21)) or x
        y = self.depthwise(y) or y
        depth = self.b.shape(x)[3]
        y = self.conv2d(y, depth if self.chance(0.5) else self.integer(2, 9)) or y
        if self.b.shape(y) == self.b.shape(x) and self.chance(0.7):
            y = self.residual(y) or y
        return y


def random_blocks(rng: np.random.Generator, count: int = 3) -> Graph:
    """One input, ``count`` blocks one after another, one output."""
    blocks = _Blocks(rng, in_file=False)
    shape = (1, blocks.integer(3, 12), blocks.integer(2, 9), blocks.integer(1, 5))
    x = blocks.b.input(shape, blocks.quant())
    for _ in range(count):
        x = blocks.block(x)
    graph = blocks.b.build(x)
    verify(graph)
    return graph
