"""What kernels have in common when they look at an operator."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType


def require_dtypes(graph: Graph, op: Op, dtype: DType) -> None:
    """Raises NotImplementedError where an input or output has another element type."""
    for tensor in graph.input_tensors(op) + graph.output_tensors(op):
        if tensor.dtype is not dtype:
            raise NotImplementedError(
                f"{op.kind} {op.name!r} has no kernel for {tensor.dtype.value} ({tensor.name!r})"
            )


def constant_bytes(graph: Graph, op: Op) -> int:
    """Bytes of the operator's constant inputs."""
    return sum(tensor.size_bytes for tensor in graph.input_tensors(op) if tensor.is_constant)
