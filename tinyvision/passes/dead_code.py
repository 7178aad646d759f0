"""Removes operators that no output depends on."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op


def dead_code(graph: Graph) -> Graph:
    """Without the operators none of whose outputs is read or a graph output."""
    needed = set(graph.outputs)
    alive: list[Op] = []
    for op in reversed(graph.ops):
        if not needed.isdisjoint(op.outputs):
            alive.append(op)
            needed.update(op.inputs)
    if len(alive) == len(graph.ops):
        return graph
    return graph.with_ops(tuple(reversed(alive)))
