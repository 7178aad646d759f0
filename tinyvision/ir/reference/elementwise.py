"""Operators on single elements: arithmetic, requantization, rectifiers, (de)quantization.

Sources: TFLite kernels/internal/reference/{add,sub,mul,requantize,leaky_relu,prelu,quantize,
dequantize}.h.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import (
    Requant,
    add_params,
    dtype_clamp,
    leaky_relu_params,
    mul_params,
    prelu_params,
    requantize_params,
)
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import INT32_MAX, multiply_by_quantized_multiplier, round_half_away
from tinyvision.ir.ops import (
    Add,
    Clamp,
    Dequantize,
    LeakyRelu,
    Maximum,
    Minimum,
    Mul,
    Prelu,
    Quantize,
    Requantize,
    Sub,
)
from tinyvision.ir.types import Array, Tensor


def add(graph: Graph, op: Add, a: Array, b: Array) -> Array:
    return _sum(graph, op, a, b, 1)


def sub(graph: Graph, op: Sub, a: Array, b: Array) -> Array:
    return _sum(graph, op, a, b, -1)


def _sum(graph: Graph, op: Add | Sub, a: Array, b: Array, sign: int) -> Array:
    params = add_params(graph, op)
    wide_a = (a.astype(np.int64) - params.a_zero_point) << params.left_shift
    wide_b = (b.astype(np.int64) - params.b_zero_point) << params.left_shift
    total = _times(wide_a, params.a) + sign * _times(wide_b, params.b)
    return _finish(_times(total, params.output), params.output_zero_point, op.clamp, graph, op)


def mul(graph: Graph, op: Mul, a: Array, b: Array) -> Array:
    params = mul_params(graph, op)
    product = (a.astype(np.int64) - params.a_zero_point) * (
        b.astype(np.int64) - params.b_zero_point
    )
    return _finish(_times(product, params.output), params.output_zero_point, op.clamp, graph, op)


def minimum(graph: Graph, op: Minimum, a: Array, b: Array) -> Array:
    least: Array = np.minimum(a, b)
    return least


def maximum(graph: Graph, op: Maximum, a: Array, b: Array) -> Array:
    most: Array = np.maximum(a, b)
    return most


def requantize(graph: Graph, op: Requantize, x: Array) -> Array:
    params = requantize_params(graph, op)
    scaled = _times(x.astype(np.int64) - params.input_zero_point, params.output)
    return _finish(scaled, params.output_zero_point, op.clamp, graph, op)


def leaky_relu(graph: Graph, op: LeakyRelu, x: Array) -> Array:
    params = leaky_relu_params(graph, op)
    centred = x.astype(np.int64) - params.input_zero_point
    scaled = np.where(
        centred >= 0, _times(centred, params.positive), _times(centred, params.negative)
    )
    return _finish(scaled, params.output_zero_point, _range(graph, op), graph, op)


def prelu(graph: Graph, op: Prelu, x: Array, alpha: Array) -> Array:
    params = prelu_params(graph, op)
    centred = x.astype(np.int64) - params.input_zero_point
    slope = alpha.astype(np.int64) - params.alpha_zero_point
    scaled = np.where(
        centred >= 0, _times(centred, params.positive), _times(centred * slope, params.negative)
    )
    return _finish(scaled, params.output_zero_point, _range(graph, op), graph, op)


def quantize(graph: Graph, op: Quantize, x: Array) -> Array:
    return quantize_to(graph.tensor(op.outputs[0]), x)


def dequantize(graph: Graph, op: Dequantize, x: Array) -> Array:
    return dequantize_from(graph.tensor(op.inputs[0]), x)


def quantize_to(tensor: Tensor, x: Array) -> Array:
    """float32 values in the integers of ``tensor``: ``round(x / scale) + zero_point`` saturated.

    Division in float32, ties away from zero. Where C leaves the conversion to int32 undefined,
    the result is what Arm's instruction gives: it saturates, and NaN becomes the zero point.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = round_half_away(x.astype(np.float32) / np.float32(tensor.scale))
    finite = np.nan_to_num(ratio.astype(np.float64), nan=0.0)
    whole = np.clip(finite, -INT32_MAX - 1, INT32_MAX).astype(np.int64)
    low, high = dtype_clamp(tensor.dtype)
    clamped = np.clip(whole + tensor.zero_point, low, high)
    return clamped.astype(tensor.dtype.numpy)


def dequantize_from(tensor: Tensor, x: Array) -> Array:
    """The float32 values of ``tensor``'s integers: ``scale * (x - zero_point)``, rounded once."""
    centred = x.astype(np.float64) - tensor.zero_point
    return (tensor.scale * centred).astype(np.float32)


def _times(x: Array, factor: Requant) -> Array:
    return multiply_by_quantized_multiplier(x, factor.multiplier, factor.shift)


def _range(graph: Graph, op: LeakyRelu | Prelu) -> Clamp:
    return dtype_clamp(graph.tensor(op.outputs[0]).dtype)


def _finish(
    scaled: Array,
    zero_point: int,
    clamp: Clamp,
    graph: Graph,
    op: Add | Sub | Mul | Requantize | LeakyRelu | Prelu,
) -> Array:
    clamped = np.clip(scaled + zero_point, *clamp)
    return clamped.astype(graph.tensor(op.outputs[0]).dtype.numpy)
