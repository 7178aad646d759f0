"""Computes beforehand what does not depend on the input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.reference import evaluate
from tinyvision.ir.types import Array, Tensor
from tinyvision.passes.ranges import ranges
from tinyvision.passes.rewrite import apply_everywhere, fresh_name, replace_op

_BINARY = (ops.Add, ops.Sub, ops.Mul, ops.Minimum, ops.Maximum)


def fold_constants(graph: Graph) -> Graph:
    """Tensors that are the same whatever the input become constants; their operators disappear.

    Those are the results of operators that read constants only, and tensors every channel of which
    is proved to hold one value (``ranges``). Graph outputs stay computed, and so does what an
    operator reads that takes no constant there. Constant operands of broadcasting operators shrink
    to the extents that they vary along.
    """
    values = _constant_results(graph)
    foldable = _foldable(graph, set(values))
    if foldable:
        tensors = dict(graph.tensors)
        for name in foldable:
            tensor = graph.tensor(name)
            tensors[name] = Tensor(name, tensor.shape, tensor.dtype, tensor.quant, values[name])
        rest = (op for op in graph.ops if foldable.isdisjoint(op.outputs))
        graph = graph.with_ops(tuple(rest), tensors)
    return apply_everywhere(graph, _shrink_operand)


def _constant_results(graph: Graph) -> dict[str, Array]:
    """The value of each computed tensor that does not depend on the input."""
    known = ranges(graph)
    values: dict[str, Array] = {}
    for op in graph.ops:
        inputs = [values.get(name, graph.tensor(name).data) for name in op.inputs]
        arrays = [value for value in inputs if value is not None]
        if len(arrays) == len(inputs):
            values.update(zip(op.outputs, evaluate(graph, op, arrays), strict=True))
            continue
        for name in op.outputs:
            if name in known and known[name].is_constant.all():
                tensor = graph.tensor(name)
                low = known[name].low.astype(tensor.dtype.numpy)
                values[name] = np.ascontiguousarray(np.broadcast_to(low, tensor.shape))
    return values


def _foldable(graph: Graph, constant: set[str]) -> set[str]:
    """Those of ``constant`` that are not outputs and that only folded operators read, or such as
    take a constant operand.
    """
    consumers = graph.consumers()
    folded: set[str] = set()
    for op in reversed(graph.ops):
        if all(
            name in constant
            and name not in graph.outputs
            and all(
                isinstance(user, _BINARY) or not folded.isdisjoint(user.outputs)
                for user in consumers[name]
            )
            for name in op.outputs
        ):
            folded.update(op.outputs)
    return folded


def _shrink_operand(graph: Graph, op: Op) -> Graph | None:
    """A constant operand that repeats itself along an axis that broadcasting repeats anyway."""
    if not isinstance(op, (*_BINARY, ops.Prelu)):
        return None
    for position, partner in ((0, 1), (1, 0)):
        operand = graph.tensor(op.inputs[position])
        other = graph.tensor(op.inputs[partner]).shape
        if operand.data is None or len(other) < operand.data.ndim:
            continue
        small = _unrepeated(operand.data, other[len(other) - operand.data.ndim :])
        if small.shape != operand.shape:
            return _with_operand(graph, op, position, small)
    return None


def _unrepeated(data: Array, partner: tuple[int, ...]) -> Array:
    """``data`` with extent 1 along every axis that it repeats along and ``partner`` is as large."""
    for axis, extent in enumerate(partner):
        first = data.take([0], axis=axis)
        if data.shape[axis] == extent > 1 and (data == first).all():
            data = first
    return data


def _with_operand(graph: Graph, op: Op, position: int, data: Array) -> Graph:
    """``op`` reads ``data`` instead of its input at ``position``."""
    old = graph.tensor(op.inputs[position])
    small = Tensor(fresh_name(graph.tensors, old.name), data.shape, old.dtype, old.quant, data)
    inputs = list(op.inputs)
    inputs[position] = small.name
    return replace_op(graph, op, replace(op, inputs=tuple(inputs)), tensors=(small,))
