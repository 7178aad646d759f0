"""DepthwiseConv2D 3x3 for Arm cores without SIMD: channel by channel over bands of words.

A band is some input rows of one channel, every element a word, column by column, padding included:
a column's three elements come by one load, and take part in up to three outputs' sums that stay in
registers until they are complete.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.narrow_requant import line
from tinyvision.kernels.window import NOTHING, Window, diagonal, window
from tinyvision.target.core import Core

TEMPLATE = "depthwise_conv2d_bands"
CONSTANTS = 6
"""Words of a channel in flash: bias, reach, factor, fraction, offset, shift; then ``-first``."""


def candidates(graph: Graph, op: DepthwiseConv2D, core: Core) -> tuple[Kernel, ...]:
    """At most one: 3x3, stride 1 or 2 in columns, where the line is known."""
    shape = window(graph, op)
    fitted = line(graph, op)
    applies = (
        core.cpu
        and not core.dsp
        and op.multiplier == 1
        and op.dilation == (1, 1)
        and shape.kernel == (3, 3)
        and shape.stride[0] <= 3
        and shape.stride[1] <= 2
    )
    if not applies or fitted is None:
        return ()
    words = CONSTANTS + fitted.ties
    return (
        Kernel(
            TEMPLATE,
            TEMPLATE,
            scratch_bytes=scratch_bytes(shape),
            by_rows=False,
            flash_bytes=(shape.taps + 4 * words) * shape.channels,
            overlap=(_band_lead(shape), None, None),
            overlap_step=shape.channels,
        ),
    )


def band_rows(shape: Window) -> int:
    """Output rows of a band."""
    return min(shape.output[0], 4 if shape.stride[0] == 1 else 2)


def band_lines(shape: Window) -> int:
    """Input rows of a band."""
    return (band_rows(shape) - 1) * shape.stride[0] + shape.kernel[0]


def band_columns(shape: Window) -> int:
    """Input columns under an output row, padding included."""
    return (shape.output[1] - 1) * shape.stride[1] + shape.kernel[1]


def scratch_bytes(shape: Window) -> int:
    """A band, then a channel's nine weights and its constants, all of them words."""
    words = band_lines(shape) * band_columns(shape) + shape.taps + CONSTANTS + 1
    return -(-4 * words // 8) * 8


def constants(graph: Graph, op: DepthwiseConv2D) -> Array:
    """(channels, 6 or 7) int64: what ``CONSTANTS`` lists."""
    fitted, params = line(graph, op), conv_requant(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert fitted is not None and weights is not None and bias is not None
    sums = weights[0].sum(axis=(0, 1), dtype=np.int64)
    start = bias.astype(np.int64) - params.input_zero_point * sums
    columns = [fitted.reach, fitted.factor, fitted.fraction, fitted.offset, fitted.shift]
    columns += [-fitted.first] if fitted.ties else []
    columns.insert(0, start if fitted.ties else start - fitted.first)
    table: Array = np.stack(columns, axis=1)
    return table


def _band_lead(shape: Window) -> int:
    """Before a band's output rows its input rows are copied; other channels are not touched."""
    rows = np.arange(0, shape.output[0], band_rows(shape))
    last = np.minimum(rows + band_rows(shape), shape.output[0]) - 1
    ends = np.clip(last * shape.stride[0] - shape.before[0] + shape.kernel[0], 0, shape.input[0])
    tops = np.concatenate(([0], ends[:-1]))
    tops = np.maximum(tops, rows * shape.stride[0] - shape.before[0])
    images = np.arange(shape.batch)[:, None]
    written = (images * shape.output[0] + rows) * shape.output[1]
    read = np.where(tops < ends, (images * shape.input[0] + tops) * shape.input[1], NOTHING)
    pixels = shape.batch * shape.input[0] * shape.input[1]
    return diagonal(written, read, pixels) * shape.channels
