"""Removes moves of elements that move nothing in memory or that no consumer minds."""

from __future__ import annotations

from dataclasses import replace

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.passes.rewrite import apply_everywhere, only_consumer, replace_op
from tinyvision.passes.unary import variable_input


def remove_reshapes(graph: Graph) -> Graph:
    """A Transpose that moves only axes of extent 1 becomes a Reshape, of two Reshapes or
    Transposes in a row one remains, and a Reshape next to a FullyConnected or Mean is absorbed.

    Functions of single elements move up before a Reshape or Transpose, towards the operator that
    may absorb them, and so does a Mean before a Transpose, which then moves less or nothing.
    """
    return apply_everywhere(
        graph,
        _transpose_to_reshape,
        _nested_reshape,
        _nested_transpose,
        _before_fully_connected,
        _after_fully_connected,
        _after_mean,
        _mean_before_transpose,
        _function_before_move,
    )


def _transpose_to_reshape(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Transpose):
        return None
    shape = graph.tensor(op.inputs[0]).shape
    moved = [axis for axis in op.perm if shape[axis] > 1]
    if moved != sorted(moved):
        return None
    new = ops.Reshape(name=op.name, inputs=op.inputs, outputs=op.outputs)
    return replace_op(graph, op, new)


def _nested_reshape(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Reshape):
        return None
    inner = graph.producers().get(op.inputs[0])
    if not isinstance(inner, ops.Reshape):
        return None
    return _without_unread(graph, op, replace(op, inputs=inner.inputs), inner)


def _nested_transpose(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Transpose):
        return None
    inner = graph.producers().get(op.inputs[0])
    if not isinstance(inner, ops.Transpose) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    perm = tuple(inner.perm[axis] for axis in op.perm)
    return _without_unread(graph, op, replace(op, inputs=inner.inputs, perm=perm), inner)


def _before_fully_connected(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.FullyConnected):
        return None
    inner = graph.producers().get(op.inputs[0])
    if not isinstance(inner, ops.Reshape):
        return None
    new = replace(op, inputs=(inner.inputs[0], *op.inputs[1:]))
    return _without_unread(graph, op, new, inner)


def _after_fully_connected(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Reshape) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    dense = graph.producers().get(op.inputs[0])
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if not isinstance(dense, ops.FullyConnected) or x.shape[-1:] != y.shape[-1:]:
        return None
    return _absorb(graph, op, dense, replace(dense, outputs=op.outputs))


def _after_mean(graph: Graph, op: Op) -> Graph | None:
    """The Reshape that adds or drops the axes of a Mean."""
    if not isinstance(op, ops.Reshape) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    mean = graph.producers().get(op.inputs[0])
    if not isinstance(mean, ops.Mean):
        return None
    shape = graph.tensor(mean.inputs[0]).shape
    kept = tuple(1 if axis in mean.axes else extent for axis, extent in enumerate(shape))
    dropped = tuple(extent for axis, extent in enumerate(shape) if axis not in mean.axes)
    for keep_dims, result in ((True, kept), (False, dropped)):
        if graph.tensor(op.outputs[0]).shape == result:
            return _absorb(graph, op, mean, replace(mean, outputs=op.outputs, keep_dims=keep_dims))
    return None


def _mean_before_transpose(graph: Graph, op: Op) -> Graph | None:
    """mean(transpose(x)) becomes transpose(mean(x)) over the axes that those are of x."""
    if not isinstance(op, ops.Mean) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    transpose = graph.producers().get(op.inputs[0])
    if not isinstance(transpose, ops.Transpose):
        return None
    (middle,) = transpose.outputs
    source, y = graph.tensor(transpose.inputs[0]), graph.tensor(op.outputs[0])
    axes = tuple(sorted(transpose.perm[axis] for axis in op.axes))
    if op.keep_dims:
        shape = tuple(1 if axis in axes else extent for axis, extent in enumerate(source.shape))
        perm = transpose.perm
    else:
        rest = [axis for axis in range(len(source.shape)) if axis not in axes]
        shape = tuple(source.shape[axis] for axis in rest)
        perm = tuple(rest.index(axis) for axis in transpose.perm if axis in rest)
    swapped = {
        transpose.name: replace(op, inputs=(source.name,), outputs=(middle,), axes=axes),
        op.name: replace(transpose, inputs=(middle,), outputs=(y.name,), perm=perm),
    }
    return graph.with_ops(
        tuple(swapped.get(other.name, other) for other in graph.ops),
        {**graph.tensors, middle: replace(y, name=middle, shape=shape)},
    )


def _function_before_move(graph: Graph, op: Op) -> Graph | None:
    """function(move(x)) becomes move(function(x)), where nothing else reads what was moved."""
    moved = variable_input(graph, op)
    move = graph.producers().get(moved) if moved is not None else None
    if moved is None or not isinstance(move, (ops.Reshape, ops.Transpose)):
        return None
    if only_consumer(graph, moved) is not op:
        return None
    source, y = graph.tensor(move.inputs[0]), graph.tensor(op.outputs[0])
    operands = (graph.tensor(name) for name in op.inputs if name != moved)
    if not isinstance(op, ops.Lookup) and any(
        operand.elements > 1 or len(operand.shape) > len(source.shape) for operand in operands
    ):
        return None
    between = replace(source, name=moved, dtype=y.dtype, quant=y.quant, data=None)
    swapped = {
        move.name: replace(
            op,
            inputs=tuple(source.name if name == moved else name for name in op.inputs),
            outputs=(moved,),
        ),
        op.name: replace(move, inputs=(moved,), outputs=op.outputs),
    }
    return graph.with_ops(
        tuple(swapped.get(other.name, other) for other in graph.ops),
        {**graph.tensors, moved: between},
    )


def _absorb(graph: Graph, reshape: Op, producer: Op, new: Op) -> Graph:
    """``new`` in place of ``producer``, defining what ``reshape`` did."""
    rest = graph.with_ops(tuple(op for op in graph.ops if op is not reshape))
    y = graph.tensor(reshape.outputs[0])
    return replace_op(rest, producer, new, tensors=(y,))


def _without_unread(graph: Graph, op: Op, new: Op, inner: Op) -> Graph:
    """``op`` replaced by ``new``, and ``inner`` dropped if nothing reads it now."""
    graph = replace_op(graph, op, new)
    (middle,) = inner.outputs
    if middle in graph.outputs or graph.consumers()[middle]:
        return graph
    return graph.with_ops(tuple(other for other in graph.ops if other is not inner))
