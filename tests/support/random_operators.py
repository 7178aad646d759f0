"""Random operators on tensors of a graph that grows."""

from __future__ import annotations

from math import prod

import numpy as np

from tests.support.graph_builder import Quant
from tests.support.random_choices import MAX_ELEMENTS, Choices
from tinyvision.ir import ops
from tinyvision.ir.ops import INT8_RANGE, Op


class Operators(Choices):
    """Elementwise operators, windows and moves. None where an operator does not fit ``x``."""

    def partner(self, x: str) -> str:
        """Something that broadcasts with ``x``: a tensor, if there is one, or a constant."""
        shape = self.b.shape(x)
        options = [name for name in self.pool if _broadcasts(self.b.shape(name), shape)]
        if options and self.chance(0.7):
            return str(self.choice(options))
        axes = [extent if self.chance(0.6) else 1 for extent in shape]
        return self.constant(tuple(axes[self.integer(0, len(axes)) :] if axes else axes))

    def binary(self, x: str) -> str:
        kind = self.choice((ops.Add, ops.Add, ops.Sub, ops.Mul))
        other = self.partner(x)
        pair = (x, other) if self.chance(0.5) else (other, x)
        quant = self.quant()
        if self.chance(0.7):
            scales = [self.b.quant(name)[0] for name in pair]
            natural = scales[0] * scales[1] * 64 if kind is ops.Mul else max(scales) * 1.5
            quant = self.quant(natural)
        if kind is ops.Mul:
            return self.b.op(kind, *pair, quant=quant, clamp=self.clamp(quant))
        return self.sum(kind, *pair, quant)

    def sum(self, kind: type[Op], a: str, b: str, quant: Quant) -> str:
        """Add or Sub; TFLite refuses a last factor that is not below one."""
        least = max(self.b.quant(a)[0], self.b.quant(b)[0]) * 2.0**-18
        quant = float(np.float32(max(quant[0], least))), quant[1]
        return self.b.op(kind, a, b, quant=quant, clamp=self.clamp(quant))

    def matmul(self, x: str) -> str | None:
        """With itself or with a constant; what is too large is left alone."""
        shape = self.b.shape(x)
        if not 2 <= len(shape) <= 5 or prod(shape) * max(shape) > MAX_ELEMENTS:
            return None
        adjoint_a, adjoint_b = self.chance(0.5), self.chance(0.5)
        if self.chance(0.5):
            other, adjoint_b = x, not adjoint_a
        else:
            adjoint_a = adjoint_a and len(shape) == 2  # see ops.BatchMatMul
            depth = shape[-2] if adjoint_a else shape[-1]
            columns = self.integer(1, 4)
            other = self.constant((columns, depth) if adjoint_b else (depth, columns))
        fields = {"adjoint_a": adjoint_a, "adjoint_b": adjoint_b}
        scale = self.b.quant(x)[0] * self.b.quant(other)[0] * 64
        return self.b.op(ops.BatchMatMul, x, other, quant=self.quant(scale), **fields)

    def extremum(self, x: str) -> str:
        shape = self.b.shape(x)
        quant = self.b.quant(x)
        alike = [n for n in self.pool if self.b.quant(n) == quant]
        alike = [n for n in alike if _broadcasts(self.b.shape(n), shape)]
        if alike and self.chance(0.5):
            other = str(self.choice(alike))
        else:
            other = self.constant(shape[len(shape) - self.integer(0, len(shape)) :], quant)
        return self.b.op(self.choice((ops.Minimum, ops.Maximum)), x, other)

    def function(self, x: str) -> str:
        kind = self.choice((ops.Logistic, ops.Tanh, ops.HardSwish, ops.Gelu, ops.LeakyRelu))
        if kind is ops.Logistic:
            return self.b.op(kind, x, quant=(1 / 256, -128))
        if kind is ops.Tanh:
            return self.b.op(kind, x, quant=(1 / 128, 0))
        quant = self.quant(self.b.quant(x)[0] * 2.0 ** self.rng.uniform(-2, 2))
        if kind in (ops.HardSwish, ops.Gelu):
            return self.b.op(kind, x, quant=quant)
        alpha = float(np.float32(self.choice((0.1, 0.3, 0.5, 1.0, 0.0))))
        return self.b.op(kind, x, quant=quant, alpha=alpha)

    def lookup(self, x: str) -> str | None:
        if self.in_file:
            return None
        quant = self.quant()
        values = self.rng.integers(-128, 128, 256)
        if self.chance(0.5):
            values = np.sort(values // self.choice((1, 16, 200)))
        return self.b.op(ops.Lookup, x, self.b.constant(values, quant), quant=quant)

    def prelu(self, x: str) -> str:
        shape = self.b.shape(x)
        alpha = self.constant((*(1 for _ in shape[1:-1]), *shape[-1:]))
        quant = self.quant(self.b.quant(x)[0] * 2.0 ** self.rng.uniform(-2, 2))
        return self.b.op(ops.Prelu, x, alpha, quant=quant)

    def requantize(self, x: str) -> str:
        """Another scale, another zero point, or only a clamp."""
        scale, zero_point = self.b.quant(x)
        style = self.rng.random()
        if style < 0.4:
            quant = (scale, zero_point)
        elif style < 0.6:
            quant = self.quant(scale)
        else:
            quant = self.quant(scale * 2.0 ** self.rng.uniform(-3, 3))
        return self.rectifier(x, quant)

    def rectifier(self, x: str, quant: Quant) -> str:
        """QUANTIZE, or one of the RELUs: those divide the scales in float32."""
        clamp = self.clamp(quant)
        single = clamp != INT8_RANGE if self.in_file else self.chance(0.5)
        return self.b.op(ops.Requantize, x, quant=quant, clamp=clamp, float32_ratio=single)

    def softmax(self, x: str) -> str | None:
        if not self.b.shape(x):
            return None
        beta = 1.0 if self.chance(0.8) else float(np.float32(self.choice((0.1, 2.5))))
        return self.b.op(ops.Softmax, x, quant=(1 / 256, -128), beta=beta)

    # Windows and sizes

    def pool2d(self, x: str) -> str | None:
        shape = self.rank4(x)
        if shape is None:
            return None
        window = shape[1:3] if self.chance(0.3) else self.pair(1, 4)
        stride = self.pair(1, 3)
        padding = self.padding(shape[1:3], window, stride)
        if padding is None:
            return None
        kind = self.choice((ops.AveragePool2D, ops.MaxPool2D))
        clamp = self.clamp(self.b.quant(x))
        return self.b.op(kind, x, window=window, stride=stride, padding=padding, clamp=clamp)

    def mean(self, x: str) -> str | None:
        rank = len(self.b.shape(x))
        if rank < 2:
            return None
        axes = (1, 2) if rank == 4 and self.chance(0.7) else (self.integer(1, rank - 1),)
        quant = self.b.quant(x) if self.chance(0.5) else self.quant(self.b.quant(x)[0])
        return self.b.op(ops.Mean, x, quant=quant, axes=axes, keep_dims=self.chance(0.5))

    def pad(self, x: str) -> str | None:
        shape = self.b.shape(x)
        if not shape:
            return None
        mode = self.choice((ops.PadMode.CONSTANT,) * 3 + tuple(ops.PadMode))
        axes = {1, 2} if len(shape) == 4 and self.chance(0.7) else set(range(1, len(shape)))
        slack = 1 if mode is ops.PadMode.REFLECT else 0
        pads = []
        for axis, extent in enumerate(shape):
            most = 2 if mode is ops.PadMode.CONSTANT else min(2, extent - slack)
            pads.append((self.integer(0, most), self.integer(0, most)) if axis in axes else (0, 0))
        if prod(e + sum(pair) for e, pair in zip(shape, pads, strict=True)) > MAX_ELEMENTS:
            return None
        zero_point = self.b.quant(x)[1]
        value = (
            zero_point if self.chance(0.7) else self.choice((-128, 127, self.integer(-128, 127)))
        )
        value = value if mode is ops.PadMode.CONSTANT else 0
        return self.b.op(ops.Pad, x, pads=tuple(pads), mode=mode, value=value)

    def resize(self, x: str) -> str | None:
        shape = self.rank4(x)
        if shape is None:
            return None
        height, width = self.integer(1, 10), self.integer(1, 10)
        if self.chance(0.5):
            height, width = 2 * shape[1], 2 * shape[2]
        if height * width * shape[3] * shape[0] > MAX_ELEMENTS:
            return None
        corners, centres = self.choice(((False, False), (True, False), (False, True)))
        return self.b.op(
            self.choice((ops.ResizeNearest, ops.ResizeBilinear)),
            x,
            shape=(shape[0], height, width, shape[3]),
            align_corners=corners,
            half_pixel_centers=centres,
        )

    # Moves

    def reshape(self, x: str) -> str:
        shape = self.b.shape(x)
        style = self.rng.random()
        if style < 0.3 or len(shape) < 3:
            new: tuple[int, ...] = (1, prod(shape))
        elif style < 0.6:
            new = (shape[0], prod(shape[1:-1]), shape[-1])
        elif style < 0.8:
            new = (shape[0], 1, *shape[1:]) if len(shape) < 4 else (*shape[:2], prod(shape[2:]))
        else:
            new = (1, shape[-1], 1, prod(shape[:-1]))
        return self.b.op(ops.Reshape, x, shape=new)

    def transpose(self, x: str) -> str | None:
        rank = len(self.b.shape(x))
        if rank < 2:
            return None
        perm = tuple(int(axis) for axis in self.rng.permutation(rank))
        if rank == 4 and self.chance(0.5):
            perm = self.choice(((0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3)))
        return self.b.op(ops.Transpose, x, perm=perm)

    def concatenation(self, x: str) -> str | None:
        """With others of a shape that fits; what is quantized differently is requantized first."""
        shape, quant = self.b.shape(x), self.b.quant(x)
        if not shape:
            return None
        axis = len(shape) - 1 if self.chance(0.75) else self.integer(0, len(shape) - 1)
        options = [
            name
            for name in self.pool
            if len(self.b.shape(name)) == len(shape)
            and _without(self.b.shape(name), axis) == _without(shape, axis)
        ]
        parts = [x]
        for _ in range(self.integer(0, 2)):
            other = str(self.choice(options))
            if self.b.quant(other) != quant:
                other = self.b.op(ops.Requantize, other, quant=quant)
            parts.append(other)
        if sum(prod(self.b.shape(part)) for part in parts) > MAX_ELEMENTS:
            return None
        if self.in_file:
            parts = list(dict.fromkeys(parts))
        self.rng.shuffle(parts)
        return self.b.op(ops.Concatenation, *parts, axis=axis)

    def split(self, x: str) -> list[str] | None:
        shape = self.b.shape(x)
        if not shape:
            return None
        axis = len(shape) - 1 if self.chance(0.7) else self.integer(0, len(shape) - 1)
        extent = shape[axis]
        if extent < 2:
            return None
        if self.in_file or self.chance(0.5):
            count = self.choice([n for n in range(2, extent + 1) if extent % n == 0])
            return self.b.split(x, (extent // count,) * count, axis)
        first = self.integer(1, extent - 1)
        return self.b.split(x, (first, extent - first), axis)

    def slice(self, x: str) -> str | None:
        shape = self.b.shape(x)
        if not shape:
            return None
        axes = [self.slice_axis(extent) for extent in shape]
        begin, strides, sizes = zip(*axes, strict=True)
        return self.b.op(ops.Slice, x, begin=begin, strides=strides, shape=sizes)

    def slice_axis(self, extent: int) -> tuple[int, int, int]:
        """(begin, stride, size) of a part of an axis, or all of it."""
        if self.chance(0.5):
            return 0, 1, extent
        stride = self.choice((1, 1, 2, 3, -1))
        first, last = sorted((self.integer(0, extent - 1), self.integer(0, extent - 1)))
        return last if stride < 0 else first, stride, (last - first) // abs(stride) + 1


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether ``shape`` broadcasts to exactly ``target``."""
    if len(shape) > len(target):
        return False
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return all(a in (1, b) for a, b in pairs)
