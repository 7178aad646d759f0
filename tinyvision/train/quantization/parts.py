"""Keras layers with weights as parts that batch norm can be folded into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyvision.ir.types import Array
from tinyvision.train.quantization.graph import Value
from tinyvision.train.quantization.layers import (
    QuantConv2D,
    QuantDense,
    QuantDepthwiseConv2D,
    Weighted,
)


@dataclass(frozen=True)
class Part:
    """A layer with weights before it is made; ``kernel`` in Keras' layout."""

    kind: type[Weighted]
    options: dict[str, Any]
    kernel: Array
    bias: Array
    activation: str = "linear"

    @property
    def channels(self) -> int:
        """Of the output."""
        return len(self.bias)

    def scaled(self, scale: Array, shift: Array) -> Part:
        """Followed by a multiplication and an addition for each output channel."""
        axes = self.kind.axes
        shape = [n if axis in axes else 1 for axis, n in enumerate(self.kernel.shape)]
        kernel = self.kernel * scale.reshape(shape)
        return replace(self, kernel=kernel, bias=self.bias * scale + shift)

    def make(self, name: str) -> Weighted:
        layer = self.kind(self.options, self.activation, name=name)
        inputs = 0 if self.kind is QuantDense else 2
        layer.build((self.kernel.shape[inputs] * self.options.get("groups", 1),))
        layer.assign(self.kernel, self.bias)
        return layer


OPTIONS: dict[str, Any] = {"strides": (1, 1), "padding": "valid", "dilation_rate": (1, 1)}


def _options(layer: Any, *more: str) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in (*OPTIONS, "kernel_size", *more)}


def _weights(kernel: Any, bias: Any, channels: int) -> tuple[Array, Array]:
    """In double, so that folding is exact to the last bit of a float32."""
    offset = np.zeros(channels) if bias is None else np.asarray(bias, np.float64)
    return np.asarray(kernel, np.float64), offset


def _conv(layer: Any, _: Value) -> list[Part]:
    weights = _weights(layer.kernel, layer.bias, layer.filters)
    return [Part(QuantConv2D, _options(layer, "filters", "groups"), *weights)]


def _depthwise(layer: Any, _: Value) -> list[Part]:
    kernel = layer.kernel
    weights = _weights(kernel, layer.bias, kernel.shape[2] * kernel.shape[3])
    return [Part(QuantDepthwiseConv2D, _options(layer, "depth_multiplier"), *weights)]


def _dense(layer: Any, x: Value) -> list[Part]:
    kernel, bias = _weights(layer.kernel, layer.bias, layer.units)
    if len(x.shape) == 4:
        options = OPTIONS | {"kernel_size": (1, 1), "filters": layer.units, "groups": 1}
        return [Part(QuantConv2D, options, kernel[None, None], bias)]
    return [Part(QuantDense, {"units": layer.units}, kernel, bias)]


def _separable(layer: Any, _: Value) -> list[Part]:
    spatial = layer.depthwise_kernel
    first = _weights(spatial, None, spatial.shape[2] * spatial.shape[3])
    last = _weights(layer.pointwise_kernel, layer.bias, layer.filters)
    options = OPTIONS | {"kernel_size": (1, 1), "filters": layer.filters, "groups": 1}
    return [
        Part(QuantDepthwiseConv2D, _options(layer, "depth_multiplier"), *first),
        Part(QuantConv2D, options, *last),
    ]


WEIGHTED: dict[str, Callable[[Any, Value], list[Part]]] = {
    "Conv2D": _conv, "DepthwiseConv2D": _depthwise, "Dense": _dense,
    "SeparableConv2D": _separable,
}  # fmt: skip


def affine(norm: Any) -> tuple[Array, Array]:
    """Factor and addend by channel of a batch norm with its moving statistics."""
    mean, variance = (np.asarray(v, np.float64) for v in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    shift = -mean * scale
    return scale, shift + np.asarray(norm.beta, np.float64) if norm.center else shift
