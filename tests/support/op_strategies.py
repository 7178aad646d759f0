"""Hypothesis strategies for graphs of one operator, all of which a ``.tflite`` file can hold.

``STRATEGIES`` has one for each operator, by its kind. Shapes are small, quantization parameters are
anything, scales such that outputs neither vanish nor all saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.support.one_op import constant, one_op, quant, tensor
from tests.support.tflite_writer import activation_range
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(2**-10, 0.5, width=32)
ZERO_POINTS = st.integers(-128, 127)
RATIOS = st.floats(0.25, 4.0)
SIZES = st.integers(1, 9)
CHANNELS = st.integers(1, 5)
FEW = st.integers(1, 3)
ACTIVATIONS = st.sampled_from(("NONE", "RELU", "RELU6", "RELU_N1_TO_1"))

Spatial = tuple[int, int]


def _geometry(
    draw: DrawFn, window: Spatial, stride: Spatial, dilation: Spatial = (1, 1)
) -> tuple[Spatial, Spatial, ops.Padding]:
    """An input size, the output size and the padding, SAME or VALID."""
    reach = [(window[axis] - 1) * dilation[axis] + 1 for axis in range(2)]
    if draw(st.booleans()):
        size = (draw(SIZES), draw(SIZES))
        out, pads = _same(size, reach, stride)
        return size, out, pads
    size = (reach[0] + draw(SIZES) - 1, reach[1] + draw(SIZES) - 1)
    out = tuple((size[axis] - reach[axis]) // stride[axis] + 1 for axis in range(2))
    return size, out, ops.Padding()


def _same(size: Spatial, reach: Sequence[int], stride: Spatial) -> tuple[Spatial, ops.Padding]:
    out = tuple(-(-size[axis] // stride[axis]) for axis in range(2))
    total = [max(0, (out[a] - 1) * stride[a] + reach[a] - size[a]) for a in range(2)]
    top, left = total[0] // 2, total[1] // 2
    return out, ops.Padding(top, total[0] - top, left, total[1] - left)


def _weighted_tensors(
    draw: DrawFn,
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    axis: int,
    weights_zero_point: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input, weights, bias and output; one weight scale or one for each channel."""
    channels = w_shape[axis]
    scales = [draw(SCALES) * 0.1]
    # Per-axis kernels of TFLite 2.14 ignore zero points of weights, and its FullyConnected leaves
    # most of an output of more than two axes unwritten then.
    per_axis = draw(st.booleans()) and not weights_zero_point and len(y_shape) != 3
    if per_axis:
        scales = [draw(SCALES) * 0.1 for _ in range(channels)]
    scales = [float(np.float32(scale)) for scale in scales]
    x_scale = draw(SCALES)
    typical = x_scale * max(scales) * sqrt(prod(w_shape) / channels) * 60
    rng = np.random.default_rng(draw(SEEDS))
    zeros, where = (weights_zero_point,) * len(scales), axis if per_axis else None
    weights = rng.integers(-128, 128, w_shape, np.int8)
    bias = rng.integers(-4000, 4000, channels, np.int32)
    bias_scales = tuple(float(np.float32(x_scale) * np.float32(scale)) for scale in scales)
    return (
        tensor("x", x_shape, x_scale, draw(ZERO_POINTS)),
        constant("w", weights, QuantParams(tuple(scales), zeros, where)),
        constant("b", bias, QuantParams(bias_scales, (0,) * len(scales), 0 if per_axis else None)),
        tensor("y", y_shape, typical * draw(RATIOS), draw(ZERO_POINTS)),
    )


def _clamp(draw: DrawFn, y: Tensor) -> ops.Clamp:
    return activation_range(draw(ACTIVATIONS), y)


