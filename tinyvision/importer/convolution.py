"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED."""

from __future__ import annotations

from math import prod

import numpy as np

from tinyvision.importer import schema
from tinyvision.importer.site import QUANTIZE_HINT, Site
from tinyvision.ir import ops
from tinyvision.ir.ops import Op, Padding
from tinyvision.ir.shapes import window_outputs
from tinyvision.ir.types import DType, QuantParams, Tensor

MAX_STEP = 1 << 15
BIAS_TYPES = ("FLOAT32", "INT32")  # FLOAT32, the default, means "not stated"


def convolution(site: Site) -> list[Op]:
    """Groups follow from the channels, as in TFLite."""
    site.count((2, 3))
    x, y = site.int8_input(), site.int8_output()
    weights = _weights(site, 1, x, rank=4, axis=0)
    bias = _bias(site, 2, x, weights, channels=weights.shape[0])
    stride, dilation = spatial_step(site, "stride"), _dilation(site)
    padding = window_padding(site, x, weights.shape[1:3], stride, dilation)
    clamp = site.clamp(y)
    _bias_type(site)
    _factors(site, x, weights, y)
    return [
        ops.Conv2D(
            name=site.name,
            inputs=(x.name, weights.name, bias.name),
            outputs=(y.name,),
            stride=stride,
            dilation=dilation,
            padding=padding,
            clamp=clamp,
        )
    ]


def depthwise(site: Site) -> list[Op]:
    """TFLite takes the multiplier from the shapes; an option that contradicts them is refused."""
    site.count((2, 3))
    x, y = site.int8_input(), site.int8_output()
    weights = _weights(site, 1, x, rank=4, axis=3)
    channels = weights.shape[3]
    bias = _bias(site, 2, x, weights, channels)
    stride, dilation = spatial_step(site, "stride"), _dilation(site)
    padding = window_padding(site, x, weights.shape[1:3], stride, dilation)
    if channels % x.shape[3]:
        site.stop(f"{channels} output channels are no multiple of {x.shape[3]} input channels")
    multiplier = channels // x.shape[3]
    stated = site.option("depth_multiplier")
    if stated not in (0, multiplier):
        site.refuse(f"its option depth_multiplier = {stated} contradicts the shapes ({multiplier})")
    clamp = site.clamp(y)
    _factors(site, x, weights, y)
    return [
        ops.DepthwiseConv2D(
            name=site.name,
            inputs=(x.name, weights.name, bias.name),
            outputs=(y.name,),
            multiplier=multiplier,
            stride=stride,
            dilation=dilation,
            padding=padding,
            clamp=clamp,
        )
    ]


def transpose_convolution(site: Site) -> list[Op]:
    """The padding is that of the convolution from the output's size to the input's; where the
    kernel is smaller than the stride, the crop at the end is negative: rows that only the bias
    reaches.
    """
    site.count((3, 4))
    x, y = site.int8_input(2), site.int8_output()
    weights = _weights(site, 1, x, rank=4, axis=0)
    bias = _bias(site, 3, x, weights, channels=weights.shape[0])
    if site.integer_list(0, "output sizes", 4) != y.shape:
        site.stop("its output shape is not that of the output", y.name)
    if len(x.shape) != 4:
        site.stop(f"its input must have four axes, not the shape {x.shape}", x.name)
    stride = spatial_step(site, "stride")
    backward = window_padding(site, y, weights.shape[1:3], stride, (1, 1))
    sides = ((backward.top, backward.bottom), (backward.left, backward.right))
    crops = []
    for axis, (before, after) in enumerate(sides):
        size, window = y.shape[1 + axis], weights.shape[1 + axis]
        if window_outputs(size, window, stride[axis], before, after) != x.shape[1 + axis]:
            site.stop(
                f"its padding does not make {size} outputs of {x.shape[1 + axis]} inputs with "
                f"stride {stride[axis]} and a window of {window}",
                y.name,
            )
        full = (x.shape[1 + axis] - 1) * stride[axis] + window
        crops += [before, full - before - size]
    clamp = site.clamp(y)
    _bias_type(site)
    _factors(site, x, weights, y)
    return [
        ops.TransposeConv2D(
            name=site.name,
            inputs=(x.name, weights.name, bias.name),
            outputs=(y.name,),
            stride=stride,
            padding=Padding(*crops),
            clamp=clamp,
        )
    ]


