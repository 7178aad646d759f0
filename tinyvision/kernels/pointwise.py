"""Pointwise convolutions for cores with SIMD: blocks of pixels times two channels, whose constants
come in one stream of words.

Two channels share each half word of weights, 256 * b + a: multiplied as they are they sum
256 * B + A, their low bytes alone sum A. So two words of products cost one widening instead of two.
Weights come in the order in which ``SXTB16`` widens the inputs: of four the even ones, then the odd
ones. Where memory allows, the stream is copied to RAM first, where no load of it waits.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import accumulator_bounds
from tinyvision.kernels.window import Window, block_lead
from tinyvision.target.core import Core

TEMPLATE = "conv2d_1x1_dsp"
IN_RAM, SMALL, DUAL = "_ram", "_x2", "_dual"
BLOCK_PIXELS, SMALL_BLOCK_PIXELS = 4, 2
BESIDE_WEIGHTS = 8
"""Words of a pair of channels: what its sums start from, two multipliers, addends and shifts."""
MOST_STREAM_BYTES = 65536
AHEAD_BYTES = 8
MOST = 2**23
"""Sums stay below this: 256 times as much has to fit into 32 bits."""


def padded_taps(depth: int) -> int:
    """Inputs are taken two at a time."""
    return depth + depth % 2


def pairs(channels: int) -> list[tuple[int, int]]:
    """The channels two by two; the second of an odd number comes twice, a single one by itself."""
    if channels == 1:
        return [(0, 0)]
    starts = range(0, channels, 2) if channels % 2 == 0 else [0, *range(1, channels, 2)]
    return [(start, start + 1) for start in starts]


def columns_bytes(shape: Window, block: int) -> int:
    """The inputs of a block of pixels as int16, and what loads that come early read behind them."""
    return -(-(block * padded_taps(shape.depth) * 2 + AHEAD_BYTES) // 8) * 8


def stream_bytes(shape: Window) -> int:
    words = padded_taps(shape.depth) // 2 + BESIDE_WEIGHTS
    return 4 * words * len(pairs(shape.channels))


def candidates(shape: Window, core: Core) -> tuple[Kernel, ...]:
    """With the stream in RAM, and where it lies."""
    kernels = (_kernel(shape, core, IN_RAM), _kernel(shape, core))
    return kernels if is_copied(shape, stream_bytes(shape), core) else kernels[1:]


def is_copied(shape: Window, size: int, core: Core) -> bool:
    """Whether a copy in RAM of a stream of ``size`` bytes, read for each block, pays."""
    return -(-shape.pixels // BLOCK_PIXELS) >= core.least_reads and size <= MOST_STREAM_BYTES


def thrifty(shape: Window, core: Core) -> Kernel:
    return _kernel(shape, core, SMALL)


def _kernel(shape: Window, core: Core, kind: str = "") -> Kernel:
    block = SMALL_BLOCK_PIXELS if kind == SMALL else BLOCK_PIXELS
    copied = stream_bytes(shape) if kind == IN_RAM else 0
    return Kernel(
        TEMPLATE,
        TEMPLATE + kind + (DUAL if core.dual else ""),
        scratch_bytes=columns_bytes(shape, block) + -(-copied // 8) * 8,
        flash_bytes=stream_bytes(shape),
        overlap=(block_lead(shape, block), None, None),
        by_rows=kind != IN_RAM,
    )


def group_pairs(channels: int, groups: int) -> list[tuple[int, int]]:
    """``pairs`` of each group's channels."""
    size = channels // groups
    return [(g * size + a, g * size + b) for g in range(groups) for a, b in pairs(size)]


def has_halves(graph: Graph, op: Conv2D, groups: int = 1) -> bool:
    """Whether every half word and every sum fits."""
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    rows = weights.reshape(weights.shape[0], -1)
    found = [halves(rows[a], rows[b]) for a, b in group_pairs(rows.shape[0], groups)]
    small = all(half.min() >= -(2**15) and half.max() < 2**15 for half in found)
    return small and int(accumulator_bounds(graph, op).max()) < MOST


def halves(low: Array, high: Array) -> Array:
    """Two channels' weights in one number each."""
    shared: Array = low.astype(np.int64) + 256 * high.astype(np.int64)
    return shared
