"""The integer parameters of every quantized operator, derived from scales exactly as TFLite does.

Reference and code generator both take their integers from here, so that neither recomputes one.
What is float32 in TFLite is float32 here: the last bit of a multiplier decides rounding. A scale
is a float32 value held in a Python float. The source file named at each function is one of
TensorFlow Lite 2.14, below ``tensorflow/lite/kernels``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import INT32_MAX, quantize_multiplier, round_half_away
from tinyvision.ir.ops import (
    Add,
    AveragePool2D,
    BatchMatMul,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    HardSwish,
    LeakyRelu,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Prelu,
    Requantize,
    ResizeBilinear,
    ResizeNearest,
    Softmax,
    Sub,
    TransposeConv2D,
)
from tinyvision.ir.types import DType, Tensor

WeightedOp = Conv2D | DepthwiseConv2D | TransposeConv2D | FullyConnected


@dataclass(frozen=True)
class Requant:
    """A positive real factor: ``multiplier * 2**(shift - 31)``, applied with double rounding
    (``numerics.multiply_by_quantized_multiplier``).
    """

    multiplier: int
    shift: int


@dataclass(frozen=True)
class ChannelRequant:
    """One factor for each output channel, also where all of them are equal.

    ``input_zero_point`` and ``weights_zero_point`` are subtracted from the operands (the latter is
    zero except for FullyConnected), ``output_zero_point`` is added after requantization.
    """

    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    input_zero_point: int
    weights_zero_point: int
    output_zero_point: int


@dataclass(frozen=True)
class AddParams:
    """``(a - a_zero_point) << left_shift`` times ``a``, plus (or less) the same of b; the sum times
    ``output``, plus ``output_zero_point``. No factor shifts left.
    """

    left_shift: int
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    a: Requant
    b: Requant
    output: Requant


@dataclass(frozen=True)
class MulParams:
    """``(a - a_zero_point) * (b - b_zero_point)`` times ``output``, plus ``output_zero_point``."""

    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    output: Requant


@dataclass(frozen=True)
class RequantizeParams:
    """``(x - input_zero_point)`` times ``output``, plus ``output_zero_point``."""

    input_zero_point: int
    output_zero_point: int
    output: Requant


@dataclass(frozen=True)
class LeakyReluParams:
    """``x - input_zero_point`` times ``positive`` where it is >= 0, times ``negative`` elsewhere.

    Plus ``output_zero_point``.
    """

    input_zero_point: int
    output_zero_point: int
    positive: Requant
    negative: Requant


@dataclass(frozen=True)
class PreluParams:
    """Like LeakyReluParams; a negative ``x - input_zero_point`` is first multiplied by
    ``alpha - alpha_zero_point``.
    """

    input_zero_point: int
    alpha_zero_point: int
    output_zero_point: int
    positive: Requant
    negative: Requant


@dataclass(frozen=True)
class MeanParams:
    """``count`` values are summed less ``input_zero_point`` each, the sum multiplied by
    ``output``, the division by ``count`` included, plus ``output_zero_point``.
    """

    count: int
    input_zero_point: int
    output_zero_point: int
    output: Requant


@dataclass(frozen=True)
class SoftmaxParams:
    """``(x - max) << left_shift`` times ``multiplier * 2**-31`` has 5 integer bits; differences
    below ``diff_min`` count as nothing.
    """

    multiplier: int
    left_shift: int
    diff_min: int


@dataclass(frozen=True)
class HardSwishParams:
    """16-bit multipliers (15 fractional bits) and exponents (positive: left) of HardSwish."""

    input_zero_point: int
    output_zero_point: int
    output_multiplier: int
    output_exponent: int
    reluish_multiplier: int
    reluish_exponent: int


@dataclass(frozen=True)
class Interpolation:
    """For each output index along one axis: the two input indices it lies between and the weight
    of ``high`` in 1024ths (``low`` has 1024 less that; both may leave [0, 1024] at the border,
    where low == high).
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    weight: tuple[int, ...]


