"""Operators that move elements and compute nothing."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Concatenation, Pad, PadMode, Reshape, Slice, Split, Transpose
from tinyvision.ir.types import Array


def pad(graph: Graph, op: Pad, x: Array) -> Array:
    if op.mode is PadMode.CONSTANT:
        return np.pad(x, op.pads, constant_values=op.value)
    if op.mode is PadMode.REFLECT:
        return np.pad(x, op.pads, mode="reflect")
    return np.pad(x, op.pads, mode="symmetric")


def reshape(graph: Graph, op: Reshape, x: Array) -> Array:
    return x.reshape(graph.tensor(op.outputs[0]).shape)


def transpose(graph: Graph, op: Transpose, x: Array) -> Array:
    return x.transpose(op.perm)


def concatenation(graph: Graph, op: Concatenation, *parts: Array) -> Array:
    return np.concatenate(parts, axis=op.axis)


def split(graph: Graph, op: Split, x: Array) -> tuple[Array, ...]:
    sizes = [graph.tensor(name).shape[op.axis] for name in op.outputs]
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=op.axis))


def slice_(graph: Graph, op: Slice, x: Array) -> Array:
    extents = graph.tensor(op.outputs[0]).shape
    index = [
        first + stride * np.arange(extent)
        for first, stride, extent in zip(op.begin, op.strides, extents, strict=True)
    ]
    taken: Array = x[np.ix_(*index)]
    return taken
