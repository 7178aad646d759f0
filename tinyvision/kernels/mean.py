"""Kernels of Mean."""

from __future__ import annotations

from math import prod

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Mean, Op
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import variant
from tinyvision.kernels.require import require_dtypes
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """One output element (or four) after the other. The first element that counts towards it never
    lies below its own index, so the output may begin where the input does.
    """
    assert isinstance(op, Mean)
    require_dtypes(graph, op, DType.INT8)
    (x,) = graph.input_tensors(op)
    count = prod(x.shape[axis] for axis in op.axes)
    # Sums of four neighbours at a time have 16 bits each; those of a single channel lie apart.
    words = core.dsp and count <= 256 and len(x.shape) - 1 not in op.axes and x.shape[-1] > 1
    return (Kernel("mean", variant("mean", 4 if words else 1), overlap=(0,)),)
