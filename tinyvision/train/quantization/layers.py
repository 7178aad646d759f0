"""Keras layers that compute in float32 what the int8 network computes in integers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tinyvision.ir.types import Array

STEPS = 255
ACTIVATIONS = ("linear", "relu", "relu6")
"""What a ``.tflite`` convolution, fully connected or addition can do to its output."""


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _fake_quantize(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, log_scale: tf.Tensor) -> Any:
    """``x`` on the 256 steps of the range ``(low, high) * exp(log_scale)``, with the gradient of
    its step size (Esser et al., Learned Step Size Quantization, section 2; in the logarithm as
    Jain et al., Trained Quantization Thresholds, section 3.2): what rounding and clipping did.
    """
    scale = tf.exp(log_scale)
    low, high = low * scale, high * scale
    y = tf.quantization.fake_quant_with_min_max_vars(x, low, high)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        inside = tf.cast((x >= low) & (x <= high), x.dtype)
        pull = tf.reduce_sum(upstream * (y - inside * x))
        damping = tf.math.rsqrt(tf.cast(tf.size(x), x.dtype) * STEPS / 2)
        return upstream * inside, None, None, pull * damping

    return y, gradient


@keras.saving.register_keras_serializable("tinyvision")
class Range(keras.layers.Layer):  # type: ignore[misc]
    """Puts a tensor on the steps of an int8 tensor.

    The zero point is the one given by ``assign``; the scale is learnt with it fixed, unless
    ``fixed``. One instance called on several tensors makes them share their quantization.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0, fixed: bool = False, **kwargs: Any):
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self.fixed = fixed
        self.initial = (low, high)

    def build(self, input_shape: Any = None) -> None:
        low, high = nudged(*self.initial)
        self.low = self.add_weight(shape=(), initializer=_constant(low), trainable=False)
        self.high = self.add_weight(shape=(), initializer=_constant(high), trainable=False)
        self.log_scale = self.add_weight(
            shape=(), initializer="zeros", trainable=not self.fixed, name="log_scale"
        )

    def call(self, x: Any) -> Any:
        # A copy each: a custom gradient wants to be given tensors, not variables.
        state = (tf.identity(v.value) for v in (self.low, self.high, self.log_scale))
        return _fake_quantize(x, *state)

    def assign(self, low: float, high: float) -> None:
        """Sets the range, widened and shifted such that zero is one of its steps."""
        low, high = nudged(low, high)
        self.low.assign(low)
        self.high.assign(high)
        self.log_scale.assign(0.0)

    def limits(self) -> tuple[float, float]:
        """The real values of -128 and 127, as learnt."""
        scale = np.exp(np.float64(self.log_scale.numpy()))
        return float(self.low.numpy() * scale), float(self.high.numpy() * scale)

    def quantization(self) -> tuple[float, int]:
        """Scale and zero point."""
        low, high = self.limits()
        scale = (high - low) / STEPS
        return scale, round(-128 - low / scale)

    def get_config(self) -> dict[str, Any]:
        low, high = self.initial
        return {**super().get_config(), "low": low, "high": high, "fixed": self.fixed}


