"""Strategies for convolutions and fully connected layers that go to the edges of everything."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, FullyConnected, Op, Padding
from tinyvision.ir.types import DType, QuantParams, Tensor

small = st.integers(1, 4)
NO_PADDING = Padding()
zero_points = st.one_of(st.sampled_from((-128, 0, 127)), st.integers(-128, 127))


@dataclass(frozen=True)
class Arithmetic:
    """Everything about a layer but its shape."""

    seed: int
    input_zero_point: int
    output_zero_point: int
    weights_zero_point: int
    ratio_log2: float
    spread_log2: float
    per_channel: bool
    bias_log2: int
    clamp: tuple[int, int]


@st.composite
def arithmetics(draw: st.DrawFn, weights_zero_points: st.SearchStrategy[int]) -> Arithmetic:
    output_zero_point = draw(zero_points)
    low = draw(st.sampled_from((-128, output_zero_point, -1)))
    high = draw(st.sampled_from((127, 127, 40, output_zero_point)))
    return Arithmetic(
        seed=draw(st.integers(0, 2**32 - 1)),
        input_zero_point=draw(zero_points),
        output_zero_point=output_zero_point,
        weights_zero_point=draw(weights_zero_points),
        ratio_log2=draw(st.one_of(st.floats(-14, -5), st.floats(-34, 4))),
        spread_log2=draw(st.sampled_from((0.0, 1.0, 6.0))),
        per_channel=draw(st.booleans()),
        bias_log2=draw(st.sampled_from((8, 14, 14, 29, 31, 40))),
        clamp=(min(low, high), max(low, high)),
    )


def _graph(
    op: Op,
    arithmetic: Arithmetic,
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    channels: int,
    axis: int,
) -> Graph:
    rng = np.random.default_rng(arithmetic.seed)
    x_shape, w_shape, y_shape = shapes
    weights = rng.integers(-127, 128, w_shape).astype(np.int8)
    weights[rng.random(w_shape) < 0.1] = -128 if arithmetic.seed % 3 == 0 else 127
    limit = 2**arithmetic.bias_log2
    bias = rng.integers(-limit, limit - 1, channels, endpoint=True)
    wide = arithmetic.bias_log2 > 31 or arithmetic.seed % 5 == 0
    bias = bias if wide else bias.astype(np.int32)
    count = channels if arithmetic.per_channel else 1
    factors = 2.0 ** (arithmetic.ratio_log2 + arithmetic.spread_log2 * rng.uniform(-1, 1, count))
    scales = tuple(float(np.float32(f)) for f in factors)
    quant = QuantParams(
        scales, (arithmetic.weights_zero_point,) * count, axis if count > 1 else None
    )

    def activation(name: str, shape: tuple[int, ...], zero_point: int) -> Tensor:
        return Tensor(name, shape, DType.INT8, QuantParams((1.0,), (zero_point,)))

    tensors = (
        activation("x", x_shape, arithmetic.input_zero_point),
        Tensor("w", w_shape, DType.INT8, quant, weights),
        Tensor("b", (channels,), DType(bias.dtype.name), None, bias),
        activation("y", y_shape, arithmetic.output_zero_point),
    )
    return Graph(op.name, {t.name: t for t in tensors}, (op,), ("x",), ("y",))


@st.composite
def _windows(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """Input, kernel, stride, dilation, (before, after) rows and columns, output: all of two."""
    per_axis = []
    for _ in range(2):
        kernel = draw(st.sampled_from((1, 2, 3, 3, 3, 4, 5, 7)))
        stride, dilation = draw(st.integers(1, 3)), draw(st.sampled_from((1, 1, 1, 2, 3)))
        reach = (kernel - 1) * dilation + 1
        before, after = draw(st.integers(0, reach)), draw(st.integers(0, reach))
        size = draw(st.integers(max(1, reach - before - after), reach + 8))
        output = (size + before + after - reach) // stride + 1
        per_axis.append((size, kernel, stride, dilation, before, after, output))
    return tuple(zip(*per_axis, strict=True))


def _conv2d(
    arithmetic: Arithmetic,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
) -> Conv2D:
    return Conv2D(
        name="conv",
        inputs=("x", "w", "b"),
        outputs=("y",),
        stride=stride,
        dilation=dilation,
        padding=padding,
        clamp=arithmetic.clamp,
    )


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    size, kernel, stride, dilation, before, after, output = draw(_windows())
    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    depth, filters = draw(st.integers(1, 9)) * groups, draw(st.integers(1, 7)) * groups
    if draw(st.booleans()):
        kernel, stride, dilation, before, after, output, groups = (
            *(((1, 1),) * 3),
            (0, 0),
            (0, 0),
            size,
            1,
        )
    batch = draw(st.sampled_from((1, 1, 1, 2)))
    arithmetic = draw(arithmetics(st.just(0)))
    op = _conv2d(arithmetic, stride, dilation, Padding(before[0], after[0], before[1], after[1]))
    shapes = ((batch, *size, depth), (filters, *kernel, depth // groups), (batch, *output, filters))
    return _graph(op, arithmetic, shapes, filters, 0)


@st.composite
def deep_pointwise_convolutions(draw: st.DrawFn) -> Graph:
    """1x1 with many inputs, of few pixels, but so many that a copy of their constants pays."""
    arithmetic = replace(draw(arithmetics(st.just(0))), bias_log2=14)
    size = draw(st.integers(3, 5)), draw(st.integers(3, 5))
    depth = draw(st.integers(40, 130))
    channels = draw(st.sampled_from((4, 8, 12, 16, 17, 18, 23)))
    op = _conv2d(arithmetic)
    shapes = ((1, *size, depth), (channels, 1, 1, depth), (1, *size, channels))
    return _graph(op, arithmetic, shapes, channels, 0)


@st.composite
def dense_3x3_convolutions(draw: st.DrawFn) -> Graph:
    """3x3, stride 1, whole words of inputs: tiles cut off, padding of up to whole tiles."""
    arithmetic = draw(arithmetics(st.just(0)))
    before, after = ([draw(st.integers(0, 3)) for _ in range(2)] for _ in range(2))
    rows, columns = (
        max(draw(st.integers(1, 12)), 3 - before[axis] - after[axis]) for axis in range(2)
    )
    depth, channels = draw(st.sampled_from((4, 8, 12, 16, 20, 32, 40))), draw(st.integers(1, 6))
    padding = Padding(before[0], after[0], before[1], after[1])
    op = _conv2d(arithmetic, padding=padding)
    output = rows + before[0] + after[0] - 2, columns + before[1] + after[1] - 2
    shapes = ((1, rows, columns, depth), (channels, 3, 3, depth), (1, *output, channels))
    return _graph(op, arithmetic, shapes, channels, 0)


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> Graph:
    size, kernel, stride, dilation, before, after, output = draw(_windows())
    depth, multiplier = draw(st.integers(1, 11)), draw(st.sampled_from((1, 1, 1, 2, 3)))
    if draw(st.booleans()):
        taken = tuple((size[i] + before[i] + after[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
        dilation, output = (1, 1), taken
    batch = draw(st.sampled_from((1, 1, 1, 2)))
    arithmetic = draw(arithmetics(st.just(0)))
    channels = depth * multiplier
    op = DepthwiseConv2D(
        name="depthwise",
        inputs=("x", "w", "b"),
        outputs=("y",),
        multiplier=multiplier,
        stride=stride,
        dilation=dilation,
        padding=Padding(before[0], after[0], before[1], after[1]),
        clamp=arithmetic.clamp,
    )
    shapes = ((batch, *size, depth), (1, *kernel, channels), (batch, *output, channels))
    return _graph(op, arithmetic, shapes, channels, 3)


@st.composite
def wide_depthwise_convolutions(draw: st.DrawFn) -> Graph:
    """Kernels of up to 11 columns that are packed into integers, on rows of up to 40 columns."""
    arithmetic = draw(arithmetics(st.just(0)))
    kernel = draw(st.sampled_from((1, 2, 3, 5, 7))), draw(st.sampled_from((4, 5, 6, 7, 9, 11)))
    stride = draw(st.integers(1, 2)), draw(st.sampled_from((1, 1, 2, 2, 3)))
    before, after = ([draw(st.integers(0, kernel[i] - 1)) for i in range(2)] for _ in range(2))
    size = [
        max(draw(st.integers(1, most)), kernel[i] - before[i] - after[i])
        for i, most in enumerate((8, 40))
    ]
    output = [(size[i] + before[i] + after[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    channels = draw(st.integers(1, 5))
    op = DepthwiseConv2D(
        name="depthwise",
        inputs=("x", "w", "b"),
        outputs=("y",),
        multiplier=1,
        stride=stride,
        dilation=(1, 1),
        padding=Padding(before[0], after[0], before[1], after[1]),
        clamp=arithmetic.clamp,
    )
    shapes = ((1, *size, channels), (1, *kernel, channels), (1, *output, channels))
    return _graph(op, arithmetic, shapes, channels, 3)


@st.composite
def fully_connected(draw: st.DrawFn) -> Graph:
    depth = draw(st.one_of(st.integers(1, 70), st.sampled_from((8, 16, 32, 72, 128, 200, 256))))
    rows, channels = draw(small), draw(st.sampled_from((*range(1, 22), 130)))
    arithmetic = draw(arithmetics(st.sampled_from((0, 0, 0, -128, 5))))
    op = FullyConnected(name="fc", inputs=("x", "w", "b"), outputs=("y",), clamp=arithmetic.clamp)
    return _graph(op, arithmetic, ((rows, depth), (channels, depth), (rows, channels)), channels, 0)


FAMILIES = {
    "conv2d": convolutions(),
    "depthwise": depthwise_convolutions(),
    "fully_connected": fully_connected(),
}