def fully_connected(site: Site) -> list[Op]:
    site.count((2, 3))
    x, y = site.int8_input(), site.int8_output()
    weights = _weights(site, 1, x, rank=2, axis=0)
    outputs, columns = weights.shape
    bias = _bias(site, 2, x, weights, outputs)
    format_name = site.choice("weights_format", schema.WEIGHTS_FORMATS)
    if format_name != "DEFAULT":
        site.refuse(f"its option weights_format = {format_name} is not supported")
    if prod(x.shape) % columns:
        site.stop(f"an input of shape {x.shape} does not divide into rows of {columns}", x.name)
    shape: tuple[int, ...] = (prod(x.shape) // columns, outputs)
    if site.flag("keep_num_dims"):
        if x.shape[-1] != columns:
            site.stop(f"keep_num_dims needs a last axis of {columns}", x.name)
        shape = (*x.shape[:-1], outputs)
    y = site.shaped(y, shape)
    assert weights.quant is not None
    if len(weights.quant.scales) > 1 and len(y.shape) != 2:
        # TFLite 2.14's kernel leaves a part of such an output unwritten.
        site.refuse("a scale per channel with an output of more than two axes is not supported")
    _bias_scale(site, x, weights, bias, y)
    # How a float input would be quantized at run time: hybrid operators are refused above.
    site.ignore("asymmetric_quantize_inputs")
    clamp = site.clamp(y)
    _bias_type(site)
    _factors(site, x, weights, y)
    return [
        ops.FullyConnected(
            name=site.name,
            inputs=(x.name, weights.name, bias.name),
            outputs=(y.name,),
            clamp=clamp,
        )
    ]


def spatial_step(site: Site, name: str, names: tuple[str, str] | None = None) -> tuple[int, int]:
    """(height, width) of a stride, a window or a dilation."""
    high, wide = names or (f"{name}_h", f"{name}_w")
    steps = site.option(high), site.option(wide)
    if not all(1 <= step < MAX_STEP for step in steps):
        site.stop(f"its {name} of {steps[0]}x{steps[1]} is out of range")
    return steps


def window_padding(
    site: Site,
    x: Tensor,
    window: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Padding:
    """Source: TFLite kernels/padding.h, ComputePaddingHeightWidth: what is odd goes to the end."""
    if len(x.shape) != 4:
        site.stop(f"its input must have four axes, not the shape {x.shape}", x.name)
    same = site.choice("padding", schema.PADDINGS) == "SAME"
    sides = []
    for axis in range(2):
        size = x.shape[1 + axis]
        reach = (window[axis] - 1) * dilation[axis] + 1
        if reach > MAX_STEP:
            site.stop(f"its window reaches over {reach} elements, at most {MAX_STEP} are supported")
        positions = -(-size // stride[axis])
        total = max(0, (positions - 1) * stride[axis] + reach - size) if same else 0
        sides += [total // 2, total - total // 2]
    return Padding(*sides)


def _dilation(site: Site) -> tuple[int, int]:
    return spatial_step(site, "dilation", ("dilation_h_factor", "dilation_w_factor"))


def _weights(site: Site, position: int, x: Tensor, rank: int, axis: int) -> Tensor:
    """Constant int8 with zero point 0, one scale or one for each index of ``axis``."""
    weights = site.input(position)
    if weights.dtype is not DType.INT8:
        site.stop(f"its weights are {weights.dtype.value}, not int8", weights.name, QUANTIZE_HINT)
    if weights.data is None:
        site.stop("its weights are computed at run time", weights.name)
    if len(weights.shape) != rank:
        site.stop(f"its weights must have {rank} axes, not {weights.shape}", weights.name)
    if weights.quant is None:
        site.stop("its weights are not quantized", weights.name, QUANTIZE_HINT)
    if len(weights.quant.scales) > 1 and weights.quant.axis != axis:
        site.refuse(
            f"its weights have a scale for each index of axis {weights.quant.axis}, not {axis}",
            weights.name,
        )
    if any(weights.quant.zero_points):
        site.refuse(
            "its weights have a zero point other than 0",
            weights.name,
            "int8 weights are symmetric in TFLite's specification.",
        )
    return weights


def _bias(site: Site, position: int, x: Tensor, weights: Tensor, channels: int) -> Tensor:
    """The bias, or zeros where the file has none."""
    assert weights.quant is not None
    if not site.has(position):
        scales = tuple(x.scale * scale for scale in weights.quant.scales)
        axis = 0 if len(scales) > 1 else None
        quant = QuantParams(scales, (0,) * len(scales), axis)
        zeros = np.zeros(channels, np.int32)
        return site.add_tensor(Tensor(f"{site.name}_bias", (channels,), DType.INT32, quant, zeros))
    bias = site.input(position)
    if bias.dtype is not DType.INT32:
        # TFLite has int64 biases with int16 activations only.
        site.stop(f"its bias is {bias.dtype.value}, not int32", bias.name)
    if bias.data is None:
        site.stop("its bias is computed at run time", bias.name)
    if bias.quant is not None and any(bias.quant.zero_points):
        site.refuse("its bias has a zero point other than 0", bias.name)
    if bias.shape != (channels,):
        site.stop(f"its bias has the shape {bias.shape}, not ({channels},)", bias.name)
    return bias


def _bias_scale(site: Site, x: Tensor, weights: Tensor, bias: Tensor, y: Tensor) -> None:
    """The check of TFLite's GetQuantizedConvolutionMultipler, without which it does not run."""
    assert weights.quant is not None
    if bias.quant is None or len(weights.quant.scales) != 1 or len(bias.quant.scales) != 1:
        return
    product = float(np.float32(x.scale) * np.float32(weights.quant.scale))
    if abs(product - bias.quant.scale) / y.scale > 0.02:
        site.refuse(
            f"its bias has the scale {bias.quant.scale:g}, input and weights give {product:g}",
            bias.name,
        )


def _bias_type(site: Site) -> None:
    """The option says what the bias tensor says already."""
    number = site.option("quantized_bias_type")
    name = schema.tensor_type_name(number)
    if name not in BIAS_TYPES:
        site.refuse(f"its option quantized_bias_type = {name} is not supported")


def _factors(site: Site, x: Tensor, weights: Tensor, y: Tensor) -> None:
    assert weights.quant is not None
    site.factor(x.scale * max(weights.quant.scales) / y.scale)
