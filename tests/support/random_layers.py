"""Random convolutions, and what networks make of them."""

from __future__ import annotations

from math import prod

from tests.support.random_choices import MAX_ELEMENTS
from tests.support.random_operators import Operators
from tinyvision.ir import ops
from tinyvision.ir.ops import Padding


class Layers(Operators):
    """None where an operator does not fit ``x``."""

    def conv2d(self, x: str, outputs: int = 0) -> str | None:
        shape, kernel = self.rank4(x), self.kernel()
        if shape is None:
            return None
        attributes = self.spatial(x, kernel)
        groups = 1
        if not self.in_file and self.chance(0.12):
            groups = self.choice([g for g in range(1, shape[3] + 1) if shape[3] % g == 0])
        outputs = outputs or groups * self.integer(1, 8)
        if attributes is None or outputs % groups:
            return None
        depth = shape[3] // groups
        weights = self.weights((outputs, *kernel, depth), outputs)
        return self.weighted(ops.Conv2D, x, weights, prod(kernel) * depth, **attributes)

    def depthwise(self, x: str) -> str | None:
        shape, kernel = self.rank4(x), self.kernel()
        if shape is None:
            return None
        attributes = self.spatial(x, kernel)
        multiplier = self.integer(2, 4) if self.chance(0.3) and shape[3] <= 6 else 1
        if attributes is None:
            return None
        outputs = shape[3] * multiplier
        weights = self.weights((outputs, *kernel, 1), outputs)
        return self.weighted(
            ops.DepthwiseConv2D, x, weights, prod(kernel), multiplier=multiplier, **attributes
        )

    def transpose_conv(self, x: str) -> str | None:
        shape = self.rank4(x)
        if shape is None:
            return None
        kernel, stride = self.pair(1, 4), self.pair(1, 3)
        sides: list[int] = []
        size = 1
        same = self.chance(0.5)
        for extent, reach, step in zip(shape[1:3], kernel, stride, strict=True):
            full = (extent - 1) * step + reach
            target = extent * step
            if same:
                total = max(full - target, 0)
                sides += [total // 2, total - total // 2 - max(target - full, 0)]
            else:
                sides += [0, 0]
            size *= full - sides[-1] - sides[-2]
        outputs = self.integer(1, 4)
        if size * outputs > MAX_ELEMENTS:
            return None
        weights = self.weights((outputs, *kernel, shape[3]), outputs)
        return self.weighted(
            ops.TransposeConv2D,
            x,
            weights,
            prod(kernel) * shape[3] // prod(stride) + 1,
            stride=stride,
            padding=Padding(*sides),
        )

    def fully_connected(self, x: str) -> str | None:
        shape = self.b.shape(x)
        flatten = self.chance(0.6) or not shape
        columns = prod(shape) if flatten else shape[-1]
        if columns > 200:
            return None
        if flatten and self.in_file:
            x = self.b.op(ops.Reshape, x, shape=(1, columns))
        outputs = self.integer(1, 8)
        keep = not flatten and self.chance(0.5)
        result = (*shape[:-1], outputs) if keep else ()
        weights = self.weights((outputs, columns), outputs)
        return self.weighted(ops.FullyConnected, x, weights, columns, shape=result)

    def padded_conv(self, x: str) -> str | None:
        """Explicit padding that the convolution or pool after it may be able to take over."""
        shape = self.rank4(x)
        if shape is None:
            return None
        (top, bottom), (left, right) = ((self.integer(0, 2), self.integer(0, 2)) for _ in range(2))
        zero_point = self.b.quant(x)[1]
        value = zero_point if self.chance(0.8) else -128
        x = self.b.op(ops.Pad, x, pads=((0, 0), (top, bottom), (left, right), (0, 0)), value=value)
        if min(self.b.shape(x)[1:3]) < 3:
            return x
        if self.chance(0.2):
            return self.b.op(ops.MaxPool2D, x, window=(3, 3), stride=(2, 2))
        if self.chance(0.4):
            weights = self.weights((shape[3], 3, 3, 1), shape[3])
            return self.weighted(ops.DepthwiseConv2D, x, weights, 9, stride=self.pair(1, 2))
        outputs = self.integer(1, 6)
        weights = self.weights((outputs, 3, 3, shape[3]), outputs)
        return self.weighted(ops.Conv2D, x, weights, 9 * shape[3], stride=self.pair(1, 2))

    def activated_conv(self, x: str) -> str | None:
        """A convolution and a clamp that it could have done, or a function."""
        y = self.conv2d(x)
        if y is None:
            return None
        if self.chance(0.3):
            return self.function(y)
        scale, zero_point = self.b.quant(y)
        quant = (scale, zero_point) if self.chance(0.7) else self.quant(scale)
        return self.rectifier(y, quant)

    def gated(self, x: str) -> str | None:
        """x times a weight for each channel that is computed from its mean."""
        shape = self.rank4(x)
        if shape is None:
            return None
        mean = self.b.op(ops.Mean, x, axes=(1, 2), keep_dims=True)
        weights = self.weights((shape[3], 1, 1, shape[3]), shape[3])
        gate = self.weighted(ops.Conv2D, mean, weights, shape[3], stride=(1, 1))
        gate = self.b.op(ops.Logistic, gate, quant=(1 / 256, -128))
        return self.b.op(ops.Mul, x, gate, quant=self.quant(self.b.quant(x)[0]))

    def residual(self, x: str) -> str | None:
        """x + conv(depthwise(conv(x))), with shapes kept."""
        shape = self.rank4(x)
        if shape is None:
            return None
        middle = self.integer(1, 10)
        y = self.weighted(
            ops.Conv2D, x, self.weights((middle, 1, 1, shape[3]), middle), shape[3], stride=(1, 1)
        )
        self.pool.append(y)
        y = self.weighted(
            ops.DepthwiseConv2D,
            y,
            self.weights((middle, 3, 3, 1), middle),
            9,
            stride=(1, 1),
            padding=Padding(1, 1, 1, 1),
        )
        y = self.weighted(
            ops.Conv2D, y, self.weights((shape[3], 1, 1, middle), shape[3]), middle, stride=(1, 1)
        )
        return self.sum(ops.Add, y, x, self.quant())
