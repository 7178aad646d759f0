"""Requantization with one shift for all channels of a layer: a rounding multiply and a saturation.

    SSAT(SMMLAR(sum + bias, multiplier, addend) >> shift)

From sum to int8 is a staircase of at most 255 steps. ``SMMLAR`` keeps 32 bits of the product, so a
multiplier of 31 bits leaves room below the output's units for the channels whose scales are smaller
than the largest: all of them can share one shift, which then is an immediate of ``SSAT``. The line
has to take each step at the same sum as TFLite's double rounding; its offset is set in units of
2**-32 by adding whole numbers to the bias, whose products with the multiplier fall anywhere modulo
2**32. Both sides never fall, so they are proved equal by the sums at the steps alone: this module
chooses the constants and proves them for every channel, or says that there are none (as where
negative ties show, which TFLite rounds the other way).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.kernels.narrow_requant import Weighted, staircases, sum_ranges

INT8 = (-128, 127)
NEAR = np.array(sorted(range(-8, 9), key=abs), np.int64)
"""Distances from the ideal multiplier that are tried."""
BIASES = (0, 2**20)
"""What may be added to a bias, unless the caller knows better."""


@dataclass(frozen=True, eq=False)
class OneShift:
    """``bias`` (added to each channel's), ``multiplier`` and ``addend`` of every channel (int64
    arrays of int32 values), and the shift of all of them.
    """

    bias: Array
    multiplier: Array
    addend: Array
    shift: int


def one_shift(
    graph: Graph, op: Weighted, scale: int = 0, biases: tuple[Array, Array] | None = None
) -> OneShift | None:
    """The constants of ``op``, or None where its clamp is not int8's range or a channel has none.
    Sums come multiplied by ``2**scale``, and the shift is ``scale`` more. ``biases``: the least
    and the most that may be added to each channel's.
    """
    params = conv_requant(graph, op)
    lowest, highest = sum_ranges(graph, op)
    live = [
        s for s, multiplier in zip(params.shifts, params.multipliers, strict=True) if multiplier
    ]
    if op.clamp != INT8 or max(live, default=-1) >= 0:
        return None
    if max(-int(lowest.min()), int(highest.max())) << scale >= 2**30:
        return None
    return _one_shift(
        params.multipliers,
        params.shifts,
        params.output_zero_point,
        tuple(lowest.tolist()),
        tuple(highest.tolist()),
        scale,
        None if biases is None else tuple(zip(biases[0].tolist(), biases[1].tolist(), strict=True)),
    )


@lru_cache(maxsize=256)
def _one_shift(
    multipliers: tuple[int, ...],
    shifts: tuple[int, ...],
    zero_point: int,
    lowest: tuple[int, ...],
    highest: tuple[int, ...],
    scale: int,
    biases: tuple[tuple[int, int], ...] | None,
) -> OneShift | None:
    stairs = staircases(multipliers, shifts, zero_point, INT8, lowest, highest)
    right = [-s for s, multiplier in zip(shifts, multipliers, strict=True) if multiplier]
    shift = min(min(right, default=1) - 1, 12)
    columns = []
    for channel, multiplier in enumerate(multipliers):
        ideal = multiplier / 2.0 ** (-1 - shift - shifts[channel])
        sums, allowed = (lowest[channel], highest[channel]), biases[channel] if biases else BIASES
        found = _fit(stairs[channel], sums, ideal, shift, scale, allowed)
        if found is None:
            return None
        columns.append(found)
    bias, multiplier, addend = np.array(columns, np.int64).T
    return OneShift(bias, multiplier, addend, shift)


def _fit(
    staircase: Array,
    sums: tuple[int, int],
    ideal: float,
    shift: int,
    scale: int,
    biases: tuple[int, int],
) -> tuple[int, int, int] | None:
    """(bias, multiplier, addend) with which every one of ``sums`` gives its output."""
    lowest, highest = sums
    outputs = np.arange(INT8[0] + 1, INT8[1] + 1, dtype=np.int64) << (shift + scale + 32)
    reached, missed = staircase <= highest, staircase > lowest
    at, below = staircase << scale, (staircase - 1) << scale
    for multiplier in (round(ideal) + NEAR).tolist():
        if not 0 <= multiplier < 2**31:
            continue
        # What is to be added to sum * multiplier, in units of 2**-32.
        least = int((outputs - at * multiplier)[reached].max(initial=-(2**62)))
        most = int((outputs - below * multiplier - 1)[missed].min(initial=2**62))
        if most < least:
            continue
        # Wider gaps have room for any offset.
        most = min(most, least + 2**32 - 1)
        from_here = 2**31 + biases[0] * multiplier
        further = _first_multiple(
            multiplier, 2**32, (least - from_here) % 2**32, (most - from_here) % 2**32
        )
        if further is not None and biases[0] + further <= biases[1]:
            bias = biases[0] + further
            addend = -((bias * multiplier + 2**31 - least) >> 32)
            if _is_inside(bias, multiplier, addend, (lowest << scale, highest << scale)):
                return bias, multiplier, addend
    return None


def _first_multiple(step: int, modulus: int, low: int, high: int) -> int | None:
    """The smallest n >= 0 with which ``n * step % modulus`` is in [low, high], a range that may go
    round; Euclid's algorithm.
    """
    if low == 0 or low > high:
        return 0
    if step == 0:
        return None
    count = -(-low // step)
    if count * step <= high:
        return count
    wraps = _first_multiple(modulus % step, step, -high % step, -low % step)
    return None if wraps is None else -(-(low + modulus * wraps) // step)


def _is_inside(bias: int, multiplier: int, addend: int, sums: tuple[int, int]) -> bool:
    """Whether nothing leaves 32 bits."""
    ends = [value + bias for value in sums]
    highs = [((end * multiplier + 2**31) >> 32) + addend for end in ends]
    return all(-(2**31) <= value < 2**31 for value in (*ends, *highs))
