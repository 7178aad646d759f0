"""Operators that gather from a neighbourhood or reduce: pools, Mean, resizing.

Sources: TFLite kernels/internal/reference/integer_ops/pooling.h and
kernels/internal/reference/{reduce,resize_nearest_neighbor,resize_bilinear}.h.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import (
    Interpolation,
    dtype_clamp,
    interpolation,
    mean_params,
    nearest_indices,
    window_spans,
)
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.ops import AveragePool2D, MaxPool2D, Mean, ResizeBilinear, ResizeNearest
from tinyvision.ir.types import Array


def average_pool2d(graph: Graph, op: AveragePool2D, x: Array) -> Array:
    """Sums by the difference of running totals; the mean is rounded half away from zero."""
    y = graph.tensor(op.outputs[0])
    rows = window_spans(x.shape[1], y.shape[1], op, 0)
    columns = window_spans(x.shape[2], y.shape[2], op, 1)
    total = _span_sums(_span_sums(x.astype(np.int64), rows, 1), columns, 2)
    count = np.outer([n for _, n in rows], [n for _, n in columns])[None, :, :, None]
    return _pool_mean(op, total, count).astype(y.dtype.numpy)


def _pool_mean(op: AveragePool2D, total: Array, count: Array | int) -> Array:
    mean = np.where(total > 0, (total + count // 2) // count, -((-total + count // 2) // count))
    clamped: Array = np.clip(mean, *op.clamp)
    return clamped


def max_pool2d(graph: Graph, op: MaxPool2D, x: Array) -> Array:
    y = graph.tensor(op.outputs[0])
    rows = window_spans(x.shape[1], y.shape[1], op, 0)
    columns = window_spans(x.shape[2], y.shape[2], op, 1)
    tallest = np.stack([x[:, i : i + n].max(axis=1) for i, n in rows], axis=1)
    largest = np.stack([tallest[:, :, i : i + n].max(axis=2) for i, n in columns], axis=2)
    clamped: Array = np.clip(largest, *op.clamp)
    return clamped.astype(y.dtype.numpy)


def mean(graph: Graph, op: Mean, x: Array) -> Array:
    return mean_of_sums(graph, op, x.astype(np.int64).sum(axis=op.axes))


def mean_of_sums(graph: Graph, op: Mean | AveragePool2D, sums: Array) -> Array:
    """The output of a mean, or of an average pool with one window over the whole input, from the
    sums over its elements (of any shape).
    """
    y = graph.tensor(op.outputs[0])
    if isinstance(op, AveragePool2D):
        pooled = _pool_mean(op, sums.astype(np.int64), op.window[0] * op.window[1])
        return pooled.astype(y.dtype.numpy).reshape(y.shape)
    params = mean_params(graph, op)
    total = sums.astype(np.int64) - params.count * params.input_zero_point
    scaled = multiply_by_quantized_multiplier(total, params.output.multiplier, params.output.shift)
    clamped = np.clip(scaled + params.output_zero_point, *dtype_clamp(y.dtype))
    return clamped.astype(y.dtype.numpy).reshape(y.shape)


def resize_nearest(graph: Graph, op: ResizeNearest, x: Array) -> Array:
    y = graph.tensor(op.outputs[0])
    rows = nearest_indices(x.shape[1], y.shape[1], op)
    columns = nearest_indices(x.shape[2], y.shape[2], op)
    chosen: Array = x[:, rows][:, :, columns]
    return chosen


def resize_bilinear(graph: Graph, op: ResizeBilinear, x: Array) -> Array:
    """Weights in 1024ths along each axis; the sum of four products is rounded half away from
    zero.
    """
    y = graph.tensor(op.outputs[0])
    rows = interpolation(x.shape[1], y.shape[1], op)
    columns = interpolation(x.shape[2], y.shape[2], op)
    total = _blend(_blend(x.astype(np.int64), rows, 1), columns, 2)
    half = np.where(total > 0, 1 << 19, -(1 << 19))
    nudged = total + half
    rounded = np.where(nudged >= 0, nudged >> 20, -((-nudged) >> 20))
    return rounded.astype(y.dtype.numpy)


def _span_sums(x: Array, spans: tuple[tuple[int, int], ...], axis: int) -> Array:
    """The sum over each span (first, count) along ``axis``."""
    running = np.insert(np.cumsum(x, axis=axis), 0, 0, axis=axis)
    first = [i for i, _ in spans]
    last = [i + n for i, n in spans]
    sums: Array = running.take(last, axis=axis) - running.take(first, axis=axis)
    return sums


def _blend(x: Array, along: Interpolation, axis: int) -> Array:
    shape = [1] * x.ndim
    shape[axis] = -1
    weight = np.array(along.weight).reshape(shape)
    blended: Array = x.take(along.low, axis) * (1024 - weight) + x.take(along.high, axis) * weight
    return blended
