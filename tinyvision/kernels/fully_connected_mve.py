"""FullyConnected for cores with MVE: a vector of inputs serves four channels."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected
from tinyvision.ir.types import Array
from tinyvision.kernels.conv2d_mve import VECTOR, channel_constants, channel_words
from tinyvision.kernels.requant import requantization
from tinyvision.target.core import Core

TEMPLATE = "fully_connected_mve"
BLOCK_CHANNELS = 4
MOST_BLOCKS = 65535
"""Loop counters are constants of 16 bits."""


def applies(graph: Graph, op: FullyConnected, core: Core) -> bool:
    """Where the core has vectors, weights have no zero point, and the sums provably suit the
    requantization.
    """
    channels, depth = graph.tensor(op.inputs[1]).shape
    small = channels <= MOST_BLOCKS * BLOCK_CHANNELS and depth <= MOST_BLOCKS * VECTOR
    fast = core.mve and requantization(graph, op).fast
    return fast and small and conv_requant(graph, op).weights_zero_point == 0


def steps(depth: int) -> int:
    """Vectors that ``depth`` inputs fill."""
    return -(-depth // VECTOR)


def padded(channels: int) -> int:
    return -(-channels // BLOCK_CHANNELS) * BLOCK_CHANNELS


def stream(graph: Graph, op: FullyConnected) -> Array:
    """Weights and constants in the order in which the kernel reads them (int32)."""
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    sums = weights.sum(axis=1, dtype=np.int64)
    start = bias.astype(np.int64) - conv_requant(graph, op).input_zero_point * sums
    constants = channel_constants(start, requantization(graph, op))
    missing = ((0, padded(len(bias)) - len(bias)), (0, 0))
    weights, constants = np.pad(weights, missing), np.pad(constants, missing)
    blocks = range(0, len(weights), BLOCK_CHANNELS)
    return np.concatenate(
        [
            channel_words(weights[i : i + BLOCK_CHANNELS], constants[i : i + BLOCK_CHANNELS].T)
            for i in blocks
        ]
    )