def dtype_clamp(dtype: DType) -> Clamp:
    """The range of an integer element type."""
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def conv_requant(graph: Graph, op: WeightedOp) -> ChannelRequant:
    """input scale * weight scale / output scale for each output channel.

    In double (kernel_util.cc, PopulateConvolutionQuantizationParams), except that a FullyConnected
    with one weight scale multiplies the two scales in float32 (GetQuantizedConvolutionMultipler).
    That one alone heeds the weights' zero point; elsewhere it has to be 0. (TFLite 2.14's reference
    FullyConnected with one scale for each channel takes the first two axes of its output for rows
    and channels: of an output of more axes it leaves most unwritten. Here it means the same as with
    two axes.)
    """
    x, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    y = graph.tensor(op.outputs[0])
    if weights.quant is None:
        raise ValueError(f"weights {weights.name!r} are not quantized")
    channels = weights.shape[3] if isinstance(op, DepthwiseConv2D) else weights.shape[0]
    scales = weights.quant.scales
    single_fully_connected = isinstance(op, FullyConnected) and len(scales) == 1
    products = [x.scale * scale for scale in scales]
    if single_fully_connected:
        products = [float(np.float32(x.scale) * np.float32(scales[0]))]
    if len(products) == 1:
        products *= channels
    pairs = [quantize_multiplier(product / y.scale) for product in products]
    return ChannelRequant(
        multipliers=tuple(multiplier for multiplier, _ in pairs),
        shifts=tuple(shift for _, shift in pairs),
        input_zero_point=x.zero_point,
        weights_zero_point=weights.quant.zero_point if single_fully_connected else 0,
        output_zero_point=y.zero_point,
    )


def add_params(graph: Graph, op: Add | Sub) -> AddParams:
    """Both operands are brought to twice the larger scale with 20 extra bits (add.cc, sub.cc)."""
    left_shift = 20
    a, b = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    y = graph.tensor(op.outputs[0])
    twice_max = 2 * max(a.scale, b.scale)
    return AddParams(
        left_shift=left_shift,
        a_zero_point=a.zero_point,
        b_zero_point=b.zero_point,
        output_zero_point=y.zero_point,
        a=_requant(a.scale / twice_max),
        b=_requant(b.scale / twice_max),
        output=_requant(twice_max / ((1 << left_shift) * y.scale)),
    )


def mul_params(graph: Graph, op: Mul) -> MulParams:
    """mul.cc: the real multiplier is computed in float32."""
    a, b = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    y = graph.tensor(op.outputs[0])
    real = np.float32(a.scale) * np.float32(b.scale) / np.float32(y.scale)
    return MulParams(a.zero_point, b.zero_point, y.zero_point, _requant(float(real)))


def batch_matmul_params(graph: Graph, op: BatchMatMul) -> MulParams:
    """batch_matmul.cc: the product of the scales in float32, the rest in double
    (GetQuantizedConvolutionMultipler).
    """
    a, b = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    y = graph.tensor(op.outputs[0])
    real = float(np.float32(a.scale) * np.float32(b.scale)) / y.scale
    return MulParams(a.zero_point, b.zero_point, y.zero_point, _requant(real))


def requantize_params(graph: Graph, op: Requantize) -> RequantizeParams:
    """The ratio of the scales, in double (quantize.cc) or float32 (activations.cc,
    ReluPrepare).
    """
    x, y = _unary(graph, op)
    ratio = _ratio32(x.scale, y.scale) if op.float32_ratio else x.scale / y.scale
    return RequantizeParams(x.zero_point, y.zero_point, _requant(ratio))


def leaky_relu_params(graph: Graph, op: LeakyRelu) -> LeakyReluParams:
    """activations.cc, LeakyReluPrepare: both factors in float32."""
    x, y = _unary(graph, op)
    negative = np.float32(x.scale) * np.float32(op.alpha) / np.float32(y.scale)
    return LeakyReluParams(
        x.zero_point,
        y.zero_point,
        _requant(_ratio32(x.scale, y.scale)),
        _requant(float(negative)),
    )


def prelu_params(graph: Graph, op: Prelu) -> PreluParams:
    """activations.cc, PreluPrepare: both factors in float32."""
    x, alpha = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    y = graph.tensor(op.outputs[0])
    negative = np.float32(x.scale) * np.float32(alpha.scale) / np.float32(y.scale)
    return PreluParams(
        x.zero_point,
        alpha.zero_point,
        y.zero_point,
        _requant(_ratio32(x.scale, y.scale)),
        _requant(float(negative)),
    )


