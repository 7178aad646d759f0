"""Kernels of Pad."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Pad, PadMode
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.overlap import indices, lead
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Row after row in ascending order; the input moves up into the output's end."""
    assert isinstance(op, Pad)
    (x,) = graph.input_tensors(op)
    size = x.dtype.size_bytes
    if op.mode is PadMode.CONSTANT:
        if size != 1 and op.value != 0:
            raise NotImplementedError(
                f"Pad {op.name!r} has no kernel for {x.dtype.value} and a value that is not 0"
            )
        reads = np.pad(indices(x.shape), op.pads, constant_values=-1)
        return (Kernel("pad", "pad", overlap=(lead(reads, size),)),)
    reads = np.pad(
        indices(x.shape), op.pads, "reflect" if op.mode is PadMode.REFLECT else "symmetric"
    )
    return (Kernel("mirror_pad", "mirror_pad", overlap=(lead(reads, size),)),)
