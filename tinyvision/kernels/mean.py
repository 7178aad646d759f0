"""Kernels of Mean."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.require import require_dtypes
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """One output element after the other. The first element that counts towards it never lies
    below its own index, so the output may begin where the input does.
    """
    require_dtypes(graph, op, DType.INT8)
    return (Kernel("mean", "mean", overlap=(0,)),)
