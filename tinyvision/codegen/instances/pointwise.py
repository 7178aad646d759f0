"""Instances of pointwise convolutions for cores with SIMD."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import folded_bias
from tinyvision.codegen.sums import Sums, sums_of
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels import pointwise
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.window import Window

WIDENED = [0, 2, 1, 3]
"""Four inputs in the order in which they are widened."""


def build(graph: Graph, op: Conv2D, kernel: Kernel, shape: Window) -> Instance:
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    rows = weights.reshape(shape.channels, shape.depth)
    zero_point = graph.tensor(op.inputs[0]).zero_point
    folded = folded_bias(bias, rows.sum(axis=1, dtype=np.int64), zero_point)
    shared = pointwise.has_halves(graph, op)
    sums = sums_of(graph, op, folded, 8 if shared else 0)
    kind = kernel.variant.removeprefix(pointwise.TEMPLATE)
    block = pointwise.BLOCK_PIXELS
    if kind.startswith(pointwise.SMALL):
        block = pointwise.SMALL_BLOCK_PIXELS
    context: dict[str, Value] = {
        **sums.context,
        "channels": shape.channels,
        "depth": shape.depth,
        "pixels": shape.pixels,
        "taps": pointwise.padded_taps(shape.depth),
        "block": block,
        "halves": int(shared),
        "dual": int(kind.endswith(pointwise.DUAL)),
        "in_ram": int(kind.startswith(pointwise.IN_RAM)),
        "columns_bytes": pointwise.columns_bytes(shape, block),
    }
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("stream", _stream(rows, sums, shared)),
            ScratchArg(),
        ),
        context=context,
        varying=("channels", "depth", "pixels", "taps", "columns_bytes", "one_shift"),
    )


def _stream(rows: Array, sums: Sums, shared: bool) -> Array:
    """(pairs of channels, words) int32: see ``kernels/_pointwise.j2``."""
    low, high = np.array(pointwise.pairs(rows.shape[0])).T
    weights = np.pad(rows.astype(np.int64), ((0, 0), (0, rows.shape[1] % 2)))
    quads = rows.shape[1] // 4 * 4
    order = np.arange(weights.shape[1])
    order[:quads] = order[:quads].reshape(-1, 4)[:, WIDENED].ravel()
    a, b = weights[low][:, order], weights[high][:, order]
    halves = pointwise.halves(a, b) if shared else (a & 0xFF) | (b & 0xFF) << 8
    words = (halves[:, ::2] & 0xFFFF) | halves[:, 1::2] << 16
    first, second = sums.words[0][low], sums.words[1][high]
    starts = np.stack((first[:, 0], second[:, 0] + first[:, 0] * shared), axis=1)
    factors = np.stack(
        (first[:, 1], first[:, 2], second[:, 1], second[:, 2], first[:, 3], second[:, 3]), axis=1
    )
    stream: Array = np.concatenate((starts, words, factors), axis=1).astype(np.uint32)
    return stream.view(np.int32)
