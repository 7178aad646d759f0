"""Which integers each channel of each tensor can take, whatever the inputs: interval analysis.

A channel is an index of the last axis. The bounds hold for every element of the channel, at every
position; they are proved from the weights, not observed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.derive import add_params, conv_requant, dtype_clamp, mean_params, mul_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import INT32_MAX, INT32_MIN, multiply_by_quantized_multiplier
from tinyvision.ir.ops import Op
from tinyvision.ir.reference import evaluate
from tinyvision.ir.types import Array, DType, Tensor
from tinyvision.passes.unary import probe, table, variable_input


@dataclass(frozen=True)
class Interval:
    """Smallest and largest value of each channel, both int64 of shape (channels,)."""

    low: Array
    high: Array

    @property
    def is_constant(self) -> Array:
        """For each channel whether it holds one value only."""
        constant: Array = self.low == self.high
        return constant

    def hull(self) -> tuple[int, int]:
        """The bounds of all channels together."""
        return int(self.low.min()), int(self.high.max())


def channels(tensor: Tensor) -> int:
    """The extent of the last axis, 1 without axes."""
    return tensor.shape[-1] if tensor.shape else 1


def ranges(graph: Graph) -> dict[str, Interval]:
    """The interval of every 8-bit tensor of ``graph``, constants included."""
    known: dict[str, Interval] = {}
    for name, tensor in graph.tensors.items():
        if tensor.data is not None and tensor.dtype in _BYTES:
            rows = tensor.data.reshape(-1, channels(tensor)).astype(np.int64)
            known[name] = Interval(rows.min(axis=0), rows.max(axis=0))
    for name in graph.inputs:
        if graph.tensor(name).dtype in _BYTES:
            known[name] = _full(graph.tensor(name))
    for op in graph.ops:
        outputs = graph.output_tensors(op)
        if any(tensor.dtype not in _BYTES for tensor in outputs):
            continue
        sources = [known[name] for name in op.inputs if name in known]
        if variable_input(graph, op) is not None:
            results: tuple[Interval, ...] = (_through_table(graph, op, known),)
        else:
            transfer = _TRANSFER.get(type(op))
            found = transfer(graph, op, *sources) if transfer else _full(outputs[0])
            results = found if isinstance(found, tuple) else (found,)
        known.update(zip(op.outputs, results, strict=True))
    return known


_BYTES = (DType.INT8, DType.UINT8)
_Transfer = Callable[..., Interval | tuple[Interval, ...]]
_TRANSFER: dict[type[Op], _Transfer] = {}


def _transfer(*kinds: type[Op]) -> Callable[[_Transfer], _Transfer]:
    def register(function: _Transfer) -> _Transfer:
        _TRANSFER.update(dict.fromkeys(kinds, function))
        return function

    return register


def _full(tensor: Tensor) -> Interval:
    """Everything that the element type can hold."""
    low, high = dtype_clamp(tensor.dtype)
    return _within(channels(tensor), low, high)


def _within(count: int, low: int, high: int) -> Interval:
    return Interval(np.full(count, low, np.int64), np.full(count, high, np.int64))


def _clamped(interval: Interval, clamp: tuple[int, int]) -> Interval:
    return Interval(np.clip(interval.low, *clamp), np.clip(interval.high, *clamp))


def _through_table(graph: Graph, op: Op, known: dict[str, Interval]) -> Interval:
    name = variable_input(graph, op)
    assert name is not None
    values = table(graph, op).astype(np.int64)
    lowest, _ = dtype_clamp(graph.tensor(name).dtype)
    bounds = np.stack([known[name].low, known[name].high]) - lowest
    distinct, which = np.unique(bounds, axis=1, return_inverse=True)
    spans = [values[low : high + 1] for low, high in distinct.T]
    results = np.array([(span.min(), span.max()) for span in spans])[which.reshape(-1)]
    return Interval(results[:, 0], results[:, 1])


@dataclass(frozen=True)
class _Sums:
    """Positive and negative weights, summed over the taps: (outputs, inputs) each."""

    positive: Array
    negative: Array


def _sums(weights: Array, taps: tuple[int, ...]) -> _Sums:
    wide = weights.astype(np.int64)
    return _Sums(np.maximum(wide, 0).sum(axis=taps), np.minimum(wide, 0).sum(axis=taps))


@_transfer(ops.Conv2D, ops.DepthwiseConv2D, ops.TransposeConv2D, ops.FullyConnected)
def _weighted(graph: Graph, op: Any, x: Interval, weights: Interval, *_: Interval) -> Interval:
    """Bounds of the accumulator, requantized: that is monotonic where nothing overflows."""
    params = conv_requant(graph, op)
    y = graph.tensor(op.outputs[0])
    bias = graph.tensor(op.inputs[2]).data
    data = graph.tensor(op.inputs[1]).data
    assert data is not None and bias is not None
    low, high = x.low - params.input_zero_point, x.high - params.input_zero_point
    if isinstance(op, ops.TransposeConv2D) or (
        not isinstance(op, ops.FullyConnected) and op.padding
    ):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    if isinstance(op, ops.DepthwiseConv2D):
        sums = _sums(data[0], (0, 1))
        low, high = np.repeat(low, op.multiplier), np.repeat(high, op.multiplier)
        least = sums.positive * low + sums.negative * high
        most = sums.positive * high + sums.negative * low
    else:
        if isinstance(op, ops.FullyConnected):
            if data.shape[1] % low.size:
                return _within(channels(y), *op.clamp)
            shifted = data.astype(np.int64) - params.weights_zero_point
            sums = _sums(shifted.reshape(data.shape[0], -1, low.size), (1,))
        else:
            sums = _sums(data, (1, 2))
            groups = low.size // data.shape[3]
            low, high = (
                np.repeat(bound.reshape(groups, -1), data.shape[0] // groups, axis=0)
                for bound in (low, high)
            )
        least = (sums.positive * low + sums.negative * high).sum(axis=1)
        most = (sums.positive * high + sums.negative * low).sum(axis=1)
    return _requantized(
        Interval(least + bias, most + bias),
        np.array(params.multipliers),
        np.array(params.shifts),
        params.output_zero_point,
        op.clamp,
    )


def _requantized(
    sums: Interval, multiplier: Array, shift: Array, zero_point: int, clamp: tuple[int, int]
) -> Interval:
    """``sums`` times a factor; anything within ``clamp`` where int32 could overflow."""
    left = np.maximum(shift, 0).astype(np.int64)
    fits = (sums.low >= INT32_MIN >> left) & (sums.high <= INT32_MAX >> left)
    low, high = (
        np.clip(
            multiply_by_quantized_multiplier(np.where(fits, bound, 0), multiplier, shift)
            + zero_point,
            *clamp,
        )
        for bound in (sums.low, sums.high)
    )
    return Interval(np.where(fits, low, clamp[0]), np.where(fits, high, clamp[1]))


@_transfer(ops.Add, ops.Sub, ops.Minimum, ops.Maximum, ops.Mul)
def _binary(graph: Graph, op: Any, a: Interval, b: Interval) -> Interval:
    """All four corners: sums, minima and maxima are monotonic in each operand, products bilinear
    before a monotonic requantization (unless that shifts bits out of int32).
    """
    y = graph.tensor(op.outputs[0])
    if isinstance(op, ops.Mul) and mul_params(graph, op).output.shift > 14:
        return _within(channels(y), *op.clamp)
    if isinstance(op, (ops.Add, ops.Sub)) and add_params(graph, op).output.shift > 2:
        return _within(channels(y), *op.clamp)
    types = [tensor.dtype.numpy for tensor in graph.input_tensors(op)]
    corners = [
        probe(graph, op, [p.astype(types[0]), q.astype(types[1])]).astype(np.int64)
        for p in (a.low, a.high)
        for q in (b.low, b.high)
    ]
    return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))


@_transfer(ops.Prelu)
def _prelu(graph: Graph, op: ops.Prelu, x: Interval, alpha: Interval) -> Interval:
    """Every reachable value of each channel, where alpha has one value a channel."""
    y = graph.tensor(op.outputs[0])
    if not alpha.is_constant.all():
        return _full(y)
    values = np.arange(-128, 128)[:, None]
    every = np.broadcast_to(values, (256, channels(y))).astype(np.int8)
    slopes = np.broadcast_to(alpha.low, (1, channels(y))).astype(np.int8)
    results = probe(graph, op, [every, slopes]).astype(np.int64)
    reachable = (values >= x.low) & (values <= x.high)
    return Interval(
        np.where(reachable, results, 127).min(axis=0),
        np.where(reachable, results, -128).max(axis=0),
    )


@_transfer(ops.Mean)
def _mean(graph: Graph, op: ops.Mean, x: Interval) -> Interval:
    """The mean of the bounds: sum and requantization are monotonic."""
    source, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    params = mean_params(graph, op)
    if (params.count * 255) << max(params.output.shift, 0) > INT32_MAX:
        return _full(y)
    bounds = []
    for bound in (x.low, x.high):
        if len(source.shape) - 1 in op.axes:
            bound = np.full_like(bound, bound.min() if bound is x.low else bound.max())
        filled = np.broadcast_to(bound, source.shape).astype(source.dtype.numpy)
        (result,) = evaluate(graph, op, [filled])
        bounds.append(result.reshape(-1, channels(y))[0].astype(np.int64))
    return Interval(*bounds)


@_transfer(ops.AveragePool2D, ops.MaxPool2D)
def _pool(graph: Graph, op: Any, x: Interval) -> Interval:
    """Padding takes no part in it, and rounding does not leave the bounds."""
    return _clamped(x, op.clamp)


@_transfer(ops.ResizeNearest, ops.ResizeBilinear)
def _resize(graph: Graph, op: Op, x: Interval) -> Interval:
    return x


@_transfer(ops.Pad)
def _pad(graph: Graph, op: ops.Pad, x: Interval) -> Interval:
    low, high = x.low, x.high
    if op.mode is not ops.PadMode.CONSTANT:
        mode = "reflect" if op.mode is ops.PadMode.REFLECT else "symmetric"
        return Interval(*(np.pad(bound, op.pads[-1:], mode=mode) for bound in (low, high)))  # type: ignore[call-overload]
    if any(pair != (0, 0) for pair in op.pads[:-1]):
        low, high = np.minimum(low, op.value), np.maximum(high, op.value)
    return Interval(
        *(np.pad(bound, op.pads[-1:], constant_values=op.value) for bound in (low, high))
    )


@_transfer(ops.Reshape)
def _reshape(graph: Graph, op: ops.Reshape, x: Interval) -> Interval:
    """Channels stay apart where one number of channels divides the other."""
    count = channels(graph.tensor(op.outputs[0]))
    if count % x.low.size == 0:
        repeats = count // x.low.size
        return Interval(np.tile(x.low, repeats), np.tile(x.high, repeats))
    if x.low.size % count == 0:
        return Interval(x.low.reshape(-1, count).min(axis=0), x.high.reshape(-1, count).max(axis=0))
    return _within(count, *x.hull())


@_transfer(ops.Transpose)
def _transpose(graph: Graph, op: ops.Transpose, x: Interval) -> Interval:
    if op.perm[-1] == len(op.perm) - 1:
        return x
    return _within(channels(graph.tensor(op.outputs[0])), *x.hull())


@_transfer(ops.Concatenation)
def _concatenation(graph: Graph, op: ops.Concatenation, *parts: Interval) -> Interval:
    lows, highs = [part.low for part in parts], [part.high for part in parts]
    if op.axis == len(graph.tensor(op.outputs[0]).shape) - 1:
        return Interval(np.concatenate(lows), np.concatenate(highs))
    return Interval(np.minimum.reduce(lows), np.maximum.reduce(highs))


@_transfer(ops.Split)
def _split(graph: Graph, op: ops.Split, x: Interval) -> tuple[Interval, ...]:
    tensors = graph.output_tensors(op)
    if op.axis != len(tensors[0].shape) - 1:
        return (x,) * len(tensors)
    ends = np.cumsum([tensor.shape[-1] for tensor in tensors])[:-1]
    return tuple(
        Interval(low, high)
        for low, high in zip(np.split(x.low, ends), np.split(x.high, ends), strict=True)
    )


@_transfer(ops.Slice)
def _slice(graph: Graph, op: ops.Slice, x: Interval) -> Interval:
    index = op.begin[-1] + op.strides[-1] * np.arange(channels(graph.tensor(op.outputs[0])))
    return Interval(x.low[index], x.high[index])
