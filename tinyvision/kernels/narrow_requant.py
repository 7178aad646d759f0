"""Requantization for cores that multiply 32 by 32 bits to 32: a line that meets every step.

From sum to clamped int8 is a staircase of at most 255 steps. Between the first and the last of
them a straight line in integers,

    (u * factor + ((u >> drop) * fraction >> (16 - drop)) + offset) >> shift,   u = sum - first,

takes each step at the same sum as TFLite's double rounding does, if its constants are well chosen.
Below zero the second rounding takes its ties the other way: there the line lies 2**tie lower, one
unit of the first rounding; where nothing below the zero point survives the clamp it need not.
Both sides never fall, so that they are proved equal by the sums at the steps alone: this module
chooses the constants and proves them for every channel, or says that there are none. What lies
outside of [first, first + reach] is the lower or the upper clamp; one unsigned comparison finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, FullyConnected
from tinyvision.ir.types import Array

Weighted = Conv2D | DepthwiseConv2D | FullyConnected

MOST = 2**24
"""``last - first`` is below this: it shares a word with the shift."""


@dataclass(frozen=True, eq=False)
class Line:
    """Constants of one layer's channels (int64 arrays), and what they share.

    ``first``: the lowest sum above the lower clamp; ``reach``: the highest sum below the upper
    clamp, less ``first``. The low byte of the line is the output. ``ties``: sums below zero are
    corrected by ``2**tie``.
    """

    first: Array
    reach: Array
    factor: Array
    fraction: Array
    offset: Array
    shift: Array
    drop: int
    ties: bool
    tie: int
    clamp: tuple[int, int]


def line(graph: Graph, op: Weighted) -> Line | None:
    """The line of ``op``, or None where some channel has none."""
    params = conv_requant(graph, op)
    lowest, highest = sum_ranges(graph, op)
    left = np.maximum(np.array(params.shifts, np.int64), 0)
    wraps = (lowest << left < -(2**31)) | (highest << left >= 2**31 - 1)
    if wraps.any() or int((highest - lowest).max()) >= 2**31 - 2 or op.clamp[0] == op.clamp[1]:
        return None
    return _line(
        params.multipliers,
        params.shifts,
        params.output_zero_point,
        op.clamp,
        tuple(lowest.tolist()),
        tuple(highest.tolist()),
    )


def sum_ranges(graph: Graph, op: Weighted) -> tuple[Array, Array]:
    """The lowest and the highest sum (int64) of each channel, bias included."""
    params = conv_requant(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    axis = 3 if isinstance(op, DepthwiseConv2D) else 0
    rows = np.moveaxis(weights.astype(np.int64) - params.weights_zero_point, axis, 0)
    rows = rows.reshape(bias.size, -1)
    ends = [rows * (x - params.input_zero_point) for x in (-128, 127)]
    start = bias.astype(np.int32).astype(np.int64)
    return start + np.minimum(*ends).sum(axis=1), start + np.maximum(*ends).sum(axis=1)


@lru_cache(maxsize=256)
def _line(
    multipliers: tuple[int, ...],
    shifts: tuple[int, ...],
    zero_point: int,
    clamp: tuple[int, int],
    lowest: tuple[int, ...],
    highest: tuple[int, ...],
) -> Line | None:
    steps = staircases(multipliers, shifts, zero_point, clamp, lowest, highest)
    low, high = clamp
    first, reach = steps[:, 0], steps[:, -1] - 1 - steps[:, 0]
    # Channels that jump from clamp to clamp, or never leave one, have nothing inside.
    inside = [
        row[row <= row[0] + extent] - row[0] for row, extent in zip(steps, reach, strict=True)
    ]
    live = [channel for channel in range(len(shifts)) if reach[channel] >= 0]
    if any(reach[channel] >= MOST for channel in live):
        return None
    drop = max(0, int(reach.max(initial=0)).bit_length() - 16)
    # A channel's line is its multiplier with this many bits: the low byte of 32 - 24 is the output.
    bits = {channel: min(16, 24 + shifts[channel]) for channel in live}
    ties = low < zero_point
    tie = min([16, *bits.values()])
    if ties:
        bits = dict.fromkeys(live, tie)
    if (tie < 0 and ties) or any(count < shifts[channel] for channel, count in bits.items()):
        return None
    # Without an inside, sums below ``first`` give the lower clamp, it and those above the upper.
    columns = np.zeros((len(shifts), 4), np.int64)
    columns[:, 2] = (high + ((first < 0) & ties) * 2**tie) % 2**32
    for channel in live:
        slope = multipliers[channel] / 2.0 ** (31 - bits[channel])
        negative = -int(first[channel]) if ties else 0
        curve = _Curve(inside[channel], int(reach[channel]), negative, tie, drop)
        fitted = curve.fit(slope, bits[channel] - shifts[channel], low)
        if fitted is None:
            return None
        columns[channel] = fitted
    factor, fraction, offset, shift = columns.T
    return Line(
        first, np.maximum(reach, 0), factor, fraction, offset, shift, drop, ties, tie, clamp
    )


def staircases(
    multipliers: tuple[int, ...],
    shifts: tuple[int, ...],
    zero_point: int,
    clamp: tuple[int, int],
    lowest: tuple[int, ...],
    highest: tuple[int, ...],
) -> Array:
    """(channels, high - low): the lowest sum that gives low + 1, low + 2, ..., high, or the first
    beyond the highest.
    """
    low, high = clamp
    wanted = np.arange(low + 1, high + 1, dtype=np.int64)
    below = np.repeat(np.array(lowest, np.int64)[:, None] - 1, wanted.size, axis=1)
    above = np.repeat(np.array(highest, np.int64)[:, None] + 1, wanted.size, axis=1)
    factors = np.array(multipliers, np.int64)[:, None], np.array(shifts, np.int64)[:, None]
    while np.any(above - below > 1):
        middle = (above + below) // 2
        reached = multiply_by_quantized_multiplier(middle, *factors) + zero_point >= wanted
        narrow = above - below > 1
        above = np.where(narrow & reached, middle, above)
        below = np.where(narrow & ~reached, middle, below)
    return above


@dataclass(frozen=True, eq=False)
class _Curve:
    """One channel's staircase from its first step on: ``jumps`` are the sums, less the first one,
    at which the output rises (several times at once, it may be).
    """

    jumps: Array
    reach: int
    negative: int
    tie: int
    drop: int

    def value(self, u: Array, factor: int, fraction: int) -> Array:
        below = (u < self.negative).astype(np.int64) << self.tie
        line: Array = u * factor + (((u >> self.drop) * fraction) >> (16 - self.drop)) - below
        return line

    def fit(self, slope: float, right: int, low: int) -> tuple[int, int, int, int] | None:
        """(factor, fraction, offset, shift), proved at every step; None where nothing fits."""
        at = np.unique(self.jumps)
        risen = np.searchsorted(self.jumps, at, side="right").astype(np.int64)
        before = np.append(at[1:], self.reach + 1) - 1
        factor = min(int(slope), 2**16 - 1)
        ideal = round((slope - factor) * 2**16)
        for fraction in sorted(range(ideal - 24, ideal + 25), key=lambda f: abs(f - ideal)):
            if not 0 <= fraction < 2**16:
                continue
            # Once risen, at least that high; and no higher just before the next rise.
            start, end = (self.value(u, factor, fraction) for u in (at, before))
            lowest = int(((risen << right) - start).max())
            highest = int((((risen + 1) << right) - 1 - end).min())
            offset = (lowest + highest) // 2
            positive = int(start.min()) + offset >= 0 and int(end.max()) + offset < 2**32
            if lowest <= highest and positive:
                return factor, fraction, (offset + (low << right)) % 2**32, right
        return None
