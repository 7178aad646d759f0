"""DepthwiseConv2D for cores with MVE: a window of one channel in one vector, or in up to four.

For an output row the input rows under it are interleaved into a band, 16 channels at a time: each
column has, for every channel, a word with one byte of each of four rows. The words of four columns
are a vector with all taps of a 3x3 (or up to 4x4) window: one gathering load and one VMLADAV an
output. Larger windows, up to 8x8, take two words a column, two vectors of columns, or both.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.conv2d_mve import channel_constants
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import NOTHING, Window, diagonal, window
from tinyvision.target.core import Core

TEMPLATE = "depthwise_conv2d_mve"
GROUP = 16
"""Channels that are interleaved together."""
WORD_ROWS, VECTOR_COLUMNS = 4, 4
MOST_CHANNELS = 8000
"""Eight pixels' outputs are addressed by offsets of 16 bits."""


def candidates(graph: Graph, op: DepthwiseConv2D, core: Core) -> tuple[Kernel, ...]:
    """At most one: where the core has vectors, the sums provably suit its requantization, and a
    window's vectors lie within reach of each other.
    """
    shape = window(graph, op)
    if not (core.mve and requantization(graph, op).fast and op.multiplier == 1):
        return ()
    steps = increments(shape)
    if len(steps) > 4 or any(abs(step) > 508 for step in steps) or shape.channels > MOST_CHANNELS:
        return ()
    return (
        Kernel(
            TEMPLATE,
            TEMPLATE,
            scratch_bytes=columns(shape) * pitch(shape)
            + GROUP * (1 + kept_rows(shape) * shape.input[1]),
            flash_bytes=shape.channels * (16 * len(steps) + 12),
            overlap=(_lead(shape), None, None),
            overlap_step=shape.channels,
        ),
    )


def pitch(shape: Window) -> int:
    """Bytes of one column of the band."""
    return -(-shape.kernel[0] // WORD_ROWS) * WORD_ROWS * GROUP


def columns(shape: Window) -> int:
    """Columns of the band: all that an output row touches, and what fills a second vector."""
    last = shape.kernel[1] if shape.kernel[1] <= VECTOR_COLUMNS else 2 * VECTOR_COLUMNS
    return (shape.output[1] - 1) * shape.stride[1] + (last - 1) * shape.dilation[1] + 1


def kept_rows(shape: Window) -> int:
    """Input rows of a group of channels that are kept in scratch: with stride 1 the output's row
    may lie on the input's row of the same number, while the padding's height of rows above is
    needed still.
    """
    return shape.before[0] if shape.stride[0] == 1 and shape.output[0] > 1 else 0


def positions(shape: Window) -> list[int]:
    """Where the vectors of a window begin, from its first column on, in the order of loading."""
    across = VECTOR_COLUMNS * shape.dilation[1] * pitch(shape)
    return [
        across * i + row
        for i in range(-(-shape.kernel[1] // VECTOR_COLUMNS))
        for row in range(0, pitch(shape), WORD_ROWS * GROUP)
    ]


def increments(shape: Window) -> list[int]:
    """From one load's address to the next one's; the first comes after the last of the output
    before.
    """
    at = positions(shape)
    advance = shape.stride[1] * pitch(shape)
    return [advance + at[0] - at[-1], *np.diff(at).tolist()]


def stream(graph: Graph, op: DepthwiseConv2D) -> Array:
    """(channels, words) int32: weights as the windows' vectors lie; bias, multiplier, -shift."""
    shape, requant = window(graph, op), requantization(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    taps = np.moveaxis(weights[0], 2, 0)
    zero_point = conv_requant(graph, op).input_zero_point
    start = bias.astype(np.int64) - zero_point * taps.sum(axis=(1, 2), dtype=np.int64)
    across = -(-shape.kernel[1] // VECTOR_COLUMNS)
    down = -(-shape.kernel[0] // WORD_ROWS)
    padded = np.zeros((shape.channels, down * WORD_ROWS, across * VECTOR_COLUMNS), np.int8)
    padded[:, : shape.kernel[0], : shape.kernel[1]] = taps
    vectors = padded.reshape(-1, down, WORD_ROWS, across, VECTOR_COLUMNS).transpose(0, 3, 1, 4, 2)
    words = np.ascontiguousarray(vectors).reshape(shape.channels, -1).view("<i4")
    packed: Array = np.concatenate([words, channel_constants(start, requant)], axis=1)
    return packed.astype(np.int32)


def _lead(shape: Window) -> int:
    """Before an output row all input rows under it are read, as far as they aren't kept; other
    channels' bytes are never touched.
    """
    rows = np.arange(shape.output[0])[:, None]
    under = rows * shape.stride[0] - shape.before[0]
    under = under + np.arange(shape.kernel[0]) * shape.dilation[0]
    read = (under >= 0) & (under < shape.input[0])
    if kept_rows(shape):
        read &= under >= rows
        under = np.append(under, rows, axis=1)  # the row that is saved
        read = np.append(read, rows < shape.input[0], axis=1)
    top = np.where(read, under, NOTHING).min(axis=1)
    images = np.arange(shape.batch)[:, None]
    written = (images * shape.output[0] + rows[:, 0]) * shape.output[1]
    first = np.where(top == NOTHING, NOTHING, (images * shape.input[0] + top) * shape.input[1])
    pixels = shape.batch * shape.input[0] * shape.input[1]
    return diagonal(written, first, pixels) * shape.channels
