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
from tinyvision.kernels.window import Window, block_lead, window
from tinyvision.target.core import Core

TEMPLATE = "conv2d_1x1_dsp"
IN_RAM, SMALL, QUADS, DUAL = "_ram", "_x2", "_quads", "_dual"
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


def quads(channels: int) -> list[tuple[int, int, int, int]]:
    """The channels four by four; where they are no multiple of four those after the first are taken
    from the end, so that some come twice.
    """
    rest = channels % 4
    starts = range(0, channels, 4) if rest == 0 else [0, *range(rest, channels, 4)]
    return [(start, start + 1, start + 2, start + 3) for start in starts]


def columns_bytes(shape: Window, block: int) -> int:
    """The inputs of a block of pixels as int16, and what loads that come early read behind them."""
    return -(-(block * padded_taps(shape.depth) * 2 + AHEAD_BYTES) // 8) * 8


def stream_bytes(shape: Window, kind: str = "") -> int:
    words = padded_taps(shape.depth) // 2 + BESIDE_WEIGHTS
    return (
        4
        * words
        * (2 * len(quads(shape.channels)) if QUADS in kind else len(pairs(shape.channels)))
    )


def candidates(graph: Graph, op: Conv2D, core: Core) -> tuple[Kernel, ...]:
    """With the stream in RAM, and where it lies. Four channels by two pixels need fewer loads than
    two by four, which counts where each run of loads costs a cycle and the stream, which they read
    twice as often, is in RAM; layers cannot share their code.
    """
    shape = window(graph, op)
    kinds = [""]
    if is_copied(shape, stream_bytes(shape), core):
        kinds = [IN_RAM, ""]
        if core.load_run and _quads_pay(shape) and _fit_quads(graph, op):
            kinds = [QUADS + IN_RAM, *kinds]
    return tuple(_kernel(shape, core, kind) for kind in kinds)


def _quads_pay(shape: Window) -> bool:
    """Whether a count of cycles says so: those of a pair of inputs by the pixels of a block, what
    surrounds them for each pair or quad of channels, and a call for each block, or two.
    """
    steps, pixels, channels = padded_taps(shape.depth) // 2, shape.pixels, shape.channels

    def cycles(step: tuple[int, ...], group: int, around: int) -> int:
        block = len(step) - 1
        blocks = [block] * (pixels // block) + [pixels % block] * (pixels % block > 0)
        call = 140 if channels % group else 80
        return sum(
            -(-channels // group) * (step[count] * steps + around) + call for count in blocks
        )

    of_quads, of_pairs = cycles((0, 10, 15), 4, 65), cycles((0, 6, 9, 13, 16), 2, 50)
    return channels >= 4 and of_quads < of_pairs


def _fit_quads(graph: Graph, op: Conv2D) -> bool:
    channels = graph.tensor(op.outputs[0]).shape[3]
    return _are_halves(
        graph, op, [pair for a, b, c, d in quads(channels) for pair in ((a, b), (c, d))]
    )


def is_copied(shape: Window, size: int, core: Core) -> bool:
    """Whether a copy in RAM of a stream of ``size`` bytes, read for each block, pays."""
    return -(-shape.pixels // BLOCK_PIXELS) >= core.least_reads and size <= MOST_STREAM_BYTES


def thrifty(shape: Window, core: Core) -> Kernel:
    return _kernel(shape, core, SMALL)


def _kernel(shape: Window, core: Core, kind: str = "") -> Kernel:
    block = SMALL_BLOCK_PIXELS if kind == SMALL or QUADS in kind else BLOCK_PIXELS
    size = stream_bytes(shape, kind)
    copied = size if kind.endswith(IN_RAM) else 0
    return Kernel(
        TEMPLATE,
        TEMPLATE + kind + (DUAL if core.dual else ""),
        scratch_bytes=columns_bytes(shape, block) + -(-copied // 8) * 8,
        flash_bytes=size,
        overlap=(block_lead(shape, block), None, None),
        by_rows=not kind.endswith(IN_RAM),
        shares=QUADS not in kind,
        pixels=0 if copied else block,
    )


def group_pairs(channels: int, groups: int) -> list[tuple[int, int]]:
    """``pairs`` of each group's channels."""
    size = channels // groups
    return [(g * size + a, g * size + b) for g in range(groups) for a, b in pairs(size)]


def has_halves(graph: Graph, op: Conv2D, groups: int = 1) -> bool:
    """Whether every half word and every sum fits."""
    channels = graph.tensor(op.outputs[0]).shape[3]
    return _are_halves(graph, op, group_pairs(channels, groups))


def _are_halves(graph: Graph, op: Conv2D, pairs: list[tuple[int, int]]) -> bool:
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    rows = weights.reshape(weights.shape[0], -1)
    found = [halves(rows[a], rows[b]) for a, b in pairs]
    small = all(half.min() >= -(2**15) and half.max() < 2**15 for half in found)
    return small and int(accumulator_bounds(graph, op).max()) < MOST


def halves(low: Array, high: Array) -> Array:
    """Two channels' weights in one number each."""
    shared: Array = low.astype(np.int64) + 256 * high.astype(np.int64)
    return shared
