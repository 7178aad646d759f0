"""Kernels of FullyConnected."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected, Op
from tinyvision.ir.types import Tensor
from tinyvision.kernels import (
    fully_connected_halves,
    fully_connected_mve,
    fully_connected_quads,
)
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import diagonal
from tinyvision.target.core import Core

BLOCK_CHANNELS = 4
"""Output channels that the SIMD kernel sums at once."""


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """The SIMD kernel expects weights without a zero point."""
    assert isinstance(op, FullyConnected)
    if fully_connected_mve.applies(graph, op, core):
        return (_mve(graph, op),)
    tables = requantization(graph, op).table_bytes
    simd = core.dsp and conv_requant(graph, op).weights_zero_point == 0
    name = "fully_connected_dsp" if simd else "fully_connected"
    channels, depth = graph.tensor(op.inputs[1]).shape
    taps = -(-depth // 4) * 4 if simd else depth
    last = channels - (BLOCK_CHANNELS if simd and channels % BLOCK_CHANNELS == 0 else 1)
    kernel = Kernel(
        name,
        name,
        flash_bytes=(taps + 4) * channels + tables,
        overlap=(_lead(graph.tensor(op.inputs[0]), depth, channels, last), None, None),
    )
    if core.dsp:
        return (*fully_connected_halves.candidates(graph, op, core), kernel)
    if not fully_connected_quads.applies(core):
        return (kernel,)
    quads = Kernel(
        fully_connected_quads.TEMPLATE,
        fully_connected_quads.TEMPLATE,
        flash_bytes=4 * (fully_connected_quads.padded(channels) // 4 * depth)
        + fully_connected_quads.constants(graph, op).nbytes,
        overlap=(
            _lead(graph.tensor(op.inputs[0]), depth, channels, (channels - 1) // 4 * 4),
            None,
            None,
        ),
    )
    return (quads, kernel)


def _mve(graph: Graph, op: FullyConnected) -> Kernel:
    channels, depth = graph.tensor(op.inputs[1]).shape
    padded = fully_connected_mve.padded(channels)
    last = padded - fully_connected_mve.BLOCK_CHANNELS
    return Kernel(
        fully_connected_mve.TEMPLATE,
        fully_connected_mve.TEMPLATE,
        flash_bytes=padded * (16 * fully_connected_mve.steps(depth) + 12),
        overlap=(_lead(graph.tensor(op.inputs[0]), depth, channels, last), None, None),
    )


def _lead(x: Tensor, depth: int, channels: int, last: int) -> int:
    """Every block of outputs reads its whole row; the last block begins at output ``last``."""
    rows = np.arange(x.elements // depth, dtype=np.int64)
    return diagonal(rows * channels + last, rows * depth, x.size_bytes)