@st.composite
def conv2d(draw: DrawFn) -> Graph:
    window, stride = (draw(FEW), draw(FEW)), (draw(FEW), draw(FEW))
    dilation = (draw(FEW), draw(FEW))
    size, out, padding = _geometry(draw, window, stride, dilation)
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    depth, channels, batch = draw(CHANNELS), draw(CHANNELS) * groups, draw(st.integers(1, 2))
    tensors = _weighted_tensors(
        draw,
        (batch, *size, depth * groups),
        (channels, *window, depth),
        (batch, *out, channels),
        0,
    )
    op = ops.Conv2D(
        name="op",
        inputs=("x", "w", "b"),
        outputs=("y",),
        stride=stride,
        dilation=dilation,
        padding=padding,
        clamp=_clamp(draw, tensors[3]),
    )
    return one_op(op, tensors)


@st.composite
def depthwise_conv2d(draw: DrawFn) -> Graph:
    window, stride = (draw(FEW), draw(FEW)), (draw(FEW), draw(FEW))
    dilation = (draw(FEW), draw(FEW))
    size, out, padding = _geometry(draw, window, stride, dilation)
    depth, multiplier, batch = draw(CHANNELS), draw(FEW), draw(st.integers(1, 2))
    channels = depth * multiplier
    tensors = _weighted_tensors(
        draw, (batch, *size, depth), (1, *window, channels), (batch, *out, channels), 3
    )
    op = ops.DepthwiseConv2D(
        name="op",
        inputs=("x", "w", "b"),
        outputs=("y",),
        multiplier=multiplier,
        stride=stride,
        dilation=dilation,
        padding=padding,
        clamp=_clamp(draw, tensors[3]),
    )
    return one_op(op, tensors)


@st.composite
def transpose_conv2d(draw: DrawFn) -> Graph:
    window, stride = (draw(FEW), draw(FEW)), (draw(FEW), draw(FEW))
    size = (draw(SIZES), draw(SIZES))
    # The output's size is an operand of the file: any from which a convolution gives the input's.
    spare = [draw(st.integers(0, stride[axis] - 1)) for axis in range(2)]
    full = tuple((size[axis] - 1) * stride[axis] + window[axis] for axis in range(2))
    if draw(st.booleans()):
        out = tuple(size[axis] * stride[axis] - spare[axis] for axis in range(2))
        _, same = _same(out, window, stride)
        top, left = same.top, same.left
    else:
        out = tuple(full[axis] + spare[axis] for axis in range(2))
        top, left = 0, 0
    padding = ops.Padding(top, full[0] - top - out[0], left, full[1] - left - out[1])
    depth, channels, batch = draw(CHANNELS), draw(CHANNELS), draw(st.integers(1, 2))
    tensors = _weighted_tensors(
        draw, (batch, *size, depth), (channels, *window, depth), (batch, *out, channels), 0
    )
    op = ops.TransposeConv2D(
        name="op",
        inputs=("x", "w", "b"),
        outputs=("y",),
        stride=stride,
        padding=padding,
        clamp=_clamp(draw, tensors[3]),
    )
    return one_op(op, tensors)


@st.composite
def fully_connected(draw: DrawFn) -> Graph:
    depth, channels = draw(st.integers(1, 40)), draw(SIZES)
    if draw(st.booleans()):
        leading: tuple[int, ...] = (draw(FEW), draw(FEW))
        x_shape, y_shape = (*leading, depth), (*leading, channels)
    else:
        rows = draw(FEW)
        x_shape, y_shape = (rows, depth), (rows, channels)
    zero_point = draw(st.sampled_from((0, 0, 0, -7, 127)))
    tensors = _weighted_tensors(draw, x_shape, (channels, depth), y_shape, 0, zero_point)
    op = ops.FullyConnected(
        name="op", inputs=("x", "w", "b"), outputs=("y",), clamp=_clamp(draw, tensors[3])
    )
    return one_op(op, tensors)


def _shape(draw: DrawFn, low: int = 1, high: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 6), min_size=low, max_size=high)))


def _broadcastable(draw: DrawFn, shape: Sequence[int]) -> tuple[int, ...]:
    """``shape`` with some leading axes missing and some axes 1."""
    missing = draw(st.integers(0, len(shape) - 1))
    return tuple(draw(st.sampled_from((1, extent, extent))) for extent in shape[missing:])


