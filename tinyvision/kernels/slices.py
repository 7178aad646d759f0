"""Operators a few output channels at a time: a convolution, and the depthwise one that follows it,
can compute some channels from start to end before the next, so that the tensor between them never
exists whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, Op
from tinyvision.ir.types import QuantParams, Tensor

Span = tuple[int, int]
"""First channel and the one after the last."""


def has_slices(graph: Graph, op: Op) -> bool:
    """Whether ``channel_slice`` is defined for ``op``."""
    if isinstance(op, DepthwiseConv2D):
        return op.multiplier == 1
    if not isinstance(op, Conv2D):
        return False
    return graph.tensor(op.inputs[0]).shape[3] == graph.tensor(op.inputs[1]).shape[3]


def spans(channels: int, width: int) -> tuple[Span, ...]:
    """Slices of ``width`` channels; the last has what is left."""
    return tuple((at, min(at + width, channels)) for at in range(0, channels, width))


def channel_slice(graph: Graph, op: Op, span: Span) -> tuple[Graph, Op]:
    """The operator that computes the channels ``span`` of ``op``'s output, from all channels of its
    input, or from the same ones if it is depthwise, and a graph of it alone.
    """
    assert isinstance(op, (Conv2D, DepthwiseConv2D))
    x, weights, *bias = (graph.tensor(name) for name in op.inputs)
    depthwise = isinstance(op, DepthwiseConv2D)
    tensors = {name: _cut(graph.tensor(name), 3, span) for name in op.outputs}
    tensors[x.name] = _cut(x, 3, span) if depthwise else x
    tensors[weights.name] = _cut(weights, 3 if depthwise else 0, span)
    tensors.update((tensor.name, _cut(tensor, 0, span)) for tensor in bias)
    return Graph(graph.name, tensors, (op,), (x.name,), op.outputs), op


def _cut(tensor: Tensor, axis: int, span: Span) -> Tensor:
    first, end = span
    shape = list(tensor.shape)
    shape[axis] = end - first
    quant, data = tensor.quant, tensor.data
    if quant is not None and quant.axis == axis and len(quant.scales) > 1:
        quant = QuantParams(quant.scales[first:end], quant.zero_points[first:end], axis)
    if data is not None:
        data = np.ascontiguousarray(np.take(data, range(first, end), axis))
    return replace(tensor, shape=tuple(shape), quant=quant, data=data)
