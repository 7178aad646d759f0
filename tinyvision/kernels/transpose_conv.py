"""Kernels of TransposeConv2D."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, TransposeConv2D
from tinyvision.ir.types import Array, DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.overlap import lead
from tinyvision.target.core import Core


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Every output element gathers its taps, so nothing is accumulated in memory."""
    assert isinstance(op, TransposeConv2D)
    x, weights, _ = graph.input_tensors(op)
    (y,) = graph.output_tensors(op)
    if (x.dtype, weights.dtype, y.dtype) != (DType.INT8,) * 3:
        raise NotImplementedError(f"TransposeConv2D {op.name!r} has a kernel for int8 only")
    outputs, kernel_h, kernel_w, channels = weights.shape
    rows = _first_taps(x.shape[1], y.shape[1], kernel_h, op.stride[0], op.padding.top)
    columns = _first_taps(x.shape[2], y.shape[2], kernel_w, op.stride[1], op.padding.left)
    pixels = rows[:, None] * x.shape[2] + columns[None, :]
    lowest = np.where((rows[:, None] < 0) | (columns[None, :] < 0), -1, pixels * channels)
    image = np.arange(x.shape[0])[:, None, None] * (x.elements // x.shape[0])
    reads = np.where(lowest[None] < 0, -1, lowest[None] + image)
    overlap = lead(np.repeat(reads.reshape(-1), outputs), 1)
    return (
        Kernel(
            "transpose_conv",
            "transpose_conv",
            flash_bytes=weights.size_bytes + 3 * 4 * outputs,
            overlap=(overlap, None, None),
        ),
    )


def _first_taps(size: int, output_size: int, kernel: int, stride: int, crop: int) -> Array:
    """For each output index along one axis the first input index that reaches it, -1 for none.

    Input ``i`` reaches the outputs ``i * stride - crop + k``, k < kernel.
    """
    position = np.arange(output_size)[:, None] + crop - np.arange(size)[None, :] * stride
    reaches = (position >= 0) & (position < kernel)
    return np.where(reaches.any(axis=1), reaches.argmax(axis=1), -1)
