"""Instances of FullyConnected over a whole image whose rows come one after another."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import ConstArg, Instance, TensorArg
from tinyvision.codegen.packing import (
    folded_bias,
    pack_rows,
    requant_context,
    requant_tables,
    wrapped,
)
from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected
from tinyvision.kernels.fully_connected_rows import BLOCK_CHANNELS, DSP, row_depth, stride
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization


def build(graph: Graph, op: FullyConnected, kernel: Kernel) -> Instance:
    """Arguments as those of ``mean_rows``, then constants: weights row by row of the input."""
    x, requant, params = (
        graph.tensor(op.inputs[0]),
        requantization(graph, op),
        conv_requant(graph, op),
    )
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    simd, height, depth = kernel.variant == DSP, x.shape[1], row_depth(graph, op)
    rows = weights.reshape(-1, height, depth).swapaxes(0, 1)
    if simd:
        packed = pack_rows(rows, BLOCK_CHANNELS, widened_in_order=False)
        sums = weights.sum(axis=1, dtype="int64")
        start = folded_bias(bias, sums, params.input_zero_point)
    else:
        packed, start = rows.ravel(), wrapped(bias)
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("weights", packed),
            ConstArg("bias", start),
            *requant_tables(requant),
        ),
        context={
            **requant_context(requant),
            "simd": int(simd),
            "height": height,
            "depth": depth,
            "stride": stride(depth, simd),
            "channels": len(weights),
            "block_channels": BLOCK_CHANNELS,
            "input_zero_point": params.input_zero_point,
            "weights_zero_point": params.weights_zero_point,
        },
    )
