"""Fixed-point arithmetic against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import exp, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision.ir.fixed_point import (
    exp_on_negative_values,
    one_over_one_plus,
    reciprocal,
    rescale,
)
from tinyvision.ir.numerics import (
    INT32_MAX,
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)

INT32 = st.integers(INT32_MIN, INT32_MAX)
MULTIPLIERS = st.one_of(st.integers(1 << 30, INT32_MAX), st.just(1 << 30))


def half_away(x: Fraction) -> int:
    whole = floor(abs(x) + Fraction(1, 2))
    return whole if x >= 0 else -whole


@given(st.floats(2.0**-31, 2.0**29))
def test_quantized_multiplier_is_nearest(real):
    multiplier, shift = quantize_multiplier(real)
    assert 1 << 30 <= multiplier <= INT32_MAX
    value = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    assert abs(value - Fraction(real)) <= Fraction(2) ** (shift - 32)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (float(np.nextafter(1.0, 0.0)), (1 << 30, 1)),  # the mantissa rounds up to 2**31
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),
        (2.0**40, (INT32_MAX, 30)),
    ],
)
def test_quantized_multiplier_at_the_edges(real, expected):
    assert quantize_multiplier(real) == expected


@given(INT32, INT32)
def test_high_mul_rounds_ties_up(a, b):
    expected = min(floor(Fraction(a * b, 1 << 31) + Fraction(1, 2)), INT32_MAX)
    assert saturating_rounding_doubling_high_mul(np.array([a]), b)[0] == expected


def test_high_mul_at_the_edges():
    def mul(a, b):
        return int(saturating_rounding_doubling_high_mul(np.array([a]), b)[0])

    assert mul(INT32_MIN, INT32_MIN) == INT32_MAX
    assert mul(1, 1 << 30) == 1  # 0.5
    assert mul(-1, 1 << 30) == 0  # -0.5
    assert mul(-3, 1 << 30) == -1  # -1.5


@given(INT32, st.integers(0, 31))
def test_divide_by_pot_rounds_ties_away(x, exponent):
    expected = half_away(Fraction(x, 1 << exponent))
    assert rounding_divide_by_pot(np.array([x]), exponent)[0] == expected


@given(st.integers(-(2**24), 2**24), MULTIPLIERS, st.integers(-31, 6))
def test_requantization_rounds_twice(x, multiplier, shift):
    high = floor(Fraction((x << max(shift, 0)) * multiplier, 1 << 31) + Fraction(1, 2))
    expected = half_away(Fraction(high, 1 << max(-shift, 0)))
    assert multiply_by_quantized_multiplier(np.array([x]), multiplier, shift)[0] == expected


def test_requantization_is_not_rounded_once():
    """12 * 1/8 = 1.5 less a little: the first rounding makes a tie of it."""
    multiplier, shift = quantize_multiplier((1.5 - 2**-27) / 12)
    assert multiply_by_quantized_multiplier(np.array([12]), multiplier, shift)[0] == 2


def test_requantization_broadcasts_channels():
    sums = np.arange(-6, 6).reshape(3, 4) * 1000
    pairs = [quantize_multiplier(real) for real in (0.1, 0.01, 1.5, 0.003)]
    multipliers, shifts = np.array(pairs).T
    whole = multiply_by_quantized_multiplier(sums, multipliers, shifts)
    for channel, (multiplier, shift) in enumerate(pairs):
        one = multiply_by_quantized_multiplier(sums[:, channel], multiplier, shift)
        np.testing.assert_array_equal(whole[:, channel], one)


def test_left_shift_wraps_as_int32():
    assert multiply_by_quantized_multiplier(np.array([1 << 30]), 1 << 30, 2)[0] == 0


@given(st.lists(st.floats(-(2.0**40), 2.0**40, width=32), min_size=1))
def test_round_half_away(values):
    rounded = round_half_away(np.array(values, np.float32))
    assert rounded.dtype == np.float32
    assert [int(r) for r in rounded] == [half_away(Fraction(v)) for v in values]


def test_round_half_away_keeps_what_is_not_finite():
    rounded = round_half_away(np.array([np.inf, -np.inf, np.nan], np.float32))
    assert rounded[0] == np.inf and rounded[1] == -np.inf and np.isnan(rounded[2])


def test_exponential_is_close():
    raw = -np.arange(0, 1 << 31, 104729, dtype=np.int64)
    actual = exp_on_negative_values(raw, 5) / 2.0**31
    expected = [exp(x / 2.0**26) for x in raw]
    np.testing.assert_allclose(actual, expected, atol=4e-7)
    assert exp_on_negative_values(np.array([0]), 5)[0] == INT32_MAX


def test_reciprocals_are_close():
    raw = np.arange(0, 1 << 31, 15485863, dtype=np.int64)
    np.testing.assert_allclose(one_over_one_plus(raw) / 2.0**31, 1 / (1 + raw / 2.0**31), atol=1e-8)
    sums = np.array([1 << 19, (1 << 19) + 1, 3 << 19, 12345678, INT32_MAX], np.int64)
    mantissa, bits_over_unit = reciprocal(sums, 12)
    np.testing.assert_allclose(mantissa / 2.0**31 / 2.0**bits_over_unit, 2.0**19 / sums, rtol=1e-8)


@given(INT32, st.integers(-31, 5))
def test_rescale_saturates_and_rounds(x, exponent):
    exact = half_away(Fraction(x) * Fraction(2) ** exponent)
    assert rescale(np.array([x]), exponent)[0] == min(max(exact, INT32_MIN), INT32_MAX)
