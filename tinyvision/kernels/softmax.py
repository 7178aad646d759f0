"""Kernels of Softmax."""

from __future__ import annotations

from tinyvision.ir.derive import softmax_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Softmax
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.require import require_dtypes
from tinyvision.target.core import Core


def table_entries(graph: Graph, op: Softmax) -> int:
    """Differences to the row's largest element whose exponential counts: 0, -1, ... (at most
    256).
    """
    return min(-softmax_params(graph, op).diff_min, 255) + 1


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Exponentials from a table. The row's last pass reads every element as it replaces it."""
    assert isinstance(op, Softmax)
    require_dtypes(graph, op, DType.INT8)
    return (Kernel("softmax", "softmax", flash_bytes=4 * table_entries(graph, op), overlap=(0,)),)
