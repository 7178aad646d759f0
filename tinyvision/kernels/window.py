"""Geometry of operators that slide a window over rows and columns, and how far output may follow
input through memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D
from tinyvision.ir.types import Array

NOTHING = 2**62
"""Stands for the index of an element that isn't read."""


@dataclass(frozen=True)
class Window:
    """Sizes of a convolution; height before width in every pair."""

    batch: int
    input: tuple[int, int]
    depth: int
    output: tuple[int, int]
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    groups: int

    @property
    def group_depth(self) -> int:
        """Input channels that one output channel sees."""
        return self.depth // self.groups

    @property
    def group_channels(self) -> int:
        return self.channels // self.groups

    @property
    def taps(self) -> int:
        """Products summed into one output element."""
        return self.kernel[0] * self.kernel[1] * self.group_depth

    @property
    def is_pointwise(self) -> bool:
        """Each output pixel sees exactly the input pixel of the same index."""
        return (
            self.kernel == (1, 1)
            and self.stride == (1, 1)
            and self.before == (0, 0)
            and self.input == self.output
            and self.groups == 1
        )

    @property
    def pixels(self) -> int:
        """Output pixels, over the whole batch."""
        return self.batch * self.output[0] * self.output[1]

    @property
    def input_bytes(self) -> int:
        return self.batch * self.input[0] * self.input[1] * self.depth

    def first_reads(self) -> Array:
        """For each output pixel in order the index of the first input element under its window
        (int64; NOTHING where the window lies in the padding altogether).
        """
        rows, columns = (self.first_inside(axis) for axis in range(2))
        images = np.arange(self.batch, dtype=np.int64)[:, None, None] * self.input[0]
        reads: Array = ((images + rows[:, None]) * self.input[1] + columns) * self.depth
        reads[:, (rows[:, None] < 0) | (columns < 0)] = NOTHING
        return reads.ravel()

    def in_group(self, reads: Array, group: Array) -> Array:
        """``reads`` of the first group's channels moved to those of ``group``."""
        moved: Array = np.where(reads == NOTHING, NOTHING, reads + group * self.group_depth)
        return moved

    def first_inside(self, axis: int) -> Array:
        """Lowest input row or column under each output row's or column's window, -1 for none."""
        starts = np.arange(self.output[axis], dtype=np.int64) * self.stride[axis]
        taps = np.arange(self.kernel[axis], dtype=np.int64) * self.dilation[axis]
        positions = (starts - self.before[axis])[:, None] + taps
        inside = (positions >= 0) & (positions < self.input[axis])
        lowest: Array = np.where(inside, positions, NOTHING).min(axis=1)
        return np.where(lowest == NOTHING, -1, lowest)


def window(graph: Graph, op: Conv2D | DepthwiseConv2D) -> Window:
    """The geometry of ``op``; a depthwise convolution has as many groups as input channels."""
    x, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    y = graph.tensor(op.outputs[0])
    depthwise = isinstance(op, DepthwiseConv2D)
    return Window(
        batch=x.shape[0],
        input=(x.shape[1], x.shape[2]),
        depth=x.shape[3],
        output=(y.shape[1], y.shape[2]),
        channels=y.shape[3],
        kernel=(weights.shape[1], weights.shape[2]),
        stride=op.stride,
        dilation=op.dilation,
        before=(op.padding.top, op.padding.left),
        groups=x.shape[3] if depthwise else x.shape[3] // weights.shape[3],
    )


def diagonal(written: Array, read: Array, input_bytes: int) -> int:
    """The smallest ``input.offset - output.offset`` with which no byte is overwritten before it is
    read.

    For each phase in order, ``written`` has the bytes of output that lie below the highest one
    written before it, ``read`` the lowest byte of input it reads (NOTHING for none); they
    broadcast. Where everything is read before anything is written, ``-input_bytes``: any overlap
    will do.
    """
    written, read = np.broadcast_arrays(written, read)
    leads = (written - read)[(written > 0) & (read != NOTHING)]
    return int(leads.max(initial=-input_bytes))


def block_lead(shape: Window, block: int) -> int:
    """``diagonal`` of convolutions that read a block of pixels of one row, then write it, group by
    group; pointwise ones take blocks across rows.
    """
    row = shape.pixels if shape.is_pointwise else shape.output[1]
    first, last, lowest = pixel_blocks(shape, row, block)
    group = np.arange(shape.groups)[:, None, None]
    written = last * shape.channels + group * shape.group_channels
    written = np.where(group == 0, first * shape.channels, written)
    return diagonal(written, shape.in_group(lowest, group), shape.input_bytes)


def pixel_blocks(shape: Window, row: int, block: int) -> tuple[Array, Array, Array]:
    """Output pixels in blocks that do not cross runs of ``row``: each block's first and last pixel,
    and the first input element under its windows.
    """
    pixels = np.arange(shape.pixels, dtype=np.int64).reshape(-1, row)
    first = pixels[:, ::block]
    last = np.minimum(first + block - 1, pixels[:, -1:])
    reads = shape.first_reads().reshape(-1, row)
    return first, last, np.minimum.reduceat(reads, np.arange(0, row, block), axis=1)
