"""One rounding multiply and one shift for all channels meet every step of the double rounding."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import drawn
from tinyvision.ir.derive import conv_requant
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.types import Array
from tinyvision.kernels.narrow_requant import staircases, sum_ranges
from tinyvision.kernels.one_shift import OneShift, one_shift


def outputs(fitted: OneShift, channel: int, sums: Array) -> Array:
    """What the kernels compute; nothing may leave their 32 bits."""
    acc = sums + int(fitted.bias[channel])
    high = (acc * int(fitted.multiplier[channel]) + 2**31 >> 32) + int(fitted.addend[channel])
    for values in (acc, high):
        assert np.all(values == values.astype(np.int32))
    return np.clip(high >> fitted.shift, -128, 127)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sum_near_a_step_and_many_others(family: str) -> None:
    rng, found = np.random.default_rng(0), 0
    for graph in drawn(FAMILIES[family], 200):
        (op,) = graph.ops
        fitted, params = one_shift(graph, op), conv_requant(graph, op)
        if fitted is None:
            continue
        found += 1
        lowest, highest = sum_ranges(graph, op)
        stairs = staircases(
            params.multipliers,
            params.shifts,
            params.output_zero_point,
            op.clamp,
            tuple(lowest.tolist()),
            tuple(highest.tolist()),
        )
        for channel, (low, high) in enumerate(zip(lowest, highest, strict=True)):
            near = (stairs[channel][:, None] + np.arange(-3, 4)).ravel()
            many = rng.integers(low, high, 5000, endpoint=True)
            sums = np.concatenate((near, many, [low, high]))
            sums = sums[(sums >= low) & (sums <= high)]
            scaled = multiply_by_quantized_multiplier(
                sums, params.multipliers[channel], params.shifts[channel]
            )
            expected = np.clip(scaled + params.output_zero_point, *op.clamp)
            np.testing.assert_array_equal(outputs(fitted, channel, sums), expected)
    assert found > 5


@pytest.mark.parametrize("family", FAMILIES)
def test_larger_sums_have_constants_where_sums_have(family: str) -> None:
    """Multiplied by a power of two, the gap between two steps is as many times wider."""
    found = 0
    for graph in drawn(FAMILIES[family], 200):
        (op,) = graph.ops
        lowest, highest = sum_ranges(graph, op)
        if one_shift(graph, op) is None or max(-lowest.min(), highest.max()) << 8 >= 2**30:
            continue
        found += 1
        assert one_shift(graph, op, 8) is not None
    assert found > 5