def mean_params(graph: Graph, op: Mean) -> MeanParams:
    """reduce.cc and internal/reference/reduce.h, QuantizedMeanOrSum: the division by the number of
    elements is folded into the multiplier, truncating.
    """
    x, y = _unary(graph, op)
    count = 1
    for axis in op.axes:
        count *= x.shape[axis]
    multiplier, shift = quantize_multiplier(x.scale / y.scale)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    output = Requant((multiplier << extra) // count, shift - extra)
    return MeanParams(count, x.zero_point, y.zero_point, output)


def softmax_params(graph: Graph, op: Softmax) -> SoftmaxParams:
    """internal/quantization_util.cc, PreprocessSoftmaxScaling and CalculateInputRadius."""
    integer_bits = 5
    scale = graph.tensor(op.inputs[0]).scale
    beta = float(np.float32(op.beta))
    real = min(beta * scale * (1 << (31 - integer_bits)), float(INT32_MAX))
    multiplier, left_shift = quantize_multiplier(real)
    radius = ((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / (1 << left_shift)
    return SoftmaxParams(multiplier, left_shift, -floor(radius))


def hard_swish_params(graph: Graph, op: HardSwish) -> HardSwishParams:
    """activations.cc, HardSwishPrepare: float32 throughout, then 16-bit multipliers."""
    x, y = _unary(graph, op)
    hires = np.float32(1 / 128) * np.float32(x.scale)
    output, output_exponent = quantize_multiplier(float(hires / np.float32(y.scale)))
    reluish_scale = np.float32(3) / np.float32(32768)
    reluish, reluish_exponent = quantize_multiplier(float(hires / reluish_scale))
    return HardSwishParams(
        x.zero_point,
        y.zero_point,
        _to_int16(output),
        output_exponent,
        _to_int16(reluish),
        reluish_exponent,
    )


def nearest_indices(size: int, output_size: int, op: ResizeNearest) -> tuple[int, ...]:
    """The input index that each output index along one axis takes.

    Source: internal/reference/resize_nearest_neighbor.h; float32.
    """
    index = np.arange(output_size, dtype=np.float32)
    scale = _resize_scale(size, output_size, op.align_corners)
    position = (index + np.float32(0.5 if op.half_pixel_centers else 0)) * scale
    chosen = round_half_away(position) if op.align_corners else np.floor(position)
    return tuple(int(i) for i in np.clip(chosen.astype(np.int64), 0, size - 1))


def interpolation(size: int, output_size: int, op: ResizeBilinear) -> Interpolation:
    """Positions in 1024ths of an input element (internal/reference/resize_bilinear.h,
    ResizeBilinearInteger; divisions truncate).

    The rounded step can lead past the input's end where it is enlarged to more than a thousand
    elements; TFLite reads beyond its buffer there, here the last element is repeated.
    """
    one = 1 << 10
    if op.align_corners and output_size > 1:
        scale = ((size - 1) * one + (output_size - 1) // 2) // (output_size - 1)
    else:
        scale = (size * one + output_size // 2) // output_size
    offset = scale // 2 - one // 2 if op.half_pixel_centers else 0
    positions = [index * scale + offset for index in range(output_size)]
    low = [min(max(int(position / one), 0), size - 1) for position in positions]
    high = [min(int((position + one - 1) / one), size - 1) for position in positions]
    return Interpolation(
        tuple(low),
        tuple(high),
        tuple(position - one * i for position, i in zip(positions, low, strict=True)),
    )


def window_spans(
    size: int, output_size: int, op: AveragePool2D | MaxPool2D, axis: int
) -> tuple[tuple[int, int], ...]:
    """For each output row (``axis`` 0) or column (1): first input index of the window inside the
    input and the number of them.
    """
    window, stride = op.window[axis], op.stride[axis]
    before = (op.padding.top, op.padding.left)[axis]
    spans = []
    for index in range(output_size):
        start = index * stride - before
        first, last = max(start, 0), min(start + window, size)
        spans.append((first, max(last - first, 0)))
    return tuple(spans)


def _unary(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    return graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])


def _requant(real: float) -> Requant:
    return Requant(*quantize_multiplier(real))


def _ratio32(a: float, b: float) -> float:
    return float(np.float32(a) / np.float32(b))


def _to_int16(multiplier: int) -> int:
    """DownScaleInt32ToInt16Multiplier: the 16 high bits, rounded and saturated."""
    return min((multiplier + (1 << 15)) >> 16, 32767)


def _resize_scale(size: int, output_size: int, align_corners: bool) -> np.float32:
    if align_corners and output_size > 1:
        return np.float32(size - 1) / np.float32(output_size - 1)
    return np.float32(size) / np.float32(output_size)
