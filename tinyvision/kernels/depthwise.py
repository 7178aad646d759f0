"""Kernels of DepthwiseConv2D: direct in portable C; for SIMD cores channel by channel over int16
lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D, Op
from tinyvision.kernels import depthwise_bands, depthwise_mve
from tinyvision.kernels import depthwise_kronecker as kronecker
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import variant
from tinyvision.kernels.requant import WORDS_BYTES, requantization
from tinyvision.kernels.window import NOTHING, Window, diagonal, window
from tinyvision.target.core import Core

GROUP = 2
"""Channels that the SIMD kernel copies into lines together: half a word of an int8 pixel."""
TEMPLATE = "depthwise_conv2d_dsp"
PORTABLE = "depthwise_conv2d"
DUAL = "_dual"
BANDS = (8, 4, 1)
"""Output rows whose lines the SIMD kernel holds at once, unless it holds those of all."""
MOST_LINES_BYTES = 2048
"""Lines beyond this gain nothing."""


def line_elements(shape: Window) -> int:
    """int16 elements of one channel's line: every input that an output row touches, padding
    included, made even because they are read in pairs.
    """
    reach = (shape.output[1] - 1) * shape.stride[1] + shape.kernel[1]
    return reach + (reach & 1)


def lines_bytes(shape: Window, line: int, band: int) -> int:
    """Scratch of a SIMD kernel: the lines, of ``line`` int16, under ``band`` output rows, for each
    channel of a group.
    """
    lines = (band - 1) * shape.stride[0] + shape.kernel[0]
    return -(-GROUP * lines * line * 2 // 8) * 8


def bands(shape: Window, line: int) -> list[int]:
    """Numbers of output rows that a SIMD kernel may hold the lines of, fastest first; the last is
    one row, as in a stream.
    """
    rows = shape.output[0]
    several = [band for band in (rows, *BANDS[:-1]) if 1 < band <= rows]
    fitting = [band for band in several if lines_bytes(shape, line, band) <= MOST_LINES_BYTES]
    return [*fitting[:1], *([4] if 4 in fitting[1:] else []), 1]


def band_of(kernel: Kernel) -> int:
    """Output rows whose lines ``kernel`` holds."""
    return int(kernel.variant.removeprefix(f"{kernel.template}_r").removesuffix(DUAL))


def is_dual(kernel: Kernel) -> bool:
    """Whether loads are to stand between multiplications."""
    return kernel.variant.endswith(DUAL)


def odd_outputs(shape: Window) -> bool:
    """Whether some outputs' windows begin at odd elements of a line."""
    return shape.stride[1] % 2 == 1 and shape.output[1] > 1


def pair_starts(shape: Window) -> list[int]:
    """First tap of each pair of a kernel row that the SIMD kernel is given: (0,1), (2,3), ...;
    then, where ``odd_outputs``, (1,2), (3,4), ...

    The last of an odd number of taps has a pair of its own, with nothing in it, only where no
    pair of the second kind contains it.
    """
    columns = shape.kernel[1]
    if odd_outputs(shape) and columns > 1:
        return [*range(0, columns - 1, 2), *range(1, columns - 1, 2)]
    return [*range(0, columns, 2)]


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """The SIMD kernel finishes a group of channels before it begins the next, so its output may
    lie on its input channel by channel only. Those that take weights as they are, four channels at
    a time on SIMD cores, come after it for the boards whose flash or RAM has no room for pairs of
    int16 weights or lines.
    """
    assert isinstance(op, DepthwiseConv2D)
    if vectors := depthwise_mve.candidates(graph, op, core):
        return vectors
    kernels = [*depthwise_bands.candidates(graph, op, core)]
    shape = window(graph, op)
    tables = requantization(graph, op).table_bytes + 4 * shape.channels
    if core.dsp and op.multiplier == 1 and op.dilation == (1, 1):
        if kronecker.applies(graph, op, shape):
            words = shape.kernel[0] * kronecker.row_words(shape) + kronecker.START_WORDS
            line = 2 * kronecker.line_words(shape)
            kernels += _by_lines(kronecker.TEMPLATE, shape, core, line, 4 * words + WORDS_BYTES)
        else:
            words = shape.kernel[0] * len(pair_starts(shape))
            line = line_elements(shape)
            kernels += _by_lines(TEMPLATE, shape, core, line, 4 * words + WORDS_BYTES)
    fours = core.dsp and op.multiplier == 1 and shape.channels >= 4
    for lanes in (4, 1) if fours else (1,):
        kernels.append(
            Kernel(
                PORTABLE,
                variant(PORTABLE, lanes),
                flash_bytes=shape.taps * shape.channels + tables,
                overlap=(_element_lead(shape, op.multiplier), None, None),
            )
        )
    return tuple(kernels)


def _by_lines(
    template: str, shape: Window, core: Core, line: int, channel_bytes: int
) -> list[Kernel]:
    """With lines of ``line`` int16, and as many constants for each channel."""
    return [
        Kernel(
            template,
            f"{template}_r{band}{DUAL if core.dual else ''}",
            scratch_bytes=lines_bytes(shape, line, band),
            flash_bytes=channel_bytes * shape.channels,
            overlap=(_plane_lead(shape, band), None, None),
            overlap_step=shape.channels,
            by_rows=band == 1,
        )
        for band in bands(shape, line)
    ]


def of_a_turn(
    graph: Graph, op: DepthwiseConv2D, kernels: Sequence[Kernel], rows: int
) -> list[Kernel]:
    """``kernels`` for one row of a stream, before them the first for ``rows`` at once, where it has
    lines.
    """
    first, shape = kernels[0], window(graph, op)
    if rows == 1 or first.template not in (TEMPLATE, kronecker.TEMPLATE):
        return [*kernels]
    line = first.scratch_bytes // (2 * GROUP * shape.kernel[0])
    name = f"{first.template}_r{rows}{DUAL if is_dual(first) else ''}"
    size = lines_bytes(shape, line, rows)
    return [replace(first, variant=name, scratch_bytes=size, rows=rows), *kernels]


def _plane_lead(shape: Window, band: int) -> int:
    """Before a band of output rows its input rows are copied; other channels' bytes are never
    touched.
    """
    rows = np.arange(0, shape.output[0], band)
    ends = (rows + band - 1) * shape.stride[0] - shape.before[0] + shape.kernel[0]
    copied = np.clip(ends, 0, shape.input[0])
    tops = np.maximum(rows * shape.stride[0] - shape.before[0], np.concatenate(([0], copied[:-1])))
    images = np.arange(shape.batch)[:, None]
    written = (images * shape.output[0] + rows) * shape.output[1]
    read = np.where(tops < copied, (images * shape.input[0] + tops) * shape.input[1], NOTHING)
    pixels = shape.batch * shape.input[0] * shape.input[1]
    return diagonal(written, read, pixels) * shape.channels


def _element_lead(shape: Window, multiplier: int) -> int:
    """The portable kernel: pixel by pixel, channel by channel."""
    reads = shape.first_reads()[:, None]
    channel = np.arange(shape.channels)
    read = np.where(reads == NOTHING, NOTHING, reads + channel // multiplier)
    written = np.arange(shape.pixels, dtype=np.int64)[:, None] * shape.channels + channel
    return diagonal(written, read, shape.batch * shape.input[0] * shape.input[1] * shape.depth)
