"""Lets the operator before it do what a clamp or a shift of the zero point does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Clamp, Op
from tinyvision.passes.ranges import Interval, ranges
from tinyvision.passes.rewrite import apply_everywhere, only_consumer, replace_op
from tinyvision.passes.unary import table, variable_input

_SHIFTABLE = (
    ops.Conv2D,
    ops.DepthwiseConv2D,
    ops.TransposeConv2D,
    ops.FullyConnected,
    ops.Add,
    ops.Sub,
    ops.Mul,
)
_CLAMPING = (*_SHIFTABLE, ops.AveragePool2D, ops.MaxPool2D)


def fuse_activations(graph: Graph) -> Graph:
    """A function of bytes that adds a constant and clamps goes into the operator before it.

    So do Relu, Relu6, Minimum and Maximum with a constant, and a Requantize between equal scales.
    Adding means another zero point, so the scale must stay the same; a pool cannot add. The
    function is judged by its table over the values that can occur, hence exactly. Nothing else may
    read what lies between.
    """
    known = ranges(graph)

    def fuse(graph: Graph, op: Op) -> Graph | None:
        return _fuse(graph, op, known)

    return apply_everywhere(graph, fuse)


@dataclass(frozen=True)
class _ShiftedClamp:
    """``clip(x + shift, *clamp)``."""

    shift: int
    clamp: Clamp


def _fuse(graph: Graph, op: Op, known: dict[str, Interval]) -> Graph | None:
    middle = variable_input(graph, op)
    if middle is None or only_consumer(graph, middle) is not op:
        return None
    producer = graph.producers().get(middle)
    if not isinstance(producer, _CLAMPING):
        return None
    function = _as_shifted_clamp(graph, op, middle, known[middle])
    if function is None or (function.shift and not isinstance(producer, _SHIFTABLE)):
        return None
    low, high = producer.clamp
    clamp = (
        int(np.clip(low + function.shift, *function.clamp)),
        int(np.clip(high + function.shift, *function.clamp)),
    )
    rest = graph.with_ops(tuple(other for other in graph.ops if other is not op))
    y = graph.tensor(op.outputs[0])
    fused = replace(producer, outputs=op.outputs, clamp=clamp)
    return replace_op(rest, producer, fused, tensors=(y,))


def _as_shifted_clamp(
    graph: Graph, op: Op, middle: str, interval: Interval
) -> _ShiftedClamp | None:
    """``op`` in that form, if it has it for every value of ``interval``."""
    x, y = graph.tensor(middle), graph.tensor(op.outputs[0])
    if x.dtype is not y.dtype or x.scale != y.scale:
        return None
    lowest, highest = dtype_clamp(x.dtype)
    low, high = interval.hull()
    shift = y.zero_point - x.zero_point
    found = table(graph, op)[low - lowest : high - lowest + 1].astype(np.int64)
    least, most = int(found.min()), int(found.max())
    clamp = (
        lowest if least == low + shift else least,
        highest if most == high + shift else most,
    )
    expected = np.clip(np.arange(low, high + 1) + shift, *clamp)
    return _ShiftedClamp(shift, clamp) if np.array_equal(found, expected) else None
