"""Kernels of BatchMatMul."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import BatchMatMul, Op
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.require import require_dtypes
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Every output element reads a whole row and a whole column: nothing may overlap."""
    assert isinstance(op, BatchMatMul)
    require_dtypes(graph, op, DType.INT8)
    constants = sum(x.size_bytes for x in graph.input_tensors(op) if x.is_constant)
    return (
        Kernel(
            "batch_matmul",
            "batch_matmul",
            flash_bytes=constants,
            overlap=(None, None),
            by_rows=False,
        ),
    )
