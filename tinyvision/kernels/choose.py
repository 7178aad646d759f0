"""The one function that says which kernels can compute an operator on a core."""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Lookup, Op
from tinyvision.kernels import lookup
from tinyvision.kernels.kernel import Kernel
from tinyvision.target.core import Core

Family = Callable[[Graph, Op, Core], tuple[Kernel, ...]]

FAMILIES: dict[type[Op], Family] = {
    Lookup: lookup.candidates,
}


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Every kernel that computes ``op`` on ``core``, fastest first; never empty.

    Raises NotImplementedError where no kernel exists for the operator.
    """
    family = FAMILIES.get(type(op))
    if family is None:
        raise NotImplementedError(f"no kernel computes {op.kind} ({op.name!r})")
    return family(graph, op, core)
