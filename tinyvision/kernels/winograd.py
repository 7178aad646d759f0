"""Conv2D 3x3, stride 1, on cores with SIMD: Winograd's minimal filtering in integers, exact.

A tile of m x m outputs needs n x n inputs, n = m + 2. Both they and the kernel are transformed
(B d B^T and G g G^T) so that n * n products, each summed over the input channels, do the work of
9 * m * m; a last transform makes outputs of them (Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", section 4). The fractions of G are multiplied out into integers, by
which the outputs become ``odd**2 * 2**(shift of row + shift of column)`` times what they should be.
Everything is computed modulo 2**32: the odd factor is undone by multiplying with its inverse, and
the rest is a right shift, exact while that many times an output fits into 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import NOTHING, Window, diagonal, window
from tinyvision.target.core import Core

TEMPLATE = "conv2d_winograd"
AHEAD_BYTES = 8
"""Of weights dual-issue cores load one step more than they need."""
LANES = 4
"""Tiles that are multiplied at once."""
MOST_DEPTH = 1020
"""What the loop can step over at once."""
LARGEST_INPUT = 255
"""Inputs are taken as unsigned, 128 above what they are."""


@dataclass(frozen=True)
class Transform:
    """``weights`` is G; ``inputs`` is B transposed. Output i comes ``odd * 2**shifts[i]`` times too
    large along each axis. ``codegen_templates/kernels/_winograd.j2`` has the sums of the others.
    """

    size: int
    weights: tuple[tuple[int, int, int], ...]
    inputs: tuple[tuple[int, ...], ...]
    shifts: tuple[int, ...]
    odd: int

    @property
    def edge(self) -> int:
        """Inputs under a tile along an axis."""
        return self.size + 2

    @property
    def positions(self) -> int:
        return self.edge**2

    @cached_property
    def largest_input(self) -> int:
        """The largest magnitude of a transformed input."""
        rows = np.array(self.inputs)
        products = np.einsum("ik,jl->ijkl", rows, rows).reshape(self.positions, -1)
        up, down = (np.maximum(sign * products, 0).sum(axis=1).max() for sign in (1, -1))
        return LARGEST_INPUT * int(max(up, down))


TWO = Transform(
    size=2,
    weights=((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    shifts=(1, 1),
    odd=1,
)
FOUR = Transform(
    size=4,
    weights=((3, 0, 0), (-1, -1, -1), (-1, 1, -1), (1, 2, 4), (1, -2, 4), (0, 0, 3)),
    inputs=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    shifts=(3, 2, 1, 1),
    odd=3,
)
TRANSFORMS = {transform.size: transform for transform in (TWO, FOUR)}


@dataclass(frozen=True)
class Tiling:
    """Tiles in row order, ``block`` of them transformed at once."""

    transform: Transform
    block: int
    shape: Window

    @property
    def across(self) -> int:
        return -(-self.shape.output[1] // self.transform.size)

    @property
    def tiles(self) -> int:
        return -(-self.shape.output[0] // self.transform.size) * self.across

    @property
    def inputs_bytes(self) -> int:
        """Transformed inputs of a block, int16."""
        return self.transform.positions * self.block * self.shape.depth * 2

    @property
    def sums_bytes(self) -> int:
        """Sums of a block and two channels (int32); before there are any, a tile of padded inputs
        lies there.
        """
        sums = self.transform.positions * self.block * 2 * 4
        return max(sums, self.transform.positions * self.shape.depth)

    def lead(self) -> int:
        """Blocks of tiles are read as a whole, then written."""
        shape, size = self.shape, self.transform.size
        rows, columns = np.divmod(np.arange(self.tiles, dtype=np.int64), self.across)
        top = np.maximum(rows * size - shape.before[0], 0)
        left = np.maximum(columns * size - shape.before[1], 0)
        outside = (top >= shape.input[0]) | (left >= shape.input[1])
        read = np.where(outside, NOTHING, (top * shape.input[1] + left) * shape.depth)
        bottom = np.minimum((rows + 1) * size, shape.output[0]) - 1
        right = np.minimum((columns + 1) * size, shape.output[1])
        written = (bottom * shape.output[1] + right) * shape.channels
        blocks = np.arange(0, self.tiles, self.block)
        ends = np.maximum.accumulate(np.maximum.reduceat(written, blocks))
        before = np.concatenate(([0], ends[:-1]))
        input_bytes = shape.input[0] * shape.input[1] * shape.depth
        return diagonal(before, np.minimum.reduceat(read, blocks), input_bytes)


def candidates(graph: Graph, op: Conv2D, core: Core) -> tuple[Kernel, ...]:
    """Larger tiles first, of those more at once first."""
    shape = window(graph, op)
    return tuple(
        _kernel(graph, op, core, tiling)
        for transform in _exact(graph, op, core)
        for block in (2 * LANES, LANES)
        if (tiling := Tiling(transform, block, shape)).tiles > LANES or block == LANES
    )


def of_a_turn(graph: Graph, op: Conv2D, core: Core, rows: int) -> tuple[Kernel, ...]:
    """Those that compute as many rows at once as the larger tiles have, from pointers to the rows
    under them.
    """
    shape = window(graph, op)
    return tuple(
        replace(_kernel(graph, op, core, tiling), by_rows=True, rows=rows)
        for transform in _exact(graph, op, core)
        for block in (2 * LANES, LANES)
        if transform is FOUR and rows == transform.size
        if (tiling := Tiling(transform, block, shape)).across > LANES or block == LANES
    )


def _exact(graph: Graph, op: Conv2D, core: Core) -> list[Transform]:
    """Those that apply, larger ones first."""
    tiles = core.dsp and not core.mve and has_tiles(window(graph, op))
    if not tiles or not requantization(graph, op).fast:
        return []
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    return [transform for transform in (FOUR, TWO) if is_exact(weights, transform)]


def _kernel(graph: Graph, op: Conv2D, core: Core, tiling: Tiling) -> Kernel:
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    suffix = "_dual" if core.dual else ""
    return Kernel(
        TEMPLATE,
        f"{TEMPLATE}_{tiling.transform.size}x{tiling.block}{suffix}",
        scratch_bytes=tiling.inputs_bytes + tiling.sums_bytes,
        flash_bytes=packed_weights(weights, tiling.transform, core.dual).nbytes
        + 16 * tiling.shape.channels,
        overlap=(tiling.lead(), None, None),
        by_rows=False,
        pixels=tiling.block * tiling.transform.size**2,
    )


def tiling_of(shape: Window, variant: str) -> Tiling:
    """What ``candidates`` chose when it named ``variant``."""
    size, block = variant.removeprefix(f"{TEMPLATE}_").removesuffix("_dual").split("x")
    return Tiling(TRANSFORMS[int(size)], int(block), shape)


def has_tiles(shape: Window) -> bool:
    """Whether tiles apply: 3x3, stride 1, whole words of input channels."""
    return (
        shape.kernel == (3, 3)
        and shape.stride == (1, 1)
        and shape.dilation == (1, 1)
        and shape.groups == shape.batch == 1
        and shape.depth % 4 == 0
        and shape.depth <= MOST_DEPTH
    )


def transformed(weights: Array, transform: Transform) -> Array:
    """(channels, positions, depth) int64 of weights (channels, 3, 3, depth)."""
    matrix = np.array(transform.weights, np.int64)
    result: Array = np.einsum("ik,jl,ckld->cijd", matrix, matrix, weights.astype(np.int64))
    return result.reshape(weights.shape[0], transform.positions, -1)


def is_exact(weights: Array, transform: Transform) -> bool:
    """Whether transformed inputs and weights fit into int16, and scaled outputs into int32."""
    largest = np.abs(transformed(weights, transform)).max()
    rows = weights.astype(np.int64).reshape(weights.shape[0], -1)
    up, down = (np.maximum(sign * rows, 0).sum(axis=1).max() for sign in (1, -1))
    scaled = LARGEST_INPUT * int(max(up, down)) << 2 * max(transform.shifts)
    return bool(transform.largest_input < 2**15 and largest < 2**15 and scaled < 2**31)


def packed_weights(weights: Array, transform: Transform, dual: bool) -> Array:
    """int16: for each two channels, each position and each pair of inputs the pair of the first
    channel, then of the second; an odd last channel is paired with zeros. Inputs 0 and 2 of each
    four make a pair, and 1 and 3.
    """
    return paired_weights(transformed(weights, transform), AHEAD_BYTES // 2 if dual else 0)


def paired_weights(values: Array, ahead: int) -> Array:
    """``values`` (channels, positions, inputs) as ``packed_weights`` says, and ``ahead`` zeros."""
    channels, positions, depth = values.shape
    pairs = values.reshape(channels, positions, depth // 4, 4)[..., [0, 2, 1, 3]]
    pairs = pairs.reshape(channels, positions, depth // 2, 2)
    pairs = np.pad(pairs, ((0, channels % 2), (0, 0), (0, 0), (0, 0)))
    words = pairs.reshape(-1, 2, *pairs.shape[1:]).transpose(0, 2, 3, 1, 4).ravel()
    packed: Array = np.pad(words, (0, ahead)).astype(np.int16)
    return packed
