"""Folds explicit padding into the operators that pad for free."""

from __future__ import annotations

from dataclasses import replace

from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Padding
from tinyvision.ir.shapes import dilated
from tinyvision.passes.rewrite import apply_everywhere


def fold_pads(graph: Graph) -> Graph:
    """A Pad of height and width goes into the padding of its consumers, if all of them can take it.

    Convolutions can where the value is their zero point, which is what they pad with; MaxPool2D
    where it is the lowest integer, which never exceeds an element. The padding that results must
    be smaller than the window, as it always is.
    """
    return apply_everywhere(graph, _fold)


def _fold(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Pad) or op.mode is not ops.PadMode.CONSTANT:
        return None
    (result,) = op.outputs
    if len(op.pads) != 4 or op.pads[0] != (0, 0) or op.pads[3] != (0, 0):
        return None
    consumers = graph.consumers()[result]
    if result in graph.outputs or not consumers:
        return None
    folded = {user.name: _padded(graph, user, op) for user in consumers}
    if any(user is None for user in folded.values()):
        return None
    rest = (folded.get(other.name) or other for other in graph.ops if other is not op)
    return graph.with_ops(tuple(rest))


def _padded(graph: Graph, user: Op, pad: ops.Pad) -> Op | None:
    """``user`` reading what ``pad`` reads and padding it itself; None where it cannot."""
    x = graph.tensor(pad.inputs[0])
    if isinstance(user, (ops.Conv2D, ops.DepthwiseConv2D)):
        rows, columns = graph.tensor(user.inputs[1]).shape[1:3]
        window = dilated(rows, user.dilation[0]), dilated(columns, user.dilation[1])
        neutral = x.zero_point
    elif isinstance(user, ops.MaxPool2D):
        window = user.window
        neutral, _ = dtype_clamp(x.dtype)
    else:
        return None
    (top, bottom), (left, right) = pad.pads[1:3]
    old = user.padding
    padding = Padding(old.top + top, old.bottom + bottom, old.left + left, old.right + right)
    too_large = (
        max(padding.top, padding.bottom) >= window[0]
        or max(padding.left, padding.right) >= window[1]
    )
    if pad.value != neutral or too_large:
        return None
    return replace(user, inputs=(pad.inputs[0], *user.inputs[1:]), padding=padding)
