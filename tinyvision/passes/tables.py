"""Replaces functions of single bytes by tables, and tables of tables by one."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Lookup, Op
from tinyvision.ir.types import Array, Tensor
from tinyvision.passes.rewrite import apply_everywhere, fresh_name, replace_op
from tinyvision.passes.unary import table, variable_input


def tables(graph: Graph) -> Graph:
    """Every operator that maps bytes one by one becomes a Lookup; consecutive ones become one.

    The table is what the reference computes for each of the 256 values: exact by construction.
    Two are merged where nothing else reads what lies between them.
    """
    return apply_everywhere(graph, _to_lookup, _compose)


def _to_lookup(graph: Graph, op: Op) -> Graph | None:
    x = variable_input(graph, op)
    if x is None or isinstance(op, Lookup):
        return None
    return _lookup(graph, op, x, table(graph, op))


def _compose(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, Lookup):
        return None
    middle = op.inputs[0]
    first = graph.producers().get(middle)
    if not isinstance(first, Lookup) or middle in graph.outputs:
        return None
    if len(graph.consumers()[middle]) > 1:
        return None
    lowest, _ = dtype_clamp(graph.tensor(middle).dtype)
    index = table(graph, first).astype(np.int64) - lowest
    merged = _lookup(graph, op, first.inputs[0], table(graph, op)[index])
    return merged.with_ops(tuple(other for other in merged.ops if other is not first))


def _lookup(graph: Graph, op: Op, x: str, values: Array) -> Graph:
    y = graph.tensor(op.outputs[0])
    name = fresh_name(graph.tensors, f"{op.name}/table")
    constant = Tensor(name, (256,), y.dtype, y.quant, values)
    new = Lookup(name=op.name, inputs=(x, name), outputs=op.outputs)
    return replace_op(graph, op, new, tensors=(constant,))
