"""Removes operators whose output is their input, and joins neighbours that split what they join."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.passes.ranges import ranges
from tinyvision.passes.rewrite import apply_everywhere, bypass, only_consumer, replace_op
from tinyvision.passes.unary import table, variable_input


def remove_identities(graph: Graph) -> Graph:
    """Without what changes nothing: slices of everything, pads of nothing, pools of one element,
    concatenations of one tensor, functions that map every reachable value to itself.

    A concatenation of a split's parts in order is bypassed; nested concatenations along one axis,
    nested slices and nested constant pads become one.
    """
    graph = apply_everywhere(graph, _whole, _rejoined, _nested_concatenation, _nested_slice)
    graph = apply_everywhere(graph, _nested_pad)
    return _identical_functions(graph)


def _whole(graph: Graph, op: Op) -> Graph | None:
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if x.shape != y.shape or x.is_constant:
        return None
    if isinstance(op, ops.Slice):
        identity = all(stride > 0 for stride in op.strides)
    elif isinstance(op, (ops.AveragePool2D, ops.MaxPool2D)):
        identity = op.window == (1, 1) and op.stride == (1, 1) and op.clamp == dtype_clamp(y.dtype)
    elif isinstance(op, (ops.Concatenation, ops.Split)):
        identity = len(op.inputs) == len(op.outputs) == 1
    else:
        identity = isinstance(op, (ops.Pad, ops.Reshape)) or (
            isinstance(op, ops.Transpose) and op.perm == tuple(range(len(op.perm)))
        )
    return bypass(graph, op) if identity else None


def _rejoined(graph: Graph, op: Op) -> Graph | None:
    """Concatenation of all parts of a Split, in order, along its axis."""
    if not isinstance(op, ops.Concatenation):
        return None
    split = graph.producers().get(op.inputs[0])
    if not isinstance(split, ops.Split) or split.axis != op.axis or split.outputs != op.inputs:
        return None
    if not set(split.outputs).isdisjoint(graph.outputs):
        return None
    return bypass(graph, op, split.inputs[0])


def _nested_concatenation(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Concatenation):
        return None
    producers = graph.producers()
    for name in op.inputs:
        inner = producers.get(name)
        if (
            isinstance(inner, ops.Concatenation)
            and inner.axis == op.axis
            and op.inputs.count(name) == 1
            and only_consumer(graph, name) is op
        ):
            position = op.inputs.index(name)
            inputs = (*op.inputs[:position], *inner.inputs, *op.inputs[position + 1 :])
            rest = graph.with_ops(tuple(other for other in graph.ops if other is not inner))
            return replace_op(rest, op, replace(op, inputs=inputs))
    return None


def _nested_slice(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Slice):
        return None
    inner = graph.producers().get(op.inputs[0])
    if not isinstance(inner, ops.Slice) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    steps = tuple(zip(inner.begin, inner.strides, op.begin, op.strides, strict=True))
    merged = replace(
        op,
        inputs=inner.inputs,
        begin=tuple(first + stride * begin for first, stride, begin, _ in steps),
        strides=tuple(stride * step for _, stride, _, step in steps),
    )
    rest = graph.with_ops(tuple(other for other in graph.ops if other is not inner))
    return replace_op(rest, op, merged)


def _nested_pad(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Pad) or op.mode is not ops.PadMode.CONSTANT:
        return None
    inner = graph.producers().get(op.inputs[0])
    if not isinstance(inner, ops.Pad) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    if inner.mode is not ops.PadMode.CONSTANT or inner.value != op.value:
        return None
    pads = tuple(
        (before + more_before, after + more_after)
        for (before, after), (more_before, more_after) in zip(inner.pads, op.pads, strict=True)
    )
    rest = graph.with_ops(tuple(other for other in graph.ops if other is not inner))
    return replace_op(rest, op, replace(op, inputs=inner.inputs, pads=pads))


def _identical_functions(graph: Graph) -> Graph:
    """Functions of bytes that leave each value alone that can occur."""
    known = ranges(graph)

    def identical(graph: Graph, op: Op) -> Graph | None:
        name = variable_input(graph, op)
        if name is None:
            return None
        x, y = graph.tensor(name), graph.tensor(op.outputs[0])
        if x.dtype is not y.dtype or x.quant != y.quant:
            return None
        lowest, _ = dtype_clamp(x.dtype)
        low, high = known[name].hull()
        values = np.arange(low, high + 1)
        if not np.array_equal(table(graph, op)[low - lowest : high - lowest + 1], values):
            return None
        return bypass(graph, op, name)

    return apply_everywhere(graph, identical)
