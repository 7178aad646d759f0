"""FullyConnected over a whole image whose rows come one after another."""

from __future__ import annotations

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.target.core import Core

TEMPLATE = "fully_connected_rows"
DSP = "fully_connected_rows_dsp"
BLOCK_CHANNELS = 4
"""Output channels that are summed at once."""


def kernel(graph: Graph, op: FullyConnected, core: Core) -> Kernel:
    """That adds up rows; 16-bit SIMD expects weights without a zero point."""
    channels, _ = graph.tensor(op.inputs[1]).shape
    simd = core.dsp and conv_requant(graph, op).weights_zero_point == 0
    height = graph.tensor(op.inputs[0]).shape[1]
    taps = height * stride(row_depth(graph, op), simd)
    flash_bytes = (taps + 4) * channels + requantization(graph, op).table_bytes
    return Kernel(TEMPLATE, DSP if simd else TEMPLATE, flash_bytes=flash_bytes)


def row_depth(graph: Graph, op: FullyConnected) -> int:
    """Elements of a row of the input."""
    x = graph.tensor(op.inputs[0])
    return x.elements // x.shape[1]


def stride(depth: int, simd: bool) -> int:
    """Weights of one channel for a row of ``depth`` elements, padding included."""
    return -(-depth // 4) * 4 if simd else depth
