"""gemmlowp's fixed-point functions on arrays: what TFLite's reference Softmax is made of.

A number is an int64 array of int32 raw values and an agreed number of integer bits ``i``; one is
``2**(31 - i)``. Source: gemmlowp, fixedpoint/fixedpoint.h, of the function named at each.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.numerics import (
    INT32_MAX,
    INT32_MIN,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from tinyvision.ir.types import Array

# exp(-2**k) for k = -2 ... 4, with 0 integer bits.
_EXP_FACTORS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
_48_OVER_17 = 1515870810  # 2 integer bits
_32_OVER_17 = 1010580540  # 2 integer bits


def rescale(x: Array, exponent: int) -> Array:
    """``x * 2**exponent``, saturating to the left, rounded to the right
    (SaturatingRoundingMultiplyByPOT).
    """
    if exponent >= 0:
        saturated: Array = np.clip(x << exponent, INT32_MIN, INT32_MAX)
        return saturated
    return rounding_divide_by_pot(x, -exponent)


def exp_on_negative_values(x: Array, integer_bits: int) -> Array:
    """``exp(x)`` for ``x <= 0`` with ``integer_bits`` (at most 5); the result has 0 integer
    bits.
    """
    fractional_bits = 31 - integer_bits
    quarter = 1 << (fractional_bits - 2)
    # x = part - rest with part in [-1/4, 0) and rest a multiple of 1/4.
    part = (x & (quarter - 1)) - quarter
    rest = part - x
    result = _exp_on_last_quarter(rescale(part, integer_bits))
    for exponent, factor in _EXP_FACTORS:
        if exponent < integer_bits:
            bit = 1 << (fractional_bits + exponent)
            scaled = saturating_rounding_doubling_high_mul(result, factor)
            result = np.where(rest & bit, scaled, result)
    exact: Array = np.where(x == 0, INT32_MAX, result)
    return exact


def _exp_on_last_quarter(x: Array) -> Array:
    """exp_on_interval_between_negative_one_quarter_and_0_excl: a Taylor polynomial around -1/8;
    0 integer bits.
    """
    mul = saturating_rounding_doubling_high_mul
    t = x + (1 << 28)
    t2 = mul(t, t)
    t3 = mul(t2, t)
    t4 = mul(t2, t2)
    tail = rescale(mul(rescale(t4, -2) + t3, _ONE_THIRD) + t2, -1)
    return _EXP_MINUS_EIGHTH + mul(t + tail, _EXP_MINUS_EIGHTH)


def one_over_one_plus(x: Array) -> Array:
    """``1 / (1 + x)`` for x in [0, 1) with 0 integer bits, by three Newton-Raphson steps
    (one_over_one_plus_x_for_x_in_0_1).
    """
    mul = saturating_rounding_doubling_high_mul
    half_denominator = (x + INT32_MAX + 1) >> 1  # RoundingHalfSum of non-negative numbers
    estimate = _48_OVER_17 + mul(half_denominator, -_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - mul(half_denominator, estimate)
        estimate = estimate + rescale(mul(estimate, error), 2)
    return rescale(estimate, 1)


def reciprocal(x: Array, integer_bits: int) -> tuple[Array, Array]:
    """``1 / x`` for ``x > 0`` with ``integer_bits`` as ``(mantissa, bits_over_unit)``: mantissa
    has 0 integer bits and is to be shifted right by ``bits_over_unit``.

    Source: TFLite kernels/internal/common.h, GetReciprocal.
    """
    # frexp's exponent is the bit length; int32 values are exact in double.
    headroom = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    mantissa = one_over_one_plus((x << headroom) - (1 << 31))
    return mantissa, integer_bits - headroom
