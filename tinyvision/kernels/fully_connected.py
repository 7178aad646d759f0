"""Kernels of FullyConnected."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected, Op
from tinyvision.kernels.conv2d import column_bytes, padded_taps
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import diagonal
from tinyvision.target.core import Core

BLOCK_CHANNELS = 4
"""Output channels that the SIMD kernel sums at once."""


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """The SIMD kernel widens a whole input row first, so its output may overwrite that row."""
    assert isinstance(op, FullyConnected)
    channels, depth = graph.tensor(op.inputs[1]).shape
    input_bytes = graph.tensor(op.inputs[0]).size_bytes
    rows = np.arange(input_bytes // depth, dtype=np.int64)
    tables = requantization(graph, op).table_bytes + 4 * channels
    kernels = []
    if core.dsp and conv_requant(graph, op).weights_zero_point == 0:
        lead = diagonal(rows * channels, rows * depth, input_bytes)
        kernels.append(
            Kernel(
                "fully_connected_dsp",
                "fully_connected_dsp",
                scratch_bytes=column_bytes(depth, 1),
                flash_bytes=padded_taps(depth) * channels + tables,
                overlap=(lead, None, None),
            )
        )
    lead = diagonal((rows + 1) * channels - 1, rows * depth, input_bytes)
    kernels.append(
        Kernel(
            "fully_connected",
            "fully_connected",
            flash_bytes=depth * channels + tables,
            overlap=(lead, None, None),
        )
    )
    return tuple(kernels)
