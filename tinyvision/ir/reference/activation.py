"""Softmax and the functions that TFLite computes by table or in 16-bit fixed point.

Sources: TFLite kernels/activations.cc, kernels/internal/common.h (LUTPopulate),
kernels/internal/reference/{softmax,hard_swish,gelu}.h.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np

from tinyvision.ir.derive import dtype_clamp, hard_swish_params, softmax_params
from tinyvision.ir.fixed_point import exp_on_negative_values, reciprocal, rescale
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import (
    round_half_away,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from tinyvision.ir.ops import Gelu, HardSwish, Logistic, Lookup, Softmax, Tanh
from tinyvision.ir.types import Array

_DIFF_BITS = 5
_SUM_BITS = 12


def softmax(graph: Graph, op: Softmax, x: Array) -> Array:
    """Exponentials with 5 integer bits, their sum with 12, one reciprocal, 8 bits of result.

    Where the exponentials of a row (each at most 1) sum to 512 or more, TFLite shifts a 32-bit
    integer by 32 bits or more, which C leaves undefined: x86 gives 127 for every value that is not
    the minimum, Arm -127. Here the shift means what it says: -128.
    """
    params = softmax_params(graph, op)
    dtype = graph.tensor(op.outputs[0]).dtype
    low, high = dtype_clamp(dtype)
    diff = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    counts = diff >= params.diff_min
    scaled = saturating_rounding_doubling_high_mul(
        np.where(counts, diff, 0) << params.left_shift, params.multiplier
    )
    exps = exp_on_negative_values(scaled, _DIFF_BITS)
    total = np.where(counts, rescale(exps, -_SUM_BITS), 0).sum(axis=-1, keepdims=True)
    mantissa, bits_over_unit = reciprocal(total, _SUM_BITS)
    product = saturating_rounding_doubling_high_mul(exps, mantissa)
    result = rounding_divide_by_pot(product, bits_over_unit + 31 - 8) + low
    clamped = np.clip(np.where(counts, result, low), low, high)
    return clamped.astype(dtype.numpy)


def logistic(graph: Graph, op: Logistic, x: Array) -> Array:
    def function(values: Array) -> Array:
        one = np.float32(1)
        with np.errstate(over="ignore"):
            result: Array = one / (one + np.exp(-values.astype(np.float64)).astype(np.float32))
        return result

    return _by_table(graph, op, function, x)


def tanh(graph: Graph, op: Tanh, x: Array) -> Array:
    def function(values: Array) -> Array:
        result: Array = np.tanh(values.astype(np.float64)).astype(np.float32)
        return result

    return _by_table(graph, op, function, x)


def gelu(graph: Graph, op: Gelu, x: Array) -> Array:
    """Float32 at every step, as gelu.h has it: in double about one value in 100,000 differs."""

    def function(values: Array) -> Array:
        one, half = np.float32(1), np.float32(0.5)
        if op.approximate:
            cube = np.float32(0.044715) * values * values * values
            inner = np.float32(sqrt(2 / pi)) * (values + cube)
            share = np.tanh(inner.astype(np.float64)).astype(np.float32)
        else:
            scaled = values * np.float32(sqrt(0.5))
            share = np.array([erf(value) for value in scaled], np.float32)
        result: Array = half * values * (one + share)
        return result

    return _by_table(graph, op, function, x)


def hard_swish(graph: Graph, op: HardSwish, x: Array) -> Array:
    """``x * relu6(x + 3) / 6`` in 16 bits: 7 extra bits of input, a factor in [0, 1] in Q15."""
    params = hard_swish_params(graph, op)
    hires = (x.astype(np.int64) - params.input_zero_point) << 7
    preshift = _high_mul16(hires, params.output_multiplier, rounding=True)
    factor, exponent = hires, params.reluish_exponent
    if exponent > 0:
        factor = _saturate16(factor << (exponent - 1))
    factor = _high_mul16(factor, params.reluish_multiplier, rounding=True)
    if exponent > 0:
        factor = _saturate16(factor << 1)
    if exponent < 0:
        factor = _divide_by_pot16(factor, -exponent)
    factor = (factor + (1 << 15)) >> 1
    product = _high_mul16(factor, preshift, rounding=False)
    y = graph.tensor(op.outputs[0])
    result = _divide_by_pot16(product, -params.output_exponent) + params.output_zero_point
    clamped = np.clip(result, *dtype_clamp(y.dtype))
    return clamped.astype(y.dtype.numpy)


def lookup(graph: Graph, op: Lookup, x: Array, table: Array) -> Array:
    found: Array = table[x.astype(np.int64) - dtype_clamp(graph.tensor(op.inputs[0]).dtype)[0]]
    return found


def _by_table(
    graph: Graph, op: Logistic | Tanh | Gelu, function: Callable[[Array], Array], x: Array
) -> Array:
    """A float32 function of each of the 256 input values, rounded half away from zero.

    ``function`` rounds exactly; C's ``expf`` and ``tanhf`` are within an ulp of that, 2**-17 of an
    output step.
    """
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    low, high = dtype_clamp(source.dtype)
    values = np.arange(low - source.zero_point, high + 1 - source.zero_point, dtype=np.float32)
    inverse = np.float32(1) / np.float32(target.scale)
    scaled = function(values * np.float32(source.scale)) * inverse
    rounded = round_half_away(scaled) + np.float32(target.zero_point)
    table = np.clip(rounded, *dtype_clamp(target.dtype)).astype(target.dtype.numpy)
    found: Array = table[x.astype(np.int64) - low]
    return found


def _high_mul16(a: Array, b: Array | int, *, rounding: bool) -> Array:
    """High 16 bits of ``2*a*b``; truncated towards zero without ``rounding``."""
    product = a * np.asarray(b, np.int64)
    if rounding:
        product = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    truncated = np.where(product >= 0, product >> 15, -((-product) >> 15))
    return _saturate16(truncated)


def _divide_by_pot16(x: Array, exponent: int) -> Array:
    """gemmlowp's RoundingDivideByPOT in int16, whose mask of 16 bits or more is -1: then it rounds
    away from zero, and zero up.
    """
    if exponent < 16:
        return rounding_divide_by_pot(x, exponent)
    return np.where(x >= 0, 1, -1)


def _saturate16(x: Array) -> Array:
    saturated: Array = np.clip(x, -(1 << 15), (1 << 15) - 1)
    return saturated
