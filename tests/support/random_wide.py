"""Random networks all of whose rows can be cut into pieces."""

from __future__ import annotations

import numpy as np

from tests.support.networks import Builder
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph


def random_wide(rng: np.random.Generator, pieces: int, name: str = "wide") -> Graph:
    """Windows of several sizes, a residual connection, at times a pool, and a mean or a dense layer
    at the end.
    """
    net = Builder(name, seed=int(rng.integers(1 << 16)))
    height, width = int(rng.integers(7, 12)), pieces * 4 * int(rng.integers(1, 3))
    x = net.input(1, height, width, int(rng.integers(1, 5)))
    x = net.conv(x, int(rng.integers(3, 10)), int(rng.choice([1, 3, 5])), int(rng.integers(1, 3)))
    y = net.depthwise(net.conv(x, int(rng.integers(4, 14))), int(rng.choice([3, 5, 7])))
    x = net.add(x, net.conv(y, net.tensors[x].shape[3]))
    if rng.random() < 0.5:
        _, height, width, depth = net.tensors[x].shape
        shape = (1, height - 1, width // 2, depth)
        x = net._op(ops.MaxPool2D, (x,), shape, window=(2, 2), stride=(1, 2))
    x = net.conv(net.depthwise(x), int(rng.integers(2, 7)))
    end = rng.choice(["mean", "dense", "image"])
    if end == "mean":
        x = net._op(ops.Mean, (x,), (1, net.tensors[x].shape[3]), axes=(1, 2))
    elif end == "dense":
        x = net.dense(x, 5)
    return net.graph(x)
