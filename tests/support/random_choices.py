"""Random choices of scales, clamps, weights and paddings, extremes included, for random graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.graph_builder import GraphBuilder, Quant
from tinyvision.ir import ops
from tinyvision.ir.ops import INT8_RANGE, Clamp, Op, Padding
from tinyvision.ir.shapes import dilated
from tinyvision.ir.types import Array

MAX_ELEMENTS = 1500
_ZERO_POINTS = (-128, 127, 0, -1, 5, -77)


class Choices:
    """``in_file``: only what a ``.tflite`` file can state; see ``random_graphs``."""

    def __init__(self, rng: np.random.Generator, in_file: bool) -> None:
        self.rng, self.in_file = rng, in_file
        self.b = GraphBuilder("random")
        self.pool: list[str] = []

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def integer(self, low: int, high: int) -> int:
        """Between ``low`` and ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def pair(self, low: int, high: int) -> tuple[int, int]:
        first = self.integer(low, high)
        return first, first if self.chance(0.7) else self.integer(low, high)

    def quant(self, scale: float | None = None) -> Quant:
        """A random quantization, or one of the given ``scale`` with any zero point."""
        if scale is None:
            scale = float(2.0 ** self.rng.uniform(-8, 0))
        zero_point = self.choice(_ZERO_POINTS) if self.chance(0.7) else self.integer(-128, 127)
        return float(np.float32(scale)), zero_point

    def clamp(self, quant: Quant) -> Clamp:
        """None, that of a Relu or Relu6, or (where a file need not say it) any."""
        scale, zero_point = quant
        style = self.rng.random()
        if style < 0.5:
            return INT8_RANGE
        if style < 0.7:
            return zero_point, 127
        if style < 0.85:
            six = zero_point + int(np.floor(np.float32(6) / np.float32(scale) + np.float32(0.5)))
            return zero_point, min(six, 127)
        if self.in_file:
            return INT8_RANGE
        low = self.integer(-128, 127)
        return low, self.integer(low, min(127, low + self.choice((0, 3, 255))))

    def constant(self, shape: tuple[int, ...], quant: Quant | None = None) -> str:
        """Noise, one value, or one value a channel."""
        data = self.rng.integers(-128, 128, shape)
        if shape and self.chance(0.4):
            data = np.broadcast_to(data.reshape(-1, shape[-1])[0], shape)
        elif self.chance(0.3):
            data = np.full(shape, self.integer(-128, 127))
        return self.b.constant(data, quant or self.quant())

    def rank4(self, x: str) -> tuple[int, int, int, int] | None:
        shape = self.b.shape(x)
        return shape if len(shape) == 4 else None

    def weights(self, shape: tuple[int, ...], outputs: int) -> Array:
        """int8 weights, outputs first and inputs last; some rows and some input columns zero."""
        data = self.rng.integers(-127, 128, shape)
        if self.chance(0.5):
            data[self.rng.random(outputs) < 0.4] = 0
        if shape[-1] > 1 and self.chance(0.3):
            data[..., self.rng.random(shape[-1]) < 0.4] = 0
        if self.chance(0.2):
            data = data // 16
        return data

    def bias(self, outputs: int, accumulator: float) -> Array:
        """Zeros, values of the size of the accumulator, or some that saturate whatever comes."""
        if self.chance(0.3):
            return np.zeros(outputs, np.int32)
        bias = self.rng.normal(0, accumulator, outputs)
        if self.chance(0.4):
            saturated = self.rng.random(outputs) < 0.4
            bias[saturated] = self.rng.choice([-1, 1], int(saturated.sum())) * 3e7
        return np.clip(bias, -(2**27), 2**27).astype(np.int32)

    def weighted(
        self, kind: type[Op], x: str, weights: Array, terms: int, **attributes: Any
    ) -> str:
        """``terms``: products in a sum. The output scale fits the sums, more or less."""
        outputs = weights.shape[0]
        accumulator = np.sqrt(terms) * 70 * 50 + 1
        # Files cannot give a FullyConnected of more axes a scale for each output.
        per_axis = self.chance(0.6) and len(attributes.get("shape", ())) <= 2
        spread = self.rng.uniform(-1, 1, outputs if per_axis else 1)
        scales = 2.0 ** (self.rng.uniform(-9, -4) + spread)
        if not self.in_file and self.chance(0.1):
            scales[self.rng.random(len(scales)) < 0.3] = 0.0
        real = self.b.quant(x)[0] * float(scales.max() or 1.0) * accumulator / 60
        factor = 2.0 ** self.rng.uniform(-2, 2) if self.chance(0.85) else self.choice((1e-3, 1e4))
        quant = self.quant(float(np.clip(real * factor, 1e-6, 1e6)))
        if kind is ops.DepthwiseConv2D:
            weights = weights.transpose(3, 1, 2, 0)
        return self.b.weighted(
            kind,
            x,
            weights,
            self.bias(outputs, accumulator),
            quant=quant,
            scales=tuple(float(scale) for scale in scales),
            clamp=self.clamp(quant),
            **attributes,
        )

    def padding(
        self,
        size: tuple[int, int],
        window: tuple[int, int],
        stride: tuple[int, int],
    ) -> Padding | None:
        """SAME, VALID or anything; None where nothing fits."""
        sides: list[int] = []
        style = self.rng.random()
        for extent, reach, step in zip(size, window, stride, strict=True):
            if style < 0.55:
                total = max(0, (-(-extent // step) - 1) * step + reach - extent)
                sides += [total // 2, total - total // 2]
            elif style < 0.8 or self.in_file:
                sides += [0, 0]
            else:
                sides += [self.integer(0, reach - 1), self.integer(0, reach - 1)]
            if extent + sides[-1] + sides[-2] < reach:
                return None
        return Padding(*sides)

    def spatial(self, x: str, kernel: tuple[int, int]) -> dict[str, Any] | None:
        shape = self.b.shape(x)
        stride = (1, 1) if self.chance(0.5) else self.pair(1, 3)
        dilation = self.pair(1, 3) if self.chance(0.2) else (1, 1)
        if self.in_file and stride != (1, 1):
            dilation = (1, 1)
        window = dilated(kernel[0], dilation[0]), dilated(kernel[1], dilation[1])
        padding = self.padding((shape[1], shape[2]), window, stride)
        if padding is None:
            return None
        return {"stride": stride, "dilation": dilation, "padding": padding}

    def kernel(self) -> tuple[int, int]:
        return (1, 1) if self.chance(0.4) else self.pair(1, 5)
