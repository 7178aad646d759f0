"""Kernels of ResizeNearest and ResizeBilinear."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import interpolation, nearest_indices
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, ResizeBilinear, ResizeNearest
from tinyvision.ir.types import Array, DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.overlap import indices, lead
from tinyvision.kernels.require import require_dtypes
from tinyvision.target.core import Core


def nearest_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Pixel copies; where from is a table for each axis. An input row is read once."""
    assert isinstance(op, ResizeNearest)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    rows = nearest_indices(x.shape[1], y.shape[1], op)
    columns = nearest_indices(x.shape[2], y.shape[2], op)
    reads = _gathered(x.shape, rows, columns)
    repeated = [i > 0 and rows[i] == rows[i - 1] for i in range(len(rows))]
    reads[:, repeated] = -1  # copied from the output row before
    overlap = lead(reads, x.dtype.size_bytes)
    flash_bytes = 2 * (len(rows) + len(columns))
    return (Kernel("resize_nearest", "nearest", flash_bytes=flash_bytes, overlap=(overlap,)),)


def bilinear_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Four neighbours an element; positions and weights are a table for each axis."""
    assert isinstance(op, ResizeBilinear)
    require_dtypes(graph, op, DType.INT8)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    rows = interpolation(x.shape[1], y.shape[1], op)
    columns = interpolation(x.shape[2], y.shape[2], op)
    overlap = lead(_gathered(x.shape, rows.low, columns.low), 1)
    flash_bytes = 2 * 3 * (y.shape[1] + y.shape[2])
    return (Kernel("resize_bilinear", "bilinear", flash_bytes=flash_bytes, overlap=(overlap,)),)


def _gathered(shape: tuple[int, ...], rows: tuple[int, ...], columns: tuple[int, ...]) -> Array:
    return np.ascontiguousarray(indices(shape)[:, rows][:, :, columns])
