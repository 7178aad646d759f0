"""Conv2D 3x3, stride 1, on cores with SIMD, row by row: minimal filtering along rows alone.

Of the tiles of ``kernels.winograd`` one row: m outputs of each take m + 2 products for each kernel
row instead of 3 * m, summed over the kernel rows and the input channels. It needs no more input
rows at a time than the definition does, so streams and patches can call it for single rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window, block_lead, window
from tinyvision.kernels.winograd import (
    AHEAD_BYTES,
    FOUR,
    LANES,
    LARGEST_INPUT,
    MOST_DEPTH,
    TRANSFORMS,
    TWO,
    Transform,
    has_tiles,
    paired_weights,
)
from tinyvision.target.core import Core

TEMPLATE = "conv2d_winograd_rows"


@dataclass(frozen=True)
class RowTiling:
    """Tiles of a row, ``block`` of them transformed at once."""

    transform: Transform
    block: int
    shape: Window

    @property
    def across(self) -> int:
        return -(-self.shape.output[1] // self.transform.size)

    @property
    def products(self) -> int:
        """For a row and one input channel; lanes without a tile count, too."""
        lanes = -(-self.across // LANES) * LANES
        return self.transform.edge * self.shape.kernel[0] * lanes

    @property
    def taps(self) -> int:
        """Products summed at each position."""
        return self.shape.kernel[0] * self.shape.depth

    @property
    def inputs_bytes(self) -> int:
        """Transformed inputs of a block, int16."""
        return self.transform.edge * self.block * self.taps * 2

    @property
    def sums_bytes(self) -> int:
        """Sums of a block and two channels (int32); before there are any, a row of a tile's padded
        inputs lies there.
        """
        edge = self.transform.edge
        return -(-max(edge * self.block * 2 * 4, edge * self.shape.depth) // 8) * 8


def candidates(graph: Graph, op: Conv2D, core: Core) -> tuple[Kernel, ...]:
    """Fewest products first, of those more at once first."""
    shape = window(graph, op)
    if core.mve or not (core.dsp and has_tiles(shape) and requantization(graph, op).fast):
        return ()
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    if 3 * shape.depth > MOST_DEPTH:
        return ()
    suffix = "_dual" if core.dual else ""
    tilings = [
        RowTiling(transform, block, shape)
        for transform in (FOUR, TWO)
        for block in (2 * LANES, LANES)
        if is_exact(weights, transform)
    ]
    useful = [t for t in tilings if t.block == LANES or t.across > LANES]
    return tuple(
        Kernel(
            TEMPLATE,
            f"{TEMPLATE}_{tiling.transform.size}x{tiling.block}{suffix}",
            scratch_bytes=tiling.inputs_bytes + tiling.sums_bytes,
            flash_bytes=packed_weights(weights, tiling.transform, core.dual).nbytes
            + 16 * shape.channels,
            overlap=(block_lead(shape, tiling.block * tiling.transform.size), None, None),
            pixels=tiling.block * tiling.transform.size,
        )
        for tiling in sorted(useful, key=lambda t: (t.products, -t.block))
    )


def tiling_of(shape: Window, variant: str) -> RowTiling:
    """What ``candidates`` chose when it named ``variant``."""
    size, block = variant.removeprefix(f"{TEMPLATE}_").removesuffix("_dual").split("x")
    return RowTiling(TRANSFORMS[int(size)], int(block), shape)


def transformed(weights: Array, transform: Transform) -> Array:
    """(channels, edge, 3 * depth) int64 of weights (channels, 3, 3, depth)."""
    matrix = np.array(transform.weights, np.int64)
    result: Array = np.einsum("jl,ckld->cjkd", matrix, weights.astype(np.int64))
    return result.reshape(weights.shape[0], transform.edge, -1)


def is_exact(weights: Array, transform: Transform) -> bool:
    """Whether transformed inputs and weights fit into int16, and scaled outputs into int32."""
    inputs = np.array(transform.inputs)
    reach = max(np.maximum(sign * inputs, 0).sum(axis=1).max() for sign in (1, -1))
    largest = np.abs(transformed(weights, transform)).max()
    rows = weights.astype(np.int64).reshape(weights.shape[0], -1)
    up, down = (np.maximum(sign * rows, 0).sum(axis=1).max() for sign in (1, -1))
    scaled = LARGEST_INPUT * int(max(up, down)) << max(transform.shifts)
    return bool(LARGEST_INPUT * int(reach) < 2**15 and largest < 2**15 and scaled < 2**31)


def packed_weights(weights: Array, transform: Transform, dual: bool) -> Array:
    """int16, as ``winograd.packed_weights``: for each kernel row of a position its inputs."""
    ahead = AHEAD_BYTES // 2 if dual else 0
    return paired_weights(transformed(weights, transform), ahead)
