"""Conv2D for Arm cores without SIMD: two pixels in one register (``lanes16``), eight or four at a
time.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels import lanes16
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.narrow_requant import Line, line
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window, diagonal, window
from tinyvision.target.core import Core

TEMPLATE = "conv2d_lanes"
BLOCKS = {"conv2d_lanes": 8, "conv2d_lanes_4": 4}
"""Pixels at a time, by variant: the smaller block has half the scratch."""


def candidates(graph: Graph, op: Conv2D, core: Core) -> tuple[Kernel, ...]:
    """None but for cores that are Arm's and have no SIMD. The larger block is the faster one,
    where there are so many pixels.
    """
    shape = window(graph, op)
    requantization(graph, op)  # refuses what is not int8
    if not core.cpu or core.dsp or shape.groups > 1 or shape.dilation[1] > 1:
        return ()
    if lanes16.slices(shape.taps) > lanes16.MOST_SLICES:
        return ()
    flash_bytes = 4 * stream(graph, op).size
    useful = [v for v, block in BLOCKS.items() if block == 4 or row_pixels(shape) > 4]
    return tuple(
        Kernel(
            TEMPLATE,
            variant,
            scratch_bytes=scratch_bytes(shape, BLOCKS[variant]),
            by_rows=False,
            flash_bytes=flash_bytes,
            overlap=(_block_lead(shape, BLOCKS[variant]), None, None),
        )
        for variant in useful
    )


def scratch_bytes(shape: Window, block: int) -> int:
    """Columns of words, one for each two pixels of a block."""
    pairs = -(-min(block, row_pixels(shape)) // 2)
    return -(-lanes16.slices(shape.taps) * lanes16.SLICE * pairs * 4 // 8) * 8


def row_pixels(shape: Window) -> int:
    """Pixels that blocks are cut from: a row, or everything where no window crosses pixels."""
    return shape.pixels if shape.is_pointwise else shape.output[1]


def stream(graph: Graph, op: Conv2D) -> Array:
    """Biases, weights and constants in the order in which the kernel reads them (uint32)."""
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    rows = weights.reshape(weights.shape[0], -1)
    params, fitted = conv_requant(graph, op), line(graph, op)
    folded = bias.astype(np.int64) - params.input_zero_point * rows.sum(axis=1, dtype=np.int64)
    words: list[int] = []
    for channel, taps in enumerate(rows):
        if fitted is None:
            constants = [params.multipliers[channel], params.shifts[channel]]
            start = int(folded[channel])
        else:
            constants = line_words(fitted, channel)
            start = int(folded[channel]) - (0 if fitted.ties else int(fitted.first[channel]))
        words += lanes16.channel_words(start, lanes16.runs(taps), constants)
    return np.array(words, np.uint32)


def line_words(fitted: Line, channel: int) -> list[int]:
    """Reach and shift, factor and fraction, offset; where ties are corrected, ``-first``."""
    words = [
        int(fitted.reach[channel]) << 8 | int(fitted.shift[channel]),
        int(fitted.factor[channel]) << 16 | int(fitted.fraction[channel]),
        int(fitted.offset[channel]),
    ]
    return [*words, -int(fitted.first[channel])] if fitted.ties else words


def _block_lead(shape: Window, block: int) -> int:
    """A block of pixels is read, then written."""
    row = row_pixels(shape)
    starts = np.arange(0, row, block)
    pixels = np.arange(shape.pixels, dtype=np.int64).reshape(-1, row)
    lowest = np.minimum.reduceat(shape.first_reads().reshape(-1, row), starts, axis=1)
    input_bytes = shape.batch * shape.input[0] * shape.input[1] * shape.depth
    return diagonal(pixels[:, starts] * shape.channels, lowest, input_bytes)
