"""Small graphs and plausible kernels for tests of the scheduler and the reports."""

from __future__ import annotations

from math import prod

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.kernels.kernel import Kernel
from tinyvision.target.board import Bank, Board
from tinyvision.target.core import CORES

QUANT = QuantParams((0.05,), (0,))


def board(*sizes: int, flash_bytes: int = 1 << 20) -> Board:
    """A board with banks of those sizes."""
    banks = tuple(Bank(f"bank{i}", 0x2000_0000 * (i + 1), size) for i, size in enumerate(sizes))
    return Board("test", "Test", CORES["cortex-m4"], 100.0, banks, flash_bytes)


class Builder:
    """Grows a graph operator by operator; every method returns the name of the new tensor."""

    def __init__(self, name: str = "net", seed: int = 0) -> None:
        self.name = name
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[ops.Op] = []
        self.inputs: list[str] = []
        self.random = np.random.default_rng(seed)

    def graph(self, *outputs: str) -> Graph:
        return Graph(self.name, self.tensors, tuple(self.ops), tuple(self.inputs), outputs)

    def input(self, *shape: int) -> str:
        name = self._tensor("in", shape)
        self.inputs.append(name)
        return name

    def conv(self, x: str, channels: int, kernel: int = 1, stride: int = 1) -> str:
        n, h, w, c = self.tensors[x].shape
        weights = self._constant("w", (channels, kernel, kernel, c))
        height, padding = _same(h, w, kernel, stride)
        return self._op(
            ops.Conv2D,
            (x, weights, self._bias(channels)),
            (n, *height, channels),
            stride=(stride, stride),
            padding=padding,
        )

    def depthwise(self, x: str, kernel: int = 3, stride: int = 1) -> str:
        n, h, w, c = self.tensors[x].shape
        weights = self._constant("w", (1, kernel, kernel, c))
        size, padding = _same(h, w, kernel, stride)
        return self._op(
            ops.DepthwiseConv2D,
            (x, weights, self._bias(c)),
            (n, *size, c),
            stride=(stride, stride),
            padding=padding,
        )

    def dense(self, x: str, units: int) -> str:
        """Over all but the first axis."""
        rows, *extents = self.tensors[x].shape
        width = prod(extents)
        weights = self._constant("w", (units, width))
        return self._op(ops.FullyConnected, (x, weights, self._bias(units)), (rows, units))

    def add(self, a: str, b: str) -> str:
        return self._op(ops.Add, (a, b), self.tensors[a].shape)

    def concat(self, *parts: str) -> str:
        shapes = [self.tensors[part].shape for part in parts]
        shape = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
        return self._op(ops.Concatenation, parts, shape, axis=len(shape) - 1)

    def reshape(self, x: str, *shape: int) -> str:
        assert prod(shape) == self.tensors[x].elements
        return self._op(ops.Reshape, (x,), shape)

    def split(self, x: str) -> tuple[str, str]:
        """Two halves of the channels."""
        shape = self.tensors[x].shape
        half = (*shape[:-1], shape[-1] // 2)
        outputs = (self._tensor("split", half), self._tensor("split", half))
        self.ops.append(
            ops.Split(name=f"op{len(self.ops)}", inputs=(x,), outputs=outputs, axis=len(shape) - 1)
        )
        return outputs

    def _op(self, kind: type[ops.Op], inputs: tuple[str, ...], shape, **attributes) -> str:
        output = self._tensor(kind.__name__.lower(), shape)
        self.ops.append(
            kind(name=f"op{len(self.ops)}", inputs=inputs, outputs=(output,), **attributes)
        )
        return output

    def _tensor(self, stem: str, shape) -> str:
        name = f"{stem}{len(self.tensors)}"
        self.tensors[name] = Tensor(name, tuple(shape), DType.INT8, QUANT)
        return name

    def _constant(self, stem: str, shape: tuple[int, ...]) -> str:
        name = f"{stem}{len(self.tensors)}"
        data = self.random.integers(-127, 128, shape, dtype=np.int8)
        self.tensors[name] = Tensor(name, shape, DType.INT8, QuantParams((0.01,), (0,)), data)
        return name

    def _bias(self, count: int) -> str:
        name = f"b{len(self.tensors)}"
        data = self.random.integers(-1000, 1000, count, dtype=np.int32)
        scale = QuantParams((0.05 * 0.01,), (0,))
        self.tensors[name] = Tensor(name, (count,), DType.INT32, scale, data)
        return name


def _same(height: int, width: int, kernel: int, stride: int) -> tuple[tuple[int, int], ops.Padding]:
    out = (-(-height // stride), -(-width // stride))
    pads = [
        max((o - 1) * stride + kernel - i, 0) for o, i in zip(out, (height, width), strict=True)
    ]
    top, left = pads[0] // 2, pads[1] // 2
    return out, ops.Padding(top, pads[0] - top, left, pads[1] - left)


def candidates(graph: Graph, op: ops.Op, core: object) -> tuple[Kernel, ...]:
    """Plausible kernels: convolutions are fast with scratch or thrifty with overlap."""
    kind = op.kind.lower()
    nothing = (None,) * len(op.inputs)
    if isinstance(op, ops.Conv2D):
        x, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
        y = graph.tensor(op.outputs[0])
        columns = 4 * prod(weights.shape[1:])
        row = x.shape[2] * x.shape[3]
        lead = max(0, y.size_bytes - x.size_bytes) + (weights.shape[1] // 2) * row
        flash = weights.size_bytes + 12 * weights.shape[0]
        fast = Kernel(kind, f"{kind}_fast", columns, flash, nothing)
        return fast, Kernel(kind, f"{kind}_small", 0, flash, (lead, None, None))
    if isinstance(op, ops.DepthwiseConv2D):
        x = graph.tensor(op.inputs[0])
        row = x.shape[2] * x.shape[3]
        fast = Kernel(kind, f"{kind}_fast", 0, 64, nothing)
        in_place = (0, None, None)
        channels = x.shape[3]
        return fast, Kernel(kind, f"{kind}_rows", 4 * row, 64, in_place, overlap_step=channels)
    if isinstance(op, ops.FullyConnected):
        return (Kernel(kind, kind, 0, graph.tensor(op.inputs[1]).size_bytes, nothing),)
    if isinstance(op, (ops.Add, ops.Reshape)):
        return (Kernel(kind, kind, 0, 0, (0,) * len(op.inputs)),)
    return (Kernel(kind, kind, 0, 0, nothing),)