def _binary(draw: DrawFn, scale_of_y: Callable[[float, float], float]) -> list[Tensor]:
    """a, b and y; either operand may be broadcast, and b may be constant."""
    a_shape = _shape(draw)
    b_shape = _broadcastable(draw, a_shape)
    a_scale = draw(SCALES)
    b_scale = draw(st.one_of(st.just(a_scale), SCALES))
    a = tensor("a", a_shape, a_scale, draw(ZERO_POINTS))
    b = tensor("b", b_shape, b_scale, draw(ZERO_POINTS))
    if draw(st.booleans()):
        data = np.random.default_rng(draw(SEEDS)).integers(-128, 128, b_shape, np.int8)
        b = constant("b", data, b.quant)
    scale = scale_of_y(a_scale, b_scale) * draw(RATIOS)
    return [a, b, tensor("y", a_shape, scale, draw(ZERO_POINTS))]


def _arithmetic(kind: type[ops.Add] | type[ops.Sub] | type[ops.Mul]) -> SearchStrategy[Graph]:
    @st.composite
    def strategy(draw: DrawFn) -> Graph:
        product = kind is ops.Mul
        tensors = _binary(draw, (lambda a, b: a * b * 64) if product else (lambda a, b: a + b))
        inputs = ("b", "a") if draw(st.booleans()) else ("a", "b")
        clamp = _clamp(draw, tensors[2])
        return one_op(kind(name="op", inputs=inputs, outputs=("y",), clamp=clamp), tensors)

    return strategy()


@st.composite
def _batch_matmul(draw: DrawFn) -> Graph:
    extents = st.integers(1, 5)
    rows, depth, columns = draw(extents), draw(st.integers(1, 9)), draw(extents)
    batch = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    adjoint_a, adjoint_b = draw(st.booleans()), draw(st.booleans())
    a_matrix = (depth, rows) if adjoint_a else (rows, depth)
    b_matrix = (columns, depth) if adjoint_b else (depth, columns)
    batches = [batch, tuple(extent if draw(st.booleans()) else 1 for extent in batch)]
    if adjoint_a or draw(st.booleans()):  # see ops.BatchMatMul
        batches.reverse()
    a = tensor("a", batches[0] + a_matrix, draw(SCALES), draw(ZERO_POINTS))
    b = tensor("b", batches[1] + b_matrix, draw(SCALES), draw(ZERO_POINTS))
    scale = a.scale * b.scale * 64 * draw(RATIOS)
    y = tensor("y", (*batch, rows, columns), scale, draw(ZERO_POINTS))
    fields = {"adjoint_a": adjoint_a, "adjoint_b": adjoint_b}
    return one_op(
        ops.BatchMatMul(name="op", inputs=("a", "b"), outputs=("y",), **fields), [a, b, y]
    )


def _extremum(kind: type[ops.Minimum] | type[ops.Maximum]) -> SearchStrategy[Graph]:
    @st.composite
    def strategy(draw: DrawFn) -> Graph:
        shape, params = _shape(draw), quant(draw(SCALES), draw(ZERO_POINTS))
        other = _broadcastable(draw, shape)
        tensors = [
            Tensor(name, extents, DType.INT8, params)
            for name, extents in (("a", shape), ("b", other), ("y", shape))
        ]
        return one_op(kind(name="op", inputs=("a", "b"), outputs=("y",)), tensors)

    return strategy()


@st.composite
def pad(draw: DrawFn) -> Graph:
    shape = _shape(draw, 2)
    mode = draw(st.sampled_from(ops.PadMode))
    most = {ops.PadMode.CONSTANT: 3, ops.PadMode.REFLECT: -1, ops.PadMode.SYMMETRIC: 0}[mode]
    limits = [most if most > 0 else min(3, extent + most) for extent in shape]
    pads = tuple((draw(st.integers(0, n)), draw(st.integers(0, n))) for n in limits)
    params = quant(draw(SCALES), draw(ZERO_POINTS))
    value = 0
    if mode is ops.PadMode.CONSTANT:
        value = draw(st.one_of(st.just(params.zero_point), ZERO_POINTS))
    out = tuple(a + n + b for n, (a, b) in zip(shape, pads, strict=True))
    op = ops.Pad(name="op", inputs=("x",), outputs=("y",), pads=pads, mode=mode, value=value)
    return one_op(op, _alike(params, x=shape, y=out))


