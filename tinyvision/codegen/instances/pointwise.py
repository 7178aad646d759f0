"""Instances of pointwise convolutions for cores with SIMD."""

from __future__ import annotations

from dataclasses import dataclass

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

VARYING = ("channels", "depth", "pixels", "taps", "columns_bytes", "one_shift")
"""What layers that share code may read at run time."""
WIDENED = [0, 2, 1, 3]
"""Four inputs in the order in which they are widened."""


@dataclass(frozen=True, eq=False)
class Products:
    """What ``kernels/_pointwise.j2`` needs: ``block`` pixels at a time, constants in order."""

    context: dict[str, Value]
    block: int
    stream: Array


def products(graph: Graph, op: Conv2D, kernel: Kernel, shape: Window, order: Array) -> Products:
    """``order``: the taps in the order in which inputs are paired, -1 for a tap of zero."""
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    rows = weights.reshape(shape.channels, shape.taps)
    zero_point = graph.tensor(op.inputs[0]).zero_point
    folded = folded_bias(bias, rows.sum(axis=1, dtype=np.int64), zero_point)
    shared = pointwise.has_halves(graph, op, shape.groups)
    sums = sums_of(graph, op, folded, 8 if shared else 0)
    kind = kernel.variant.removeprefix(kernel.template)
    block = pointwise.BLOCK_PIXELS
    if kind.startswith((pointwise.SMALL, pointwise.QUADS)):
        block = pointwise.SMALL_BLOCK_PIXELS
    context: dict[str, Value] = {
        **sums.context,
        "channels": shape.channels,
        "several": int(shape.group_channels > 1),
        "depth": shape.depth,
        "taps": len(order),
        "block": block,
        "halves": int(shared),
        "dual": int(kind.endswith(pointwise.DUAL)),
        "in_ram": int(pointwise.IN_RAM in kind),
        "quads": int(kind.startswith(pointwise.QUADS)),
    }
    if kind.startswith(pointwise.QUADS):
        stream = _stream_of_quads(rows, sums, order, pointwise.quads(shape.channels))
    else:
        pairs = pointwise.group_pairs(shape.channels, shape.groups)
        stream = _stream(rows, sums, shared, order, pairs)
    return Products(context, block, stream)


def build(graph: Graph, op: Conv2D, kernel: Kernel, shape: Window) -> Instance:
    found = products(graph, op, kernel, shape, tap_order(shape.depth, 1))
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("stream", found.stream),
            ScratchArg(),
        ),
        context={
            **found.context,
            "pixels": shape.pixels,
            "columns_bytes": pointwise.columns_bytes(shape, found.block),
            "ahead": pointwise.AHEAD_BYTES,
        },
        varying=() if found.context["quads"] else VARYING,
    )


def tap_order(length: int, runs: int) -> Array:
    """The taps of ``runs`` times ``length`` inputs in the order in which they are paired: whole
    words first, then what is left of each run; -1 where there is none.
    """
    taps = np.arange(length * runs).reshape(runs, length)
    whole = length // 4 * 4
    words = taps[:, :whole].reshape(-1, 4)[:, WIDENED].ravel()
    order = np.concatenate((words, taps[:, whole:].ravel()))
    return np.pad(order, (0, order.size % 2), constant_values=-1)


def _stream(
    rows: Array, sums: Sums, shared: bool, order: Array, pairs: list[tuple[int, int]]
) -> Array:
    """(pairs of channels, words) int32: see ``kernels/_pointwise.j2``."""
    low, high = np.array(pairs).T
    weights = np.pad(rows.astype(np.int64), ((0, 0), (0, 1)))[:, order]
    a, b = weights[low], weights[high]
    halves = pointwise.halves(a, b) if shared else (a & 0xFF) | (b & 0xFF) << 8
    words = (halves[:, ::2] & 0xFFFF) | halves[:, 1::2] << 16
    first, second = sums.words[0][low], sums.words[1][high]
    starts = np.stack((first[:, 0], second[:, 0] + first[:, 0] * shared), axis=1)
    factors = np.stack(
        (first[:, 1], first[:, 2], second[:, 1], second[:, 2], first[:, 3], second[:, 3]), axis=1
    )
    stream: Array = np.concatenate((starts, words, factors), axis=1).astype(np.uint32)
    return stream.view(np.int32)


def _stream_of_quads(
    rows: Array, sums: Sums, order: Array, quads: list[tuple[int, int, int, int]]
) -> Array:
    """(fours of channels, words) int32: see ``kernels/_pointwise_quads.j2``."""
    first, second, third, fourth = np.array(quads).T
    pairs = (list(zip(*both, strict=True)) for both in ((first, second), (third, fourth)))
    # Of each pair two words of starts, those of weights, four of factors, two of shifts.
    low, high = (_stream(rows, sums, True, order, pair) for pair in pairs)
    weights = np.stack((low[:, 2:-6], high[:, 2:-6]), axis=2).reshape(len(quads), -1)
    parts = (
        low[:, :2],
        high[:, :2],
        weights,
        low[:, -6:-2],
        high[:, -6:-2],
        low[:, -2:],
        high[:, -2:],
    )
    stream: Array = np.concatenate(parts, axis=1)
    return stream
