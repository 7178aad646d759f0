"""FullyConnected for Arm cores without SIMD: four channels' weights in a word, never taken apart.

With W = ((c3 * 256 + c2) * 256 + c1) * 256 + c0, the sums of x * W, x * (W >> 8), x * (W >> 16) and
x * (W >> 24) each hold the next one times 256 and one channel's sum, all of it modulo 2**32. Bytes
below the highest are unsigned, so that those channels' weights are stored with 128 added; the sum
of the inputs takes that out again, and the weights' zero point with it.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected
from tinyvision.ir.types import Array
from tinyvision.kernels.conv2d_lanes import line_words
from tinyvision.kernels.narrow_requant import line
from tinyvision.target.core import Core

TEMPLATE = "fully_connected_quads"
QUAD = 4


def applies(core: Core) -> bool:
    return bool(core.cpu) and not core.dsp


def padded(channels: int) -> int:
    """Channels with those that fill the last word."""
    return -(-channels // QUAD) * QUAD


def weights(graph: Graph, op: FullyConnected) -> Array:
    """Words (uint32) of quads of channels, each quad's taps in order."""
    rows = graph.tensor(op.inputs[1]).data
    assert rows is not None
    channels, depth = rows.shape
    wide = np.zeros((padded(channels), depth), np.int64)
    wide[:channels] = rows
    c0, c1, c2, c3 = wide.reshape(-1, QUAD, depth).swapaxes(0, 1)
    words = (c3 << 24) + ((c2 + 128) << 16) + ((c1 + 128) << 8) + c0 + 128
    packed: Array = (words % 2**32).astype(np.uint32).ravel()
    return packed


def constants(graph: Graph, op: FullyConnected) -> Array:
    """For each channel its bias and the words of its requantization (uint32)."""
    rows, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert rows is not None and bias is not None
    params, fitted = conv_requant(graph, op), line(graph, op)
    sums = (rows.astype(np.int64) - params.weights_zero_point).sum(axis=1)
    start = bias.astype(np.int64) - params.input_zero_point * sums
    words: list[int] = []
    for channel in range(rows.shape[0]):
        if fitted is None:
            words += [int(start[channel]), params.multipliers[channel], params.shifts[channel]]
        else:
            first = 0 if fitted.ties else int(fitted.first[channel])
            words += [int(start[channel]) - first, *line_words(fitted, channel)]
    return np.array([word % 2**32 for word in words], np.uint32)