def _alike(params: QuantParams, **shapes: Sequence[int]) -> list[Tensor]:
    return [Tensor(name, tuple(shape), DType.INT8, params) for name, shape in shapes.items()]


def _pool(kind: type[ops.AveragePool2D] | type[ops.MaxPool2D]) -> SearchStrategy[Graph]:
    @st.composite
    def strategy(draw: DrawFn) -> Graph:
        window, stride = (draw(st.integers(1, 5)), draw(st.integers(1, 5))), (draw(FEW), draw(FEW))
        size, out, padding = _geometry(draw, window, stride)
        batch, channels = draw(st.integers(1, 2)), draw(CHANNELS)
        params = quant(draw(SCALES), draw(ZERO_POINTS))
        tensors = _alike(params, x=(batch, *size, channels), y=(batch, *out, channels))
        op = kind(
            name="op",
            inputs=("x",),
            outputs=("y",),
            window=window,
            stride=stride,
            padding=padding,
            clamp=_clamp(draw, tensors[1]),
        )
        return one_op(op, tensors)

    return strategy()


@st.composite
def mean(draw: DrawFn) -> Graph:
    shape = _shape(draw, 2)
    axes = tuple(
        sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape))))
    )
    keep = draw(st.booleans())
    out = [1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes]
    x = tensor("x", shape, draw(SCALES), draw(ZERO_POINTS))
    y = tensor("y", out, x.scale * draw(RATIOS), draw(ZERO_POINTS))
    if draw(st.booleans()):
        y = Tensor("y", tuple(out), DType.INT8, x.quant)
    op = ops.Mean(name="op", inputs=("x",), outputs=("y",), axes=axes, keep_dims=keep)
    return one_op(op, [x, y])


@st.composite
def softmax(draw: DrawFn) -> Graph:
    shape = (*_shape(draw, 1, 3), draw(st.integers(1, 40)))
    scale = draw(st.floats(2**-12, 2.0, width=32))
    beta = draw(st.one_of(st.just(1.0), st.floats(0.125, 4.0, width=32)))
    x, y = tensor("x", shape, scale, draw(ZERO_POINTS)), tensor("y", shape, 1 / 256, -128)
    return one_op(ops.Softmax(name="op", inputs=("x",), outputs=("y",), beta=beta), [x, y])


def _unary(make: Callable[[DrawFn, Tensor], ops.Op]) -> SearchStrategy[Graph]:
    @st.composite
    def strategy(draw: DrawFn) -> Graph:
        shape = (draw(st.integers(1, 3)), 256)
        x = tensor("x", shape, draw(SCALES), draw(ZERO_POINTS))
        y = tensor("y", shape, x.scale * draw(RATIOS), draw(ZERO_POINTS))
        return one_op(make(draw, y), [x, y])

    return strategy()


def _of_fixed_output(kind: type[ops.Op], scale: float, zero_point: int) -> SearchStrategy[Graph]:
    @st.composite
    def strategy(draw: DrawFn) -> Graph:
        x = tensor("x", (2, 256), draw(SCALES), draw(ZERO_POINTS))
        y = tensor("y", (2, 256), scale, zero_point)
        return one_op(kind(name="op", inputs=("x",), outputs=("y",)), [x, y])

    return strategy()


def _leaky_relu(draw: DrawFn, y: Tensor) -> ops.Op:
    alpha = draw(st.floats(0.0, 2.0, width=32))
    return ops.LeakyRelu(name="op", inputs=("x",), outputs=("y",), alpha=alpha)


def _gelu(draw: DrawFn, y: Tensor) -> ops.Op:
    approximate = draw(st.booleans())
    return ops.Gelu(name="op", inputs=("x",), outputs=("y",), approximate=approximate)


