"""The line that stands for requantization meets every step of the oracle's double rounding."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import drawn
from tinyvision.ir.derive import conv_requant
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.types import Array
from tinyvision.kernels.narrow_requant import Line, line, sum_ranges


def outputs(fitted: Line, channel: int, sums: Array) -> Array:
    """What the kernels compute, in their 32 bits."""
    u = sums - int(fitted.first[channel])
    below = np.where(sums < 0, 2**fitted.tie, 0) if fitted.ties else 0
    fine = (u >> fitted.drop) * int(fitted.fraction[channel]) % 2**32 >> (16 - fitted.drop)
    y = (u * int(fitted.factor[channel]) + fine + int(fitted.offset[channel]) - below) % 2**32
    inside = (y >> int(fitted.shift[channel])).astype(np.uint8).view(np.int8)
    low, high = fitted.clamp
    far = np.where(u < 0, low, high)
    return np.where((u < 0) | (u > int(fitted.reach[channel])), far, inside)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sum_near_a_step_and_many_others(family: str) -> None:
    rng, found = np.random.default_rng(0), 0
    for graph in drawn(FAMILIES[family], 60):
        (op,) = graph.ops
        fitted, params = line(graph, op), conv_requant(graph, op)
        if fitted is None:
            continue
        found += 1
        lowest, highest = sum_ranges(graph, op)
        for channel, (low, high) in enumerate(zip(lowest, highest, strict=True)):
            near = int(fitted.first[channel]) + np.arange(-300, 70_000)
            last = int(fitted.first[channel] + fitted.reach[channel]) + np.arange(-300, 300)
            sums = np.concatenate((near, last, rng.integers(low, high, 5000, endpoint=True)))
            sums = sums[(sums >= low) & (sums <= high)]
            scaled = multiply_by_quantized_multiplier(
                sums, params.multipliers[channel], params.shifts[channel]
            )
            expected = np.clip(scaled + params.output_zero_point, *op.clamp)
            np.testing.assert_array_equal(outputs(fitted, channel, sums), expected)
    assert found > 15
