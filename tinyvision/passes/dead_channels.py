"""Removes channels that hold one value whatever the input, or that nothing depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Array, QuantParams, Tensor
from tinyvision.passes.channels import (
    WEIGHTED,
    channel_weights,
    foldable,
    kept_channels,
    reduces_channels,
)
from tinyvision.passes.ranges import Interval, channels, ranges
from tinyvision.passes.rewrite import fresh_name


def dead_channels(graph: Graph) -> Graph:
    """``graph`` computing only the channels that ``channels.kept_channels`` says are needed.

    Every bit of every output stays as it was. A constant channel's products with the weights are
    the same at every position, so they are added to the bias once and for all. Weights, biases,
    scales and the tensors between shrink; graph inputs and outputs keep their shapes.
    """
    known = ranges(graph)
    kept = kept_channels(graph, known)
    if all(len(kept[name]) == channels(graph.tensor(name)) for name in kept):
        return graph
    shrunk = _Shrunk(graph, known, kept, graph.consumers(), dict(graph.tensors))
    for name, channel in kept.items():
        tensor = graph.tensor(name)
        if tensor.shape:
            shrunk.tensors[name] = replace(tensor, shape=(*tensor.shape[:-1], len(channel)))
    return graph.with_ops(
        tuple(_REWRITES.get(type(op), _unchanged)(shrunk, op) for op in graph.ops), shrunk.tensors
    )


@dataclass(frozen=True)
class _Shrunk:
    """The graph before, what is known and kept of it, and the tensors after (added to)."""

    graph: Graph
    known: dict[str, Interval]
    kept: dict[str, Array]
    consumers: dict[str, tuple[Op, ...]]
    tensors: dict[str, Tensor]

    def constant(self, tensor: Tensor, data: Array, quant: QuantParams | None) -> str:
        """A constant like ``tensor`` with other ``data``; its name."""
        old = _data(tensor)
        if data.shape == old.shape and np.array_equal(data, old):
            return tensor.name
        shared = len(self.consumers[tensor.name]) > 1
        name = fresh_name(self.tensors, tensor.name) if shared else tensor.name
        data = np.ascontiguousarray(data)
        self.tensors[name] = Tensor(name, data.shape, tensor.dtype, quant, data)
        return name


def _data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


def _unchanged(shrunk: _Shrunk, op: Op) -> Op:
    return op


def _weighted(shrunk: _Shrunk, op: Any) -> Op:
    """Weights of the kept outputs for the kept inputs; the others' constants in the bias."""
    x, weights, bias = shrunk.graph.input_tensors(op)
    values, biases = _data(weights), _data(bias)
    multiplier = {}
    if not x.is_constant and reduces_channels(shrunk.graph, op):
        inputs = shrunk.kept[x.name]
        biases = (biases + _removed_constants(shrunk, op, inputs)).astype(biases.dtype)
        if isinstance(op, ops.FullyConnected):
            rows = values.reshape(len(values), -1, channels(x))[..., inputs]
            values = rows.reshape(len(values), -1)
        elif isinstance(op, ops.DepthwiseConv2D):
            multiplier = {"multiplier": len(shrunk.kept[op.outputs[0]])}
        else:
            values = values[..., inputs]
    outputs = shrunk.kept[op.outputs[0]]
    axis = 3 if isinstance(op, ops.DepthwiseConv2D) else 0
    names = (
        x.name,
        shrunk.constant(
            weights, values.take(outputs, axis=axis), _of_outputs(weights.quant, outputs)
        ),
        shrunk.constant(bias, biases[outputs], _of_outputs(bias.quant, outputs)),
    )
    rewritten: Op = replace(op, inputs=names, **multiplier)
    return rewritten


def _of_outputs(quant: QuantParams | None, outputs: Array) -> QuantParams | None:
    """Per-channel parameters of the channels ``outputs`` only."""
    if quant is None or len(quant.scales) == 1:
        return quant
    return QuantParams(
        tuple(quant.scales[channel] for channel in outputs),
        tuple(quant.zero_points[channel] for channel in outputs),
        quant.axis,
    )


def _removed_constants(shrunk: _Shrunk, op: Op, inputs: Array) -> Array:
    """For each output the sum of the products with the constant channels not in ``inputs``."""
    x = shrunk.graph.tensor(op.inputs[0])
    known = shrunk.known[x.name]
    removed = foldable(shrunk.graph, op, known)
    removed[inputs] = False
    total: Array = channel_weights(shrunk.graph, op).sum(axis=2) @ np.where(
        removed, known.low - x.zero_point, 0
    )
    return total


def _with_operand(shrunk: _Shrunk, op: Op) -> Op:
    """A constant operand with an element for each channel loses those that are not kept."""
    y = shrunk.graph.tensor(op.outputs[0])
    inputs = list(op.inputs)
    for position, tensor in enumerate(shrunk.graph.input_tensors(op)):
        if tensor.is_constant and tensor.shape and channels(tensor) == channels(y):
            data = _data(tensor)[..., shrunk.kept[y.name]]
            inputs[position] = shrunk.constant(tensor, data, tensor.quant)
    return replace(op, inputs=tuple(inputs))


def _pad(shrunk: _Shrunk, op: ops.Pad) -> Op:
    """Only as many constant channels before and after as are kept."""
    before, _ = op.pads[-1]
    end = before + channels(shrunk.graph.tensor(op.inputs[0]))
    kept = shrunk.kept[op.outputs[0]]
    pair = int((kept < before).sum()), int((kept >= end).sum())
    return replace(op, pads=(*op.pads[:-1], pair))


def _slice(shrunk: _Shrunk, op: ops.Slice) -> Op:
    kept = shrunk.kept[op.inputs[0]]
    return replace(op, begin=(*op.begin[:-1], int((kept < op.begin[-1]).sum())))


_REWRITES: dict[type[Op], Callable[[_Shrunk, Any], Op]] = {
    **dict.fromkeys(WEIGHTED, _weighted),
    **dict.fromkeys(
        (ops.Add, ops.Sub, ops.Mul, ops.Minimum, ops.Maximum, ops.Prelu), _with_operand
    ),
    ops.Pad: _pad,
    ops.Slice: _slice,
}
