"""Operators that compute each element from its counterparts, and those that convert types."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyvision.importer.site import QUANTIZE_HINT, Site
from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType, Tensor

Converter = Callable[[Site], list[Op]]


def addition(kind: type[ops.Add] | type[ops.Sub]) -> Converter:
    def convert(site: Site) -> list[Op]:
        site.count((2,))
        a, b, y = site.int8_input(0), site.int8_input(1), site.int8_output()
        # The factor after the sum must be below one, or TFLite aborts (add.cc, sub.cc).
        site.factor(2 * max(a.scale, b.scale) / ((1 << 20) * y.scale), limit=1.0)
        site.ignore("pot_scale_int16")  # of int16 only
        clamp = site.clamp(y)
        return [kind(name=site.name, inputs=(a.name, b.name), outputs=(y.name,), clamp=clamp)]

    return convert


def multiplication(site: Site) -> list[Op]:
    site.count((2,))
    a, b, y = site.int8_input(0), site.int8_input(1), site.int8_output()
    site.factor(_ratio32(a.scale, b.scale, y.scale))
    clamp = site.clamp(y)
    return [ops.Mul(name=site.name, inputs=(a.name, b.name), outputs=(y.name,), clamp=clamp)]


def batch_matmul(site: Site) -> list[Op]:
    """TFLite's kernel takes up to five axes."""
    site.count((2,))
    a, b, y = site.int8_input(0), site.int8_input(1), site.int8_output()
    for tensor in (a, b):
        if not 2 <= len(tensor.shape) <= 5:
            site.stop(f"an input has {len(tensor.shape)} axes, not 2 to 5", tensor.name)
    site.factor(float(np.float32(a.scale) * np.float32(b.scale)) / y.scale)
    site.ignore("asymmetric_quantize_inputs")  # of float inputs only
    return [
        ops.BatchMatMul(
            name=site.name,
            inputs=(a.name, b.name),
            outputs=(y.name,),
            adjoint_a=site.flag("adj_x"),
            adjoint_b=site.flag("adj_y"),
        )
    ]


def extremum(kind: type[ops.Minimum] | type[ops.Maximum]) -> Converter:
    """TFLite compares the integers, whatever the scales."""

    def convert(site: Site) -> list[Op]:
        site.count((2,))
        a, b, y = site.int8_input(0), site.int8_input(1), site.int8_output()
        site.quantized_alike(y, a, b)
        return [kind(name=site.name, inputs=(a.name, b.name), outputs=(y.name,))]

    return convert


def relu(activation: str) -> Converter:
    """RELU and its kin requantize and clamp (activations.cc, QuantizedReluX)."""

    def convert(site: Site) -> list[Op]:
        site.count((1,))
        x, y = site.int8_input(), site.int8_output()
        site.factor(x.scale / y.scale)
        clamp = site.clamp(y, activation)
        return [
            ops.Requantize(
                name=site.name,
                inputs=(x.name,),
                outputs=(y.name,),
                clamp=clamp,
                float32_ratio=True,
            )
        ]

    return convert


def quantize(site: Site) -> list[Op]:
    """From float32, or between integers."""
    site.count((1,))
    x, y = site.input(0), site.output()
    _quantized_bytes(site, y)
    if x.dtype is DType.FLOAT32:
        return [ops.Quantize(name=site.name, inputs=(x.name,), outputs=(y.name,))]
    _quantized_bytes(site, x)
    site.factor(x.scale / y.scale)
    clamp = dtype_clamp(y.dtype)
    return [ops.Requantize(name=site.name, inputs=(x.name,), outputs=(y.name,), clamp=clamp)]


def dequantize(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.input(0), site.output()
    _quantized_bytes(site, x)
    if y.dtype is not DType.FLOAT32:
        site.stop(f"its output is {y.dtype.value}, not float32", y.name)
    return [ops.Dequantize(name=site.name, inputs=(x.name,), outputs=(y.name,))]


def softmax(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.int8_input(), site.int8_output()
    if not x.shape:
        site.stop("its input is a scalar", x.name)
    beta = site.real("beta")
    # The multiplier of the differences must exceed one, or TFLite aborts (softmax.cc).
    if not beta * x.scale * (1 << 26) > 1:
        site.refuse(f"beta = {beta:g} with the input's scale {x.scale:g} is too small", x.name)
    if x.shape[-1] > 4095:
        # Each exponential is at most 1, and their sum has 12 integer bits (reference/softmax.h).
        site.refuse(f"it is over {x.shape[-1]} values, whose sum overflows", x.name)
    _fixed_scale(site, y, 1 / 256, -128)
    return [ops.Softmax(name=site.name, inputs=(x.name,), outputs=(y.name,), beta=beta)]


def logistic(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.int8_input(), site.int8_output()
    _fixed_scale(site, y, 1 / 256, -128)
    return [ops.Logistic(name=site.name, inputs=(x.name,), outputs=(y.name,))]


def tanh(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.int8_input(), site.int8_output()
    _fixed_scale(site, y, 1 / 128, 0)
    return [ops.Tanh(name=site.name, inputs=(x.name,), outputs=(y.name,))]


def hard_swish(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.int8_input(), site.int8_output()
    # TFLite wants a factor that shifts right (activations.cc, HardSwishPrepare).
    site.factor(_ratio32(1 / 128, x.scale, y.scale), limit=1.0)
    return [ops.HardSwish(name=site.name, inputs=(x.name,), outputs=(y.name,))]


def gelu(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.int8_input(), site.int8_output()
    approximate = site.flag("approximate")
    return [ops.Gelu(name=site.name, inputs=(x.name,), outputs=(y.name,), approximate=approximate)]


def leaky_relu(site: Site) -> list[Op]:
    site.count((1,))
    x, y = site.int8_input(), site.int8_output()
    alpha = site.real("alpha")
    if alpha < 0:
        site.refuse(f"its option alpha = {alpha:g} is negative")
    else:
        site.factor(_ratio32(x.scale, alpha, y.scale))
    site.factor(_ratio32(x.scale, 1.0, y.scale))
    return [ops.LeakyRelu(name=site.name, inputs=(x.name,), outputs=(y.name,), alpha=alpha)]


def prelu(site: Site) -> list[Op]:
    site.count((2,))
    x, alpha, y = site.int8_input(0), site.int8_input(1), site.int8_output()
    if alpha.data is None:
        site.refuse("its alpha is computed at run time", alpha.name)
    site.factor(_ratio32(x.scale, alpha.scale, y.scale))
    site.factor(_ratio32(x.scale, 1.0, y.scale))
    return [ops.Prelu(name=site.name, inputs=(x.name, alpha.name), outputs=(y.name,))]


def _quantized_bytes(site: Site, tensor: Tensor) -> None:
    if tensor.dtype not in (DType.INT8, DType.UINT8):
        site.stop(f"{tensor.dtype.value} is not supported here", tensor.name, QUANTIZE_HINT)
    site.per_tensor(tensor)


def _fixed_scale(site: Site, y: Tensor, scale: float, zero_point: int) -> None:
    """TFLite fixes the output's quantization of operators with a bounded range."""
    if (y.scale, y.zero_point) != (scale, zero_point):
        site.refuse(
            f"its output has scale {y.scale:g} and zero point {y.zero_point}, "
            f"not {scale:g} and {zero_point}",
            y.name,
        )


def _ratio32(a: float, b: float, c: float) -> float:
    """``a * b / c`` in float32 as TFLite computes it; infinite where that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(a) * np.float32(b) / np.float32(c))
