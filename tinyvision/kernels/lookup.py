"""Kernels of Lookup: one table read an element."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Element by element in ascending order, so the output may lie on the input or below it."""
    return (Kernel("lookup", "lookup", flash_bytes=256, overlap=(0, None)),)
