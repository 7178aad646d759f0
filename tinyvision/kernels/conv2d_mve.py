"""Conv2D for cores with MVE: 16 products an instruction, four pixels by two channels at a time.

The inputs of a pixel are vectors of 16 bytes: pointwise convolutions read them where they lie, all
others from columns in scratch. The core adds a vector of products to a general register and can
take eight of those; so the inputs of four pixels and the weights of two channels come by six loads
for eight multiplications.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import Requantization, requantization
from tinyvision.kernels.window import Window, block_lead, diagonal, pixel_blocks, window
from tinyvision.target.core import Core

VECTOR = 16
"""Bytes of a vector register."""
BLOCK_PIXELS, BLOCK_CHANNELS = 4, 2
MOST_STEPS = 255
"""Vectors of one pixel's inputs: pointers are moved by constants of 12 bits."""
MOST_CHANNELS = 20000
"""Three pixels' outputs are addressed by offsets of 16 bits."""


def candidates(graph: Graph, op: Conv2D, core: Core) -> tuple[Kernel, ...]:
    """None but where the core has vectors and the sums provably suit its requantization. Pointwise
    convolutions, too, may copy their inputs, so that the output can lie closer to them.
    """
    shape = window(graph, op)
    fast = requantization(graph, op).fast
    if not (core.mve and fast) or steps(shape) > MOST_STEPS or shape.channels > MOST_CHANNELS:
        return ()
    flash_bytes = 4 * shape.channels * (VECTOR // 4 * steps(shape) + 3)
    copying = Kernel(
        "conv2d_mve",
        "conv2d_1x1_mve_copying" if shape.is_pointwise else "conv2d_mve",
        scratch_bytes=columns_bytes(shape),
        flash_bytes=flash_bytes,
        overlap=(block_lead(shape, BLOCK_PIXELS), None, None),
    )
    if not shape.is_pointwise:
        return (copying,)
    direct = Kernel(
        "conv2d_1x1_mve",
        "conv2d_1x1_mve",
        flash_bytes=flash_bytes,
        overlap=(_direct_lead(shape), None, None),
    )
    return (direct, copying)


def steps(shape: Window) -> int:
    """Vectors that a pixel's inputs fill."""
    return -(-shape.taps // VECTOR)


def columns_bytes(shape: Window) -> int:
    """Scratch: the columns, and room for a vector that begins in the last one's last byte."""
    return (BLOCK_PIXELS * steps(shape) + 1) * VECTOR


def stream(graph: Graph, op: Conv2D) -> Array:
    """Weights and constants in the order in which the kernel reads them (int32)."""
    shape, requant = window(graph, op), requantization(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    rows = weights.reshape(shape.channels, shape.taps)
    start = bias.astype(np.int64) - conv_requant(graph, op).input_zero_point * rows.sum(
        axis=1, dtype=np.int64
    )
    groups = np.split(np.arange(shape.channels), shape.groups)
    return np.concatenate(
        [
            channel_words(rows[block], channel_constants(start, requant)[block])
            for group in groups
            for block in np.split(group, range(BLOCK_CHANNELS, len(group), BLOCK_CHANNELS))
        ]
    )


def channel_constants(start: Array, requant: Requantization) -> Array:
    """(channels, 3) int32: folded bias, multiplier, the negative of the shift to the right."""
    columns = (start, requant.multipliers, -np.array(requant.shifts))
    return np.stack([np.asarray(c, np.int64) for c in columns], axis=1).astype(np.int32)


def channel_words(rows: Array, constants: Array) -> Array:
    """A block of channels: a vector of the first one's weights, one of the second one's, ..., then
    the next taps; after the last taps the constants, channel by channel.
    """
    channels, taps = rows.shape
    padded = np.zeros((channels, -(-taps // VECTOR) * VECTOR), np.int8)
    padded[:, :taps] = rows
    vectors = padded.reshape(channels, -1, VECTOR).swapaxes(0, 1)
    words: Array = np.concatenate(
        [np.ascontiguousarray(vectors).reshape(-1).view("<i4"), constants.reshape(-1)]
    )
    return words.astype(np.int32)


def _direct_lead(shape: Window) -> int:
    """The inputs of a block of pixels are read again for each two channels."""
    _, last, lowest = pixel_blocks(shape, shape.pixels, BLOCK_PIXELS)
    before_the_last = (shape.channels - 1) // BLOCK_CHANNELS * BLOCK_CHANNELS
    if before_the_last == 0:
        return block_lead(shape, BLOCK_PIXELS)
    return diagonal(last * shape.channels + before_the_last, lowest, shape.input_bytes)
