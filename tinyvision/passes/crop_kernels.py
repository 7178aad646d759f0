"""Crops the taps of convolutions that only ever meet padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Padding
from tinyvision.ir.types import Tensor
from tinyvision.passes.rewrite import apply_everywhere, fresh_name, replace_op


def crop_kernels(graph: Graph) -> Graph:
    """Rows and columns at the edges of a kernel that meet nothing but padding, whose products are
    zero, go, and the padding with them: a 7x7 kernel on 3x3 inputs becomes 5x5.
    """
    return apply_everywhere(graph, _crop)


def _crop(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, (ops.Conv2D, ops.DepthwiseConv2D)):
        return None
    kernel = graph.tensor(op.inputs[1])
    if kernel.data is None:
        return None
    x, y = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    rows, columns = (
        _Axis(x[i], kernel.shape[i], y[i], op.stride[i - 1], op.dilation[i - 1], padding)
        for i, padding in enumerate(_by_axis(op.padding), 1)
    )
    kept = rows.kept(), columns.kept()
    if kept == (slice(0, kernel.shape[1]), slice(0, kernel.shape[2])):
        return None
    data = np.ascontiguousarray(kernel.data[:, kept[0], kept[1]])
    name = fresh_name(graph.tensors, kernel.name)
    small = Tensor(name, data.shape, kernel.dtype, kernel.quant, data)
    padding = Padding(*rows.padding(kept[0]), *columns.padding(kept[1]))
    inputs = (op.inputs[0], name, *op.inputs[2:])
    return replace_op(graph, op, replace(op, inputs=inputs, padding=padding), tensors=(small,))


def _by_axis(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    return (padding.top, padding.bottom), (padding.left, padding.right)


class _Axis:
    """Rows or columns of a convolution."""

    def __init__(
        self,
        size: int,
        taps: int,
        outputs: int,
        stride: int,
        dilation: int,
        padding: tuple[int, int],
    ) -> None:
        self.taps, self.dilation = taps, dilation
        self.before, self.after = padding
        at = np.arange(outputs)[:, None] * stride - self.before + np.arange(taps) * dilation
        self.live = np.flatnonzero(np.any((at >= 0) & (at < size), axis=0))

    def kept(self) -> slice:
        """The taps from the first to the last that meet an input, as far as padding can shrink; all
        of them where it would not stay smaller than the window, as it has to.
        """
        everything = slice(0, self.taps)
        if self.live.size == 0:
            return everything
        first = min(int(self.live[0]), self.before // self.dilation)
        last = max(int(self.live[-1]), self.taps - 1 - self.after // self.dilation)
        cropped = slice(first, last + 1)
        window = (last - first) * self.dilation + 1
        return cropped if max(self.padding(cropped)) < window else everything

    def padding(self, kept: slice) -> tuple[int, int]:
        """Before and after, with the taps ``kept`` alone."""
        before = self.before - kept.start * self.dilation
        return before, self.after - (self.taps - kept.stop) * self.dilation
