"""Operators that map each element of one tensor by itself, as tables of 256 values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.reference import evaluate
from tinyvision.ir.types import Array, DType, Tensor

ELEMENTWISE = (
    ops.Add,
    ops.Sub,
    ops.Mul,
    ops.Minimum,
    ops.Maximum,
    ops.Prelu,
    ops.Logistic,
    ops.Tanh,
    ops.HardSwish,
    ops.Gelu,
    ops.LeakyRelu,
    ops.Requantize,
)
_BYTES = (DType.INT8, DType.UINT8)


def variable_input(graph: Graph, op: Op) -> str | None:
    """The tensor that ``op`` maps element by element through a fixed table, if it is of that kind.

    So are functions of one 8-bit tensor, and those of two where both are the same or the other is
    one constant element (repeated), and which broadcasting does not make larger.
    """
    if not isinstance(op, (*ELEMENTWISE, ops.Lookup)):
        return None
    tensors = graph.input_tensors(op)
    (y,) = graph.output_tensors(op)
    variable = {tensor.name: tensor for tensor in tensors if not tensor.is_constant}
    if len(variable) != 1:
        return None
    (x,) = variable.values()
    if x.dtype not in _BYTES or y.dtype not in _BYTES or x.shape != y.shape:
        return None
    if not isinstance(op, ops.Lookup) and not all(
        _uniform(tensor) for tensor in tensors if tensor.is_constant
    ):
        return None
    return x.name


def table(graph: Graph, op: Op) -> Array:
    """What ``op`` (with a ``variable_input``) makes of each value of its input, ascending.

    256 elements of the output's type: index 0 is the lowest value of the input's type.
    """
    name = variable_input(graph, op)
    if name is None:
        raise ValueError(f"{op.kind} {op.name!r} does not map single elements")
    if isinstance(op, ops.Lookup):
        data = graph.tensor(op.inputs[1]).data
        assert data is not None
        return data
    x = graph.tensor(name)
    low, high = dtype_clamp(x.dtype)
    every = np.arange(low, high + 1).astype(x.dtype.numpy)
    return probe(graph, op, [every if n == name else _scalar(graph.tensor(n)) for n in op.inputs])


def probe(graph: Graph, op: Op, arrays: Sequence[Array]) -> Array:
    """An elementwise ``op`` applied to ``arrays`` of other shapes than the graph's, broadcast."""
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    names = [f"{op.name}/{position}" for position in range(len(arrays))]
    tensors = {
        name: replace(graph.tensor(original), name=name, shape=array.shape, data=None)
        for name, original, array in zip(names, op.inputs, arrays, strict=True)
    }
    y = graph.tensor(op.outputs[0])
    tensors[y.name] = replace(y, shape=tuple(int(extent) for extent in shape))
    resized = replace(op, inputs=tuple(names))
    (result,) = evaluate(replace(graph, tensors=tensors), resized, arrays)
    return result


def _uniform(tensor: Tensor) -> bool:
    return tensor.data is not None and bool((tensor.data == tensor.data.flat[0]).all())


def _scalar(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return np.asarray(tensor.data.reshape(-1)[:1])
