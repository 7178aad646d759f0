"""Kernels of AveragePool2D and MaxPool2D."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import window_spans
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import AveragePool2D, MaxPool2D, Op
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import variant
from tinyvision.kernels.overlap import indices, lead
from tinyvision.kernels.require import require_dtypes
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Ascending, every output element (or four) from its own channels of the window."""
    assert isinstance(op, (AveragePool2D, MaxPool2D))
    require_dtypes(graph, op, DType.INT8)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    top = [first for first, _ in window_spans(x.shape[1], y.shape[1], op, 0)]
    left = [first for first, _ in window_spans(x.shape[2], y.shape[2], op, 1)]
    reads = indices(x.shape)[:, top][:, :, left]
    if isinstance(op, AveragePool2D):
        template = "average_pool"
        # Sums of four channels at a time have 16 bits each.
        words = core.dsp and op.window[0] * op.window[1] <= 256
    else:
        template = "max_pool"
        words = core.unaligned and op.clamp[1] == 127
    overlap = lead(np.ascontiguousarray(reads), 1)
    return (Kernel(template, variant(template, 4 if words else 1), overlap=(overlap,)),)