def _hard_swish(draw: DrawFn, y: Tensor) -> ops.Op:
    return ops.HardSwish(name="op", inputs=("x",), outputs=("y",))


def _requantize(draw: DrawFn, y: Tensor) -> ops.Op:
    name = draw(ACTIVATIONS)
    return ops.Requantize(
        name="op",
        inputs=("x",),
        outputs=("y",),
        clamp=activation_range(name, y),
        float32_ratio=name != "NONE",
    )


@st.composite
def requantize_unsigned(draw: DrawFn) -> Graph:
    """QUANTIZE between int8 and uint8 in every combination."""
    tensors = []
    for name in ("x", "y"):
        dtype = draw(st.sampled_from((DType.INT8, DType.UINT8)))
        zero_point = draw(ZERO_POINTS) + (128 if dtype is DType.UINT8 else 0)
        tensors.append(tensor(name, (256,), draw(SCALES), zero_point, dtype))
    clamp = activation_range("NONE", tensors[1])
    op = ops.Requantize(name="op", inputs=("x",), outputs=("y",), clamp=clamp)
    return one_op(op, tensors)


@st.composite
def prelu(draw: DrawFn) -> Graph:
    shape = _shape(draw, 2)
    alpha_shape = _broadcastable(draw, shape)
    data = np.random.default_rng(draw(SEEDS)).integers(-128, 128, alpha_shape, np.int8)
    x = tensor("x", shape, draw(SCALES), draw(ZERO_POINTS))
    alpha = constant("alpha", data, quant(draw(SCALES) * 0.1, draw(ZERO_POINTS)))
    y = tensor("y", shape, x.scale * draw(RATIOS), draw(ZERO_POINTS))
    return one_op(ops.Prelu(name="op", inputs=("x", "alpha"), outputs=("y",)), [x, alpha, y])


@st.composite
def quantize(draw: DrawFn) -> Graph:
    dtype = draw(st.sampled_from((DType.INT8, DType.UINT8)))
    zero_point = draw(ZERO_POINTS) + (128 if dtype is DType.UINT8 else 0)
    shape = (2, 200)
    y = tensor("y", shape, draw(SCALES), zero_point, dtype)
    op = ops.Quantize(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [Tensor("x", shape, DType.FLOAT32), y])


@st.composite
def dequantize(draw: DrawFn) -> Graph:
    dtype = draw(st.sampled_from((DType.INT8, DType.UINT8)))
    zero_point = draw(ZERO_POINTS) + (128 if dtype is DType.UINT8 else 0)
    x = tensor("x", (2, 200), draw(SCALES), zero_point, dtype)
    op = ops.Dequantize(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [x, Tensor("y", x.shape, DType.FLOAT32)])


@st.composite
def reshape(draw: DrawFn) -> Graph:
    shape = _shape(draw)
    out = tuple(draw(st.permutations(shape)))
    if draw(st.booleans()):
        out = (prod(shape),)
    params = quant(draw(SCALES), draw(ZERO_POINTS))
    op = ops.Reshape(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, _alike(params, x=shape, y=out))


@st.composite
def transpose(draw: DrawFn) -> Graph:
    shape = _shape(draw, 2, 5)
    perm = tuple(draw(st.permutations(range(len(shape)))))
    params = quant(draw(SCALES), draw(ZERO_POINTS))
    op = ops.Transpose(name="op", inputs=("x",), outputs=("y",), perm=perm)
    return one_op(op, _alike(params, x=shape, y=[shape[axis] for axis in perm]))


@st.composite
def concatenation(draw: DrawFn) -> Graph:
    shape = _shape(draw)
    axis = draw(st.integers(0, len(shape) - 1))
    extents = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    shapes = {
        f"x{i}": (*shape[:axis], extent, *shape[axis + 1 :]) for i, extent in enumerate(extents)
    }
    out = (*shape[:axis], sum(extents), *shape[axis + 1 :])
    params = quant(draw(SCALES), draw(ZERO_POINTS))
    op = ops.Concatenation(name="op", inputs=tuple(shapes), outputs=("y",), axis=axis)
    return one_op(op, _alike(params, **shapes, y=out))


