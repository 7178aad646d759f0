"""Which channels of a graph must be computed: those that an output depends on, and those that
must exist because operators treat channels of several tensors alike.

A channel is an index of the last axis of a computed tensor; all of them are numbered through
(slots). Slots that can only be removed together (both operands and the result of an Add, input and
output of a pool) form one class. A convolution reads a channel only where a kept output has a
weight for it, and not at all where the channel is a constant that can go into the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import INT32_MAX
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Array, Tensor
from tinyvision.passes.ranges import Interval, channels
from tinyvision.passes.unary import ELEMENTWISE

WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.TransposeConv2D, ops.FullyConnected)


def channel_weights(graph: Graph, op: Op) -> Array:
    """The weights of each output for each input channel, less their zero point: (O, C, taps).

    ``op`` is a ``reduces_channels`` operator. FullyConnected reads an input channel several times.
    """
    weights = graph.tensor(op.inputs[1])
    assert weights.data is not None
    wide = weights.data.astype(np.int64)
    if isinstance(op, ops.FullyConnected):
        wide -= conv_requant(graph, op).weights_zero_point
        count = channels(graph.tensor(op.inputs[0]))
        return wide.reshape(wide.shape[0], -1, count).transpose(0, 2, 1)
    if isinstance(op, ops.DepthwiseConv2D):
        wide = wide.transpose(3, 1, 2, 0)
    return np.moveaxis(wide, 3, 1).reshape(wide.shape[0], wide.shape[3], -1)


def reduces_channels(graph: Graph, op: Op) -> bool:
    """Whether each output of ``op`` is a weighted sum over all channels of its input."""
    if not isinstance(op, WEIGHTED):
        return False
    x, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    if isinstance(op, ops.DepthwiseConv2D):
        return channels(x) == 1
    if isinstance(op, ops.FullyConnected):
        return weights.shape[1] % channels(x) == 0
    return weights.shape[3] == channels(x)


def foldable(graph: Graph, op: Op, x: Interval) -> Array:
    """For each input channel of a ``reduces_channels`` operator whether it is a constant that can
    go into the bias.

    Where a window reaches beyond the input it meets the zero point, so there the constant must be
    that; a transposed convolution meets a varying part of its kernel everywhere.
    """
    zero_point = graph.tensor(op.inputs[0]).zero_point
    bias = graph.tensor(op.inputs[2]).data
    assert bias is not None
    whole = isinstance(op, ops.FullyConnected) or (
        isinstance(op, (ops.Conv2D, ops.DepthwiseConv2D)) and not op.padding
    )
    bound = np.abs(channel_weights(graph, op)).sum(axis=(1, 2)) * 255 + np.abs(
        bias.astype(np.int64)
    )
    constant: Array = x.is_constant
    if not whole or bound.max() > INT32_MAX:
        constant = constant & (x.low == zero_point)
    return constant


@dataclass(frozen=True)
class _Reader:
    """``uses[o, c]``: output channel o needs input channel c, beyond what goes into the bias."""

    op: Op
    uses: Array


class _Slots:
    """Numbers every channel of every computed tensor; joins slots into classes (union-find)."""

    def __init__(self, graph: Graph) -> None:
        self.first: dict[str, int] = {}
        count = 0
        for name, tensor in graph.tensors.items():
            if not tensor.is_constant:
                self.first[name] = count
                count += channels(tensor)
        self.parent = list(range(count))
        self.needed: set[int] = set()

    def of(self, tensor: Tensor) -> Array:
        first = self.first[tensor.name]
        return np.arange(first, first + channels(tensor))

    def root(self, slot: int) -> int:
        while self.parent[slot] != slot:
            self.parent[slot] = self.parent[self.parent[slot]]
            slot = self.parent[slot]
        return slot

    def join(self, left: Array, right: Array) -> None:
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            self.parent[self.root(a)] = self.root(b)

    def need(self, slots: Array) -> None:
        self.needed.update(slots.tolist())


def kept_channels(graph: Graph, known: dict[str, Interval]) -> dict[str, Array]:
    """For each computed tensor the channels to keep, ascending; at least one.

    The others are constants that all readers take into their biases, or nobody reads them.
    ``known`` is what ``ranges`` says of ``graph``.
    """
    slots = _Slots(graph)
    readers: list[_Reader] = []
    for name in (*graph.inputs, *graph.outputs):
        slots.need(slots.of(graph.tensor(name)))
    for op in graph.ops:
        if all(tensor.is_constant for tensor in graph.input_tensors(op)):
            _need_all(graph, op, slots)
        elif reduces_channels(graph, op):
            used = channel_weights(graph, op).any(axis=2)
            readers.append(_Reader(op, used & ~foldable(graph, op, known[op.inputs[0]])))
        else:
            _RELATIONS.get(type(op), _need_all)(graph, op, slots)
    root = np.array([slots.root(slot) for slot in range(len(slots.parent))], np.int64)
    alive = np.zeros(root.size, bool)
    alive[root[sorted(slots.needed)]] = True
    tensors = [graph.tensor(name) for name in slots.first]
    while True:
        _spread(graph, slots, readers, root, alive)
        empty = next((t for t in tensors if not alive[root[slots.of(t)]].any()), None)
        if empty is None:
            break
        alive[root[slots.first[empty.name]]] = True
    return {t.name: np.flatnonzero(alive[root[slots.of(t)]]) for t in tensors}


def _spread(graph: Graph, slots: _Slots, readers: list[_Reader], root: Array, alive: Array) -> None:
    """Marks in ``alive`` the classes that readers with kept outputs need, and so on."""
    before = -1
    while before != (before := int(alive.sum())):
        for reader in reversed(readers):
            x, y = graph.tensor(reader.op.inputs[0]), graph.tensor(reader.op.outputs[0])
            uses = reader.uses[alive[root[slots.of(y)]]].any(axis=0)
            alive[root[slots.of(x)[uses]]] = True


_Relation = Callable[[Graph, Any, _Slots], None]


def _need_all(graph: Graph, op: Op, slots: _Slots) -> None:
    """Nothing is known of how channels relate: keep all of them."""
    for tensor in (*graph.input_tensors(op), *graph.output_tensors(op)):
        if not tensor.is_constant:
            slots.need(slots.of(tensor))


def _channelwise(graph: Graph, op: Op, slots: _Slots) -> None:
    """Channel c of the output depends on channel c of the operands, or on their only one, which
    is kept anyway.
    """
    (y,) = graph.output_tensors(op)
    for tensor in graph.input_tensors(op):
        if not tensor.is_constant and channels(tensor) == channels(y):
            slots.join(slots.of(tensor), slots.of(y))


def _depthwise(graph: Graph, op: ops.DepthwiseConv2D, slots: _Slots) -> None:
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    slots.join(np.repeat(slots.of(x), op.multiplier), slots.of(y))


def _mean(graph: Graph, op: ops.Mean, slots: _Slots) -> None:
    if len(graph.tensor(op.inputs[0]).shape) - 1 in op.axes:
        _need_all(graph, op, slots)
    else:
        _channelwise(graph, op, slots)


def _transpose(graph: Graph, op: ops.Transpose, slots: _Slots) -> None:
    if op.perm[-1] == len(op.perm) - 1:
        _channelwise(graph, op, slots)
    else:
        _need_all(graph, op, slots)


def _reshape(graph: Graph, op: ops.Reshape, slots: _Slots) -> None:
    """A last axis that holds several times the channels repeats them."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if not x.shape or not y.shape:
        _need_all(graph, op, slots)
        return
    fewer, more = sorted((slots.of(x), slots.of(y)), key=len)
    if len(more) % len(fewer):
        _need_all(graph, op, slots)
    else:
        slots.join(np.tile(fewer, len(more) // len(fewer)), more)


def _pad(graph: Graph, op: ops.Pad, slots: _Slots) -> None:
    """Constant channels may stand before and after those of the input."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    before, after = op.pads[-1]
    if op.mode is not ops.PadMode.CONSTANT and (before or after):
        _need_all(graph, op, slots)
        return
    slots.join(slots.of(x), slots.of(y)[before : before + channels(x)])


def _concatenation(graph: Graph, op: ops.Concatenation, slots: _Slots) -> None:
    (y,) = graph.output_tensors(op)
    if op.axis != len(y.shape) - 1:
        _channelwise(graph, op, slots)
        return
    start = 0
    for tensor in graph.input_tensors(op):
        part = slots.of(y)[start : start + channels(tensor)]
        start += channels(tensor)
        if tensor.is_constant:
            slots.need(part)
        else:
            slots.join(slots.of(tensor), part)


def _split(graph: Graph, op: ops.Split, slots: _Slots) -> None:
    (x,) = graph.input_tensors(op)
    start = 0
    for tensor in graph.output_tensors(op):
        part = slots.of(x)
        if op.axis == len(x.shape) - 1:
            part = part[start : start + channels(tensor)]
            start += channels(tensor)
        slots.join(part, slots.of(tensor))


def _slice(graph: Graph, op: ops.Slice, slots: _Slots) -> None:
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if op.strides[-1] != 1:
        _need_all(graph, op, slots)
        return
    first = op.begin[-1]
    slots.join(slots.of(x)[first : first + channels(y)], slots.of(y))


_RELATIONS: dict[type[Op], _Relation] = {
    **dict.fromkeys(
        (
            *ELEMENTWISE,
            ops.Quantize,
            ops.Dequantize,
            ops.Lookup,
            ops.AveragePool2D,
            ops.MaxPool2D,
            ops.ResizeNearest,
            ops.ResizeBilinear,
        ),
        _channelwise,
    ),
    ops.DepthwiseConv2D: _depthwise,
    ops.Mean: _mean,
    ops.Transpose: _transpose,
    ops.Reshape: _reshape,
    ops.Pad: _pad,
    ops.Concatenation: _concatenation,
    ops.Split: _split,
    ops.Slice: _slice,
}
