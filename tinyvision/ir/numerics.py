"""Fixed-point arithmetic of TFLite's reference kernels: multipliers and requantization.

The scheme is gemmlowp's: a positive real number is ``multiplier * 2**(shift - 31)`` with a 31-bit
multiplier, and a product is rounded twice, once after the high multiplication and once after the
shift.
"""

from __future__ import annotations

from math import floor, frexp

import numpy as np

from tinyvision.ir.types import Array

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """``real`` (>= 0) as ``(multiplier, shift)`` with ``real ~ multiplier * 2**(shift - 31)``.

    multiplier is 0 or in [2**30, 2**31). Source: TFLite kernels/internal/quantization_util.cc,
    QuantizeMultiplier. Shifts below -31 flush to zero; above 30, where C's shift would be
    undefined, they saturate.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = frexp(real)
    fixed = floor(mantissa * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return fixed, shift


def saturating_rounding_doubling_high_mul(a: Array, b: Array | int) -> Array:
    """High 32 bits of ``2*a*b``, rounded to nearest, ties towards plus infinity (gemmlowp's
    SaturatingRoundingDoublingHighMul in fixedpoint.h; Arm's ``SQRDMULH``).

    The nudge depends on the product's sign and the division truncates. -2**31 squared saturates.
    """
    product = a.astype(np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    saturated: Array = np.minimum(high, INT32_MAX)
    return saturated


def rounding_divide_by_pot(x: Array, exponent: Array | int) -> Array:
    """``x / 2**exponent`` rounded to nearest, ties away from zero (gemmlowp
    RoundingDivideByPOT).
    """
    x = x.astype(np.int64)
    shift = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << shift) - 1
    threshold = (mask >> 1) + (x < 0)
    rounded: Array = (x >> shift) + ((x & mask) > threshold)
    return rounded


def round_half_away(x: Array) -> Array:
    """C's ``round``: to nearest, ties away from zero, in the precision of ``x``."""
    fraction, whole = np.modf(x)
    rounded: Array = whole + np.copysign(np.abs(fraction) >= 0.5, x).astype(x.dtype)
    return rounded


def multiply_by_quantized_multiplier(
    x: Array, multiplier: Array | int, shift: Array | int
) -> Array:
    """``x * multiplier * 2**(shift - 31)`` in int32 with double rounding, as the reference
    kernels do.

    Broadcasts; returns int64 holding int32 values. A left shift wraps in int32 as the C code does.
    """
    shift = np.asarray(shift, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    shifted = (x.astype(np.int64) << left).astype(np.int32).astype(np.int64)
    high = saturating_rounding_doubling_high_mul(shifted, multiplier)
    return rounding_divide_by_pot(high, right)
