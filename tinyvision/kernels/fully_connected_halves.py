"""FullyConnected for cores with SIMD: two channels share each half word of weights.

A half holds ``256 * b + a``: weight ``a`` of one channel in its low byte, ``b`` of the next above.
Multiplying words of two such halves as they come by two inputs sums ``256 * B + A``, their widened
low bytes sum ``A``; the difference is ``256 * B`` modulo 2**32. So two words of products cost one
widening instead of two.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import accumulator_bounds, requantization
from tinyvision.kernels.window import diagonal
from tinyvision.target.core import Core

TEMPLATE = "fully_connected_halves"
BLOCK_CHANNELS = 4
"""Channels that are summed at once; on cores that issue one instruction and that need no long runs
of loads twice as many, which takes fewer loads of inputs, where these are wide.
"""
GROUP_TAPS = 8
"""Taps that come at once."""
MOST = 2**23
"""Sums stay below this: 256 times as much has to fit into 32 bits."""
MOST_TAPS = 2**14
AHEAD_BYTES = 8
"""Of inputs and of weights dual-issue cores load one step more than they need."""


def applies(graph: Graph, op: FullyConnected, core: Core) -> bool:
    """Whether every half and every sum fits, and the fast requantization is exact."""
    if not core.dsp or conv_requant(graph, op).weights_zero_point != 0:
        return False
    if graph.tensor(op.inputs[1]).shape[1] > MOST_TAPS:
        return False
    if not requantization(graph, op).fast or accumulator_bounds(graph, op).max() >= MOST:
        return False
    halves = _halves(graph, op, BLOCK_CHANNELS)
    return bool(halves.min() >= -(2**15) and halves.max() < 2**15)


def candidates(graph: Graph, op: FullyConnected, core: Core) -> tuple[Kernel, ...]:
    """With the inputs widened once, into scratch, and with the inputs as they lie in memory."""
    if not applies(graph, op, core):
        return ()
    x = graph.tensor(op.inputs[0])
    channels, depth = graph.tensor(op.inputs[1]).shape
    rows = np.arange(x.elements // depth, dtype=np.int64)

    def lead(written: int) -> int:
        """Where ``written`` outputs of a row stand when its inputs are last read."""
        return diagonal(rows * channels + written, rows * depth, x.size_bytes)

    suffix = "_dual" if core.dual else ""
    # As long as that fills up no more channels.
    eights = -channels % (2 * BLOCK_CHANNELS) < BLOCK_CHANNELS
    eights &= not (core.dual or core.load_run)
    kernel = Kernel(
        TEMPLATE,
        f"{TEMPLATE}_x8" if eights else f"{TEMPLATE}{suffix}",
        scratch_bytes=2 * taps(depth) + (AHEAD_BYTES if core.dual else 0),
        flash_bytes=stream(graph, op, BLOCK_CHANNELS, core.dual)[0].nbytes,
        overlap=(lead(0), None, None),
    )
    if depth % GROUP_TAPS:
        return (kernel,)
    overlap = (lead((channels - 1) // BLOCK_CHANNELS * BLOCK_CHANNELS), None, None)
    narrow = replace(kernel, variant=f"{TEMPLATE}_narrow{suffix}", scratch_bytes=0, overlap=overlap)
    return (kernel, narrow)


def taps(depth: int) -> int:
    """Inputs with those that fill the last group."""
    return -(-depth // GROUP_TAPS) * GROUP_TAPS


def block_of(variant: str) -> int:
    """Channels that are summed at once by what ``candidates`` chose when it named ``variant``."""
    return 2 * BLOCK_CHANNELS if variant.endswith("_x8") else BLOCK_CHANNELS


def stream(graph: Graph, op: FullyConnected, block: int, dual: bool) -> tuple[Array, int]:
    """Words (uint32) in the order in which they are needed, and where the last block begins if its
    channels are not complete.

    For each ``block`` of channels what its sums start from; two halves for each word of inputs and
    each two channels (of each four inputs the even ones make the first word, the odd ones the
    second); and its channels' multipliers, addends and shifts. Where all channels share these, they
    stand before the whole blocks instead, and before one that is not whole.
    """
    halves = _halves(graph, op, block)
    words = halves.reshape(-1, block // 2, halves.shape[1] // 4, 4)[..., [0, 2, 1, 3]]
    words = words.reshape(*words.shape[:2], -1, 2).swapaxes(1, 2)
    words = words.astype(np.int16).view(np.uint32).reshape(words.shape[0], -1)
    factors = _factors(graph, op, block)
    parts = [_starts(graph, op, block), words]
    if factors.shape[0] > 1:
        parts.append(factors.reshape(words.shape[0], -1))
    blocks_of_words = np.concatenate(parts, axis=1)
    whole = graph.tensor(op.outputs[0]).shape[-1] // block
    runs = [blocks_of_words[:whole].ravel(), blocks_of_words[whole:].ravel()]
    if factors.shape[0] == 1:
        runs = [np.concatenate((factors[0], run)) if run.size else run for run in runs]
    ahead = np.zeros(dual * AHEAD_BYTES // 4, np.uint32)
    return np.concatenate((*runs, ahead)), runs[0].size


def _starts(graph: Graph, op: FullyConnected, block: int) -> Array:
    """(blocks, block) uint32: biases with the zero point folded in, added as the sums are."""
    rows, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert rows is not None and bias is not None
    folded = bias - conv_requant(graph, op).input_zero_point * rows.sum(axis=1, dtype=np.int64)
    low, high = np.pad(folded, (0, -bias.size % block)).reshape(-1, 2).T
    starts = np.stack((256 * high + low, low), axis=1).reshape(-1, block)
    words: Array = (starts & 0xFFFFFFFF).astype(np.uint32)
    return words


def _factors(graph: Graph, op: FullyConnected, block: int) -> Array:
    """(channels or 1, 3) uint32: multiplier, addend, shift."""
    requant = requantization(graph, op)
    shifts = np.array(requant.shifts, np.int64)
    addends = (2 * requant.zero_point + 1) << (shifts - 1)
    factors = np.stack((np.array(requant.multipliers, np.int64), addends, shifts), axis=1)
    if requant.per_channel:
        factors = np.pad(factors, ((0, -shifts.size % block), (0, 0)))
    else:
        factors = factors[:1]
    words: Array = (factors & 0xFFFFFFFF).astype(np.uint32)
    return words


def _halves(graph: Graph, op: FullyConnected, block: int) -> Array:
    """Pairs of channels by taps, padded (int64)."""
    rows = graph.tensor(op.inputs[1]).data
    assert rows is not None
    channels, depth = rows.shape
    padded = np.pad(rows, ((0, -channels % block), (0, taps(depth) - depth)))
    low, high = padded.astype(np.int64).reshape(-1, 2, padded.shape[1]).swapaxes(0, 1)
    halves: Array = 256 * high + low
    return halves
