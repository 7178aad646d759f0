"""Kernels of Lookup: one table read an element."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import variant
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """In ascending order, so the output may lie on the input or below it. By words where the core
    loads them from any address.
    """
    name = variant("lookup", 4 if core.unaligned else 1)
    return (Kernel("lookup", name, flash_bytes=256, overlap=(0, None)),)
