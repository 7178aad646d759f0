"""Instance builders: for each kernel family the integers and packed constants of one call."""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.codegen.instances import lookup
from tinyvision.codegen.instances.instance import Instance
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Lookup, Op
from tinyvision.kernels.kernel import Kernel

Builder = Callable[[Graph, Op, Kernel], Instance]

BUILDERS: dict[type[Op], Builder] = {
    Lookup: lookup.build,
}


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    """The call of ``kernel`` that computes ``op``."""
    return BUILDERS[type(op)](graph, op, kernel)
