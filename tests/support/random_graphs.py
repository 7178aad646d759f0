"""Small random graphs of every operator, for tests that hold two executions of one graph equal.

``random_graph(rng)`` is deterministic in the generator it is given; ``graphs()`` is the same as a
hypothesis strategy, and ``random_inputs`` feeds them. What real networks do and what breaks
compilers is likely: residual connections, dead weight rows, saturated and constant channels, odd
sizes, strides, dilations and paddings, extreme zero points and scales, several inputs and outputs,
tensors that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.support.graph_builder import GraphBuilder, Quant
from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import INT8_RANGE, Clamp, Op, Padding
from tinyvision.ir.shapes import dilated
from tinyvision.ir.types import Array, DType
from tinyvision.ir.verify import verify

MAX_ELEMENTS = 1500
_ZERO_POINTS = (-128, 127, 0, -1, 5, -77)


def random_graph(rng: np.random.Generator, max_ops: int = 10, in_file: bool = False) -> Graph:
    """A valid graph of about ``max_ops`` operators at most, with at least one.

    ``in_file`` restricts it to what a ``.tflite`` file can state: SAME and VALID padding, the
    fused activations' clamps, ungrouped convolutions, no Lookup.
    """
    graph = _Generator(rng, max_ops, in_file).graph()
    verify(graph)
    return graph


def graphs(max_ops: int = 10, in_file: bool = False) -> st.SearchStrategy[Graph]:
    """Random graphs; hypothesis shrinks the number of operators, not what they are."""
    return st.builds(
        lambda count, seed: random_graph(np.random.default_rng(seed), count, in_file),
        st.integers(1, max_ops),
        st.integers(0, 2**32 - 1),
    )


def random_inputs(graph: Graph, rng: np.random.Generator) -> list[Array]:
    """One array for each input in its external type: noise, extremes, or the zero point."""
    return [_random_input(graph, name, rng) for name in graph.inputs]


def _random_input(graph: Graph, name: str, rng: np.random.Generator) -> Array:
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    if external is DType.FLOAT32:
        spread = tensor.scale * 200 if tensor.quant else 5.0
        reals = rng.uniform(-spread, spread, tensor.shape).astype(np.float32)
        if rng.random() < 0.3:
            odd = np.array([0.0, -0.0, 1e6, -1e6], np.float32)
            reals.flat[:: max(1, reals.size // 4)] = rng.choice(odd)
        return reals
    low, high = dtype_clamp(external)
    style = rng.random()
    if style < 0.2:
        values = np.full(tensor.shape, rng.choice([low, high]))
    elif style < 0.4:
        values = rng.choice([low, high], tensor.shape)
    else:
        values = rng.integers(low, high + 1, tensor.shape)
    return values.astype(external.numpy)


class _Generator:
    """Grows a graph operator by operator from tensors it has made before."""

    def __init__(self, rng: np.random.Generator, max_ops: int, in_file: bool) -> None:
        self.rng, self.max_ops, self.in_file = rng, max_ops, in_file
        self.b = GraphBuilder("random")
        self.interface: dict[str, DType] = {}
        self.pool: list[str] = []
        self.adders: tuple[tuple[int, Callable[[str], str | list[str] | None]], ...] = (
            (6, self.conv2d),
            (5, self.depthwise),
            (2, self.transpose_conv),
            (3, self.fully_connected),
            (5, self.binary),
            (2, self.extremum),
            (2, self.pad),
            (3, self.pool2d),
            (2, self.mean),
            (1, self.softmax),
            (4, self.function),
            (1, self.lookup),
            (1, self.prelu),
            (3, self.requantize),
            (2, self.reshape),
            (1, self.transpose),
            (3, self.concatenation),
            (2, self.split),
            (2, self.slice),
            (2, self.resize),
            (4, self.residual),
            (3, self.padded_conv),
            (3, self.activated_conv),
            (1, self.gated),
        )

    # Choices

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

    # Tensors

    def graph(self) -> Graph:
        for _ in range(1 if self.chance(0.8) else 2):
            self.add_input()
        target = len(self.b.ops) + self.max_ops
        while len(self.b.ops) < target:
            weights = np.array([weight for weight, _ in self.adders], float)
            chosen = self.rng.choice(len(self.adders), p=weights / weights.sum())
            recent = self.pool[-self.choice((1, 1, 3)) :] if self.chance(0.8) else self.pool
            self.keep(self.adders[chosen][1](self.choice(recent)))
        return self.b.build(*self.choose_outputs(), interface=self.interface)

    def keep(self, made: str | list[str] | None) -> None:
        if made is not None:
            self.pool += [made] if isinstance(made, str) else made

    def add_input(self) -> None:
        rank4 = self.chance(0.85)
        channels = self.choice((1, 2, 3, 4, 5, 8))
        shape = (
            (1 if self.chance(0.9) else 2, self.integer(1, 9), self.integer(1, 9), channels)
            if rank4
            else (1, self.integer(1, 40))
        )
        style = self.rng.random()
        quant = self.quant()
        if style < 0.65:
            name = self.b.input(shape, quant)
        elif style < 0.8:
            name = self.b.op(ops.Quantize, self.b.input(shape, None, DType.FLOAT32), quant=quant)
        elif style < 0.9:
            unsigned = self.b.input(shape, (quant[0], quant[1] + 128), DType.UINT8)
            other = quant if self.chance(0.6) else self.quant()
            name = self.b.op(ops.Requantize, unsigned, quant=other)
        elif self.in_file:
            name = self.b.input(shape, quant)
        else:
            name = self.b.input(shape, quant)
            self.interface[name] = self.choice((DType.FLOAT32, DType.UINT8))
        self.pool.append(name)

    def choose_outputs(self) -> list[str]:
        """Some of the tensors that nobody reads, now and then one that is read; some converted."""
        consumers = self.b.build(self.b.ops[-1].outputs[0]).consumers()
        computed = [name for op in self.b.ops for name in op.outputs]
        leaves = [name for name in computed if not consumers[name]]
        chosen = leaves[-self.integer(1, 4) :]
        if self.chance(0.15):
            chosen = list(dict.fromkeys([*chosen, self.choice(computed)]))
        return [self.finish(name) for name in chosen]

    def finish(self, name: str) -> str:
        style = self.rng.random()
        tensor = self.b.tensors[name]
        if tensor.dtype is not DType.INT8 or style < 0.65:
            return name
        if style < 0.8:
            return self.b.op(ops.Dequantize, name, dtype=DType.FLOAT32)
        if style < 0.9:
            scale, zero_point = self.b.quant(name)
            return self.b.op(
                ops.Requantize,
                name,
                quant=(scale, zero_point + 128),
                dtype=DType.UINT8,
                clamp=(0, 255),
            )
        if name not in self.b.inputs and not self.in_file:
            self.interface[name] = self.choice((DType.FLOAT32, DType.UINT8))
        return name

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

    # Weighted operators

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

    # Elementwise operators

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
        kind = self.choice((ops.Logistic, ops.Tanh, ops.HardSwish, ops.LeakyRelu))
        if kind is ops.Logistic:
            return self.b.op(kind, x, quant=(1 / 256, -128))
        if kind is ops.Tanh:
            return self.b.op(kind, x, quant=(1 / 128, 0))
        quant = self.quant(self.b.quant(x)[0] * 2.0 ** self.rng.uniform(-2, 2))
        if kind is ops.HardSwish:
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
