"""Convolutions and FullyConnected: exact int32 sums, then one requantization.

Sums are formed by matrix products in float64, where integers below 2**53 are exact, and wrapped to
int32 as the C code's accumulators do.
Sources: TFLite kernels/internal/reference/integer_ops/{conv,depthwise_conv,transpose_conv,
fully_connected}.h, reference/batch_matmul.h.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinyvision.ir.derive import ChannelRequant, batch_matmul_params, conv_requant, dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.ops import (
    BatchMatMul,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    TransposeConv2D,
)
from tinyvision.ir.types import Array, Tensor


def conv2d(graph: Graph, op: Conv2D, x: Array, weights: Array, bias: Array) -> Array:
    y = graph.tensor(op.outputs[0])
    params = conv_requant(graph, op)
    kernel = (weights.shape[1], weights.shape[2])
    windows = _windows(x, op, params.input_zero_point, kernel, (y.shape[1], y.shape[2]))
    channels, depth = weights.shape[0], weights.shape[3]
    groups = x.shape[3] // depth
    filters = weights.reshape(groups, channels // groups, -1).astype(np.float64)
    sums = [
        windows[..., group * depth : (group + 1) * depth].reshape(-1, filters.shape[2])
        @ filters[group].T
        for group in range(groups)
    ]
    return _finish(np.concatenate(sums, axis=1), bias, params, op.clamp, y)


def depthwise_conv2d(
    graph: Graph, op: DepthwiseConv2D, x: Array, weights: Array, bias: Array
) -> Array:
    y = graph.tensor(op.outputs[0])
    params = conv_requant(graph, op)
    kernel = (weights.shape[1], weights.shape[2])
    windows = _windows(x, op, params.input_zero_point, kernel, (y.shape[1], y.shape[2]))
    filters = weights.reshape(*kernel, x.shape[3], op.multiplier).astype(np.float64)
    sums = np.zeros((*windows.shape[:3], *filters.shape[2:]))
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            sums += windows[:, :, :, row, column, :, None] * filters[row, column]
    return _finish(sums, bias, params, op.clamp, y)


def transpose_conv2d(
    graph: Graph, op: TransposeConv2D, x: Array, weights: Array, bias: Array
) -> Array:
    """Every input element adds its multiple of the kernel to the output; what falls outside is
    dropped.
    """
    y = graph.tensor(op.outputs[0])
    params = conv_requant(graph, op)
    batch, height, width, depth = x.shape
    channels, rows, columns, _ = weights.shape
    source = (x.astype(np.float64) - params.input_zero_point).reshape(-1, depth)
    full_height = max((height - 1) * op.stride[0] + rows, op.padding.top + y.shape[1])
    full_width = max((width - 1) * op.stride[1] + columns, op.padding.left + y.shape[2])
    full = np.zeros((batch, full_height, full_width, channels))
    for row in range(rows):
        for column in range(columns):
            part = (source @ weights[:, row, column, :].T.astype(np.float64)).reshape(
                batch, height, width, channels
            )
            last_row = row + (height - 1) * op.stride[0] + 1
            last_column = column + (width - 1) * op.stride[1] + 1
            full[:, row : last_row : op.stride[0], column : last_column : op.stride[1]] += part
    top, left = op.padding.top, op.padding.left
    sums = full[:, top : top + y.shape[1], left : left + y.shape[2]]
    return _finish(sums, bias, params, op.clamp, y)


def fully_connected(
    graph: Graph, op: FullyConnected, x: Array, weights: Array, bias: Array
) -> Array:
    y = graph.tensor(op.outputs[0])
    params = conv_requant(graph, op)
    rows = x.reshape(-1, weights.shape[1]).astype(np.float64) - params.input_zero_point
    filters = weights.astype(np.float64) - params.weights_zero_point
    return _finish(rows @ filters.T, bias, params, op.clamp, y)


def dense_sums(graph: Graph, op: FullyConnected, row: Array, index: int) -> Array:
    """What row ``index`` (1, 1, W, C) of the input adds to the sums (channels,) int32 of a dense
    layer over a whole image (1, H, W, C).
    """
    params, weights = conv_requant(graph, op), graph.tensor(op.inputs[1]).data
    assert weights is not None
    part = weights[:, index * row.size :][:, : row.size].astype(np.int64)
    sums = (part - params.weights_zero_point) @ (
        row.ravel().astype(np.int64) - params.input_zero_point
    )
    wrapped: Array = sums.astype(np.int32)
    return wrapped


def dense_of_sums(graph: Graph, op: FullyConnected, sums: Array) -> Array:
    """The output of a dense layer from those of all rows."""
    bias = graph.tensor(op.inputs[2]).data
    assert bias is not None
    return _finish(sums, bias, conv_requant(graph, op), op.clamp, graph.tensor(op.outputs[0]))


def batch_matmul(graph: Graph, op: BatchMatMul, a: Array, b: Array) -> Array:
    params = batch_matmul_params(graph, op)
    left = a.astype(np.float64) - params.a_zero_point
    right = b.astype(np.float64) - params.b_zero_point
    left = left.swapaxes(-1, -2) if op.adjoint_a else left
    right = right.swapaxes(-1, -2) if op.adjoint_b else right
    sums = (left @ right).astype(np.int64).astype(np.int32)
    y = graph.tensor(op.outputs[0])
    scaled = multiply_by_quantized_multiplier(sums, params.output.multiplier, params.output.shift)
    clamped = np.clip(scaled + params.output_zero_point, *dtype_clamp(y.dtype))
    return clamped.astype(y.dtype.numpy)


def _windows(
    x: Array,
    op: Conv2D | DepthwiseConv2D,
    zero_point: int,
    kernel: tuple[int, int],
    output: tuple[int, int],
) -> Array:
    """View (N, OH, OW, KH, KW, I) of ``x - zero_point`` in float64, zero outside of the input."""
    batch, height, width, depth = x.shape
    reach = [
        (output[axis] - 1) * op.stride[axis] + (kernel[axis] - 1) * op.dilation[axis] + 1
        for axis in range(2)
    ]
    top, left = op.padding.top, op.padding.left
    padded = np.zeros(
        (batch, max(reach[0], top + height), max(reach[1], left + width), depth), np.float64
    )
    padded[:, top : top + height, left : left + width] = x.astype(np.float64) - zero_point
    b, r, c, d = padded.strides
    return as_strided(
        padded,
        (batch, *output, *kernel, depth),
        (b, r * op.stride[0], c * op.stride[1], r * op.dilation[0], c * op.dilation[1], d),
        writeable=False,
    )


def _finish(sums: Array, bias: Array, params: ChannelRequant, clamp: Clamp, y: Tensor) -> Array:
    """Sums with channels last (in one axis or two) to the output tensor."""
    flat = sums.reshape(-1, bias.size).astype(np.int64) + bias
    scaled = multiply_by_quantized_multiplier(
        flat.astype(np.int32), np.array(params.multipliers), np.array(params.shifts)
    )
    clamped = np.clip(scaled + params.output_zero_point, *clamp)
    return clamped.reshape(y.shape).astype(y.dtype.numpy)
