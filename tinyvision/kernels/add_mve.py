"""Add and Sub for cores with MVE: four elements at a time in int32."""

from __future__ import annotations

from tinyvision.ir.derive import Requant, add_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Add, Op, Sub
from tinyvision.target.core import Core

TEMPLATE = "add_mve"
HALF = 2**30
"""A multiplier of one half: the operand is shifted, and nothing is rounded."""


def applies(graph: Graph, op: Op, core: Core) -> bool:
    """Where the core has vectors, nothing is broadcast, and every shift goes right."""
    if not core.mve or not isinstance(op, (Add, Sub)):
        return False
    (y,) = graph.output_tensors(op)
    if any(x.elements != y.elements for x in graph.input_tensors(op)):
        return False
    params = add_params(graph, op)
    return _scales(params.a) and _scales(params.b) and -31 <= params.output.shift <= -1


def _scales(operand: Requant) -> bool:
    """A zero point's distance, 20 bits up, times a factor of at most one half."""
    return -31 <= operand.shift <= 0 and not (operand.multiplier == HALF and operand.shift < -19)