@st.composite
def split(draw: DrawFn) -> Graph:
    shape = _shape(draw)
    axis = draw(st.integers(0, len(shape) - 1))
    extents = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    shapes = {
        f"y{i}": (*shape[:axis], extent, *shape[axis + 1 :]) for i, extent in enumerate(extents)
    }
    whole = (*shape[:axis], sum(extents), *shape[axis + 1 :])
    params = quant(draw(SCALES), draw(ZERO_POINTS))
    op = ops.Split(name="op", inputs=("x",), outputs=tuple(shapes), axis=axis)
    return one_op(op, _alike(params, x=whole, **shapes))


@st.composite
def slice_(draw: DrawFn) -> Graph:
    shape = _shape(draw)
    begin, strides, out = [], [], []
    for extent in shape:
        stride = draw(st.sampled_from((1, 1, 2, 3, -1, -2)))
        first = draw(st.integers(0, extent - 1))
        room = (extent - 1 - first) if stride > 0 else first
        begin.append(first)
        strides.append(stride)
        out.append(draw(st.integers(1, room // abs(stride) + 1)))
    params = quant(draw(SCALES), draw(ZERO_POINTS))
    op = ops.Slice(
        name="op", inputs=("x",), outputs=("y",), begin=tuple(begin), strides=tuple(strides)
    )
    return one_op(op, _alike(params, x=shape, y=out))


def _resize(
    kind: type[ops.ResizeNearest] | type[ops.ResizeBilinear], modes: Sequence[tuple[bool, bool]]
) -> SearchStrategy[Graph]:
    @st.composite
    def strategy(draw: DrawFn) -> Graph:
        sizes = st.integers(1, 40)
        batch, channels = draw(st.integers(1, 2)), draw(FEW)
        size, out = (draw(sizes), draw(sizes)), (draw(sizes), draw(sizes))
        align_corners, half_pixel_centers = draw(st.sampled_from(modes))
        params = quant(draw(SCALES), draw(ZERO_POINTS))
        op = kind(
            name="op",
            inputs=("x",),
            outputs=("y",),
            align_corners=align_corners,
            half_pixel_centers=half_pixel_centers,
        )
        return one_op(op, _alike(params, x=(batch, *size, channels), y=(batch, *out, channels)))

    return strategy()


_RESIZE_MODES = ((False, False), (True, False), (False, True))

STRATEGIES: dict[str, SearchStrategy[Graph]] = {
    "Conv2D": conv2d(),
    "DepthwiseConv2D": depthwise_conv2d(),
    "TransposeConv2D": transpose_conv2d(),
    "FullyConnected": fully_connected(),
    "Add": _arithmetic(ops.Add),
    "Sub": _arithmetic(ops.Sub),
    "Mul": _arithmetic(ops.Mul),
    "BatchMatMul": _batch_matmul(),
    "Minimum": _extremum(ops.Minimum),
    "Maximum": _extremum(ops.Maximum),
    "Pad": pad(),
    "AveragePool2D": _pool(ops.AveragePool2D),
    "MaxPool2D": _pool(ops.MaxPool2D),
    "Mean": mean(),
    "Softmax": softmax(),
    "Logistic": _of_fixed_output(ops.Logistic, 1 / 256, -128),
    "Tanh": _of_fixed_output(ops.Tanh, 1 / 128, 0),
    "HardSwish": _unary(_hard_swish),
    "Gelu": _unary(_gelu),
    "LeakyRelu": _unary(_leaky_relu),
    "Prelu": prelu(),
    "Requantize": _unary(_requantize),
    "Quantize": quantize(),
    "Dequantize": dequantize(),
    "Reshape": reshape(),
    "Transpose": transpose(),
    "Concatenation": concatenation(),
    "Split": split(),
    "Slice": slice_(),
    "ResizeNearest": _resize(ops.ResizeNearest, (*_RESIZE_MODES, (True, True))),
    "ResizeBilinear": _resize(ops.ResizeBilinear, _RESIZE_MODES),
}