def nudged(low: float, high: float) -> tuple[float, float]:
    """The range that holds zero, is not empty, and has zero on one of its 256 steps."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-6:
        high = low + 1e-6
    scale = (high - low) / STEPS
    below = round(-low / scale)  # half to even: no range is that exact
    return -below * scale, (STEPS - below) * scale


def _constant(value: float) -> keras.initializers.Initializer:
    return keras.initializers.Constant(value)


class Weighted(keras.layers.Layer):  # type: ignore[misc]
    """A convolution or fully connected layer with batch norm folded into it, quantized weights
    (by output channel, symmetric, -127 to 127) and a fused activation.

    Trains ``kernel`` and ``bias`` in units of ``gain``, the largest weight of each output channel
    at the start: channels of any magnitude learn alike.
    """

    axes: tuple[int, ...]
    """Axes of the kernel that make up the output channels."""

    def __init__(self, options: dict[str, Any], activation: str = "linear", **kwargs: Any):
        super().__init__(**(kwargs | {"dtype": "float32"}))
        if activation not in ACTIVATIONS:
            raise ValueError(f"{activation} cannot be fused")
        self.options: dict[str, Any] = {  # a file holds tuples as lists
            name: tuple(value) if isinstance(value, list) else value
            for name, value in options.items()
        }
        self.activation = activation

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        raise NotImplementedError

    def linear(self, x: Any, kernel: Any) -> Any:
        raise NotImplementedError

    def build(self, input_shape: tuple[int, ...]) -> None:
        """``input_shape`` ends with the number of channels; the rest does not matter."""
        kernel = self.kernel_shape(input_shape[-1])
        gain = [size if axis in self.axes else 1 for axis, size in enumerate(kernel)]
        self.kernel = self.add_weight(shape=kernel, name="kernel")
        self.bias = self.add_weight(shape=(int(np.prod(gain)),), name="bias")
        self.gain = self.add_weight(shape=gain, initializer="ones", trainable=False, name="gain")

    def call(self, x: Any, quantize: bool = True) -> Any:
        return self.activate(self.preactivation(x, quantize))

    def preactivation(self, x: Any, quantize: bool = True) -> Any:
        kernel = self.kernel * self.gain
        if quantize:
            kernel = self.quantized(kernel)
        return self.linear(x, kernel) + self.bias * ops.reshape(self.gain, (-1,))

    def activate(self, y: Any) -> Any:
        return getattr(ops, self.activation)(y) if self.activation != "linear" else y

    def quantized(self, kernel: Any) -> Any:
        """``kernel`` on the steps of int8 weights; gradients pass through."""
        shape = kernel.shape
        order = [a for a in range(len(shape)) if a not in self.axes] + list(self.axes)
        flat = ops.reshape(ops.transpose(kernel, order), (-1, int(np.prod(self.gain.shape))))
        limit = ops.maximum(ops.stop_gradient(ops.max(ops.abs(flat), axis=0)), 1e-12)
        flat = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            flat, -limit, limit, narrow_range=True
        )
        back = ops.reshape(flat, [shape[a] for a in order])
        return ops.transpose(back, [order.index(a) for a in range(len(shape))])

    def assign(self, kernel: Array, bias: Array) -> None:
        """Sets the real weights."""
        rest = tuple(a for a in range(kernel.ndim) if a not in self.axes)
        gain = np.abs(kernel).max(axis=rest, keepdims=True)
        gain = np.where(gain > 0, gain, 1.0)
        self.gain.assign(gain)
        self.kernel.assign(kernel / gain)
        self.bias.assign(bias / gain.reshape(-1))

    def weights_float(self) -> tuple[Array, Array]:
        """The real kernel and bias before quantization, as ``assign`` takes them."""
        gain = self.gain.numpy()
        return self.kernel.numpy() * gain, self.bias.numpy() * gain.reshape(-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "options": dict(self.options), "activation": self.activation,
        }  # fmt: skip


@keras.saving.register_keras_serializable("tinyvision")
class QuantConv2D(Weighted):
    """``options``: filters, kernel_size, strides, padding, dilation_rate, groups."""

    axes = (3,)

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        inputs = channels // self.options.get("groups", 1)
        return (*self.options["kernel_size"], inputs, self.options["filters"])

    def linear(self, x: Any, kernel: Any) -> Any:
        return ops.conv(
            x,
            kernel,
            self.options["strides"],
            self.options["padding"],
            "channels_last",
            self.options["dilation_rate"],
        )


@keras.saving.register_keras_serializable("tinyvision")
class QuantDepthwiseConv2D(Weighted):
    """``options``: kernel_size, depth_multiplier, strides, padding, dilation_rate."""

    axes = (2, 3)

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (*self.options["kernel_size"], channels, self.options["depth_multiplier"])

    def linear(self, x: Any, kernel: Any) -> Any:
        return ops.depthwise_conv(
            x,
            kernel,
            self.options["strides"],
            self.options["padding"],
            "channels_last",
            self.options["dilation_rate"],
        )


@keras.saving.register_keras_serializable("tinyvision")
class QuantDense(Weighted):
    """``options``: units."""

    axes = (1,)

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (channels, self.options["units"])

    def linear(self, x: Any, kernel: Any) -> Any:
        return ops.matmul(x, kernel)


@keras.saving.register_keras_serializable("tinyvision")
class Arithmetic(keras.layers.Layer):  # type: ignore[misc]
    """``add``, ``subtract``, ``multiply``, ``maximum`` or ``minimum`` of two tensors, or of one and
    the number ``constant``; with a fused activation.
    """

    def __init__(
        self, kind: str, constant: float | None = None, activation: str = "linear", **kwargs: Any
    ):
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self.kind, self.constant, self.activation = kind, constant, activation

    def call(self, *tensors: Any) -> Any:
        operands = tensors if self.constant is None else (*tensors, self.constant)
        y = getattr(ops, self.kind)(*operands)
        return y if self.activation == "linear" else getattr(ops, self.activation)(y)

    def get_config(self) -> dict[str, Any]:
        own = {"kind": self.kind, "constant": self.constant, "activation": self.activation}
        return {**super().get_config(), **own}
