"""What makes post-training quantization better without training: three ways to change the weights
of a network of ``rewrite``, each optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinyvision.ir.types import Array
from tinyvision.train.quantization.calibrate import float_outputs
from tinyvision.train.quantization.graph import Call, Network, Value, execute, read
from tinyvision.train.quantization.layers import (
    QuantConv2D,
    QuantDense,
    QuantDepthwiseConv2D,
    Range,
    Weighted,
)

Step = Callable[[Weighted, tf.Tensor, tf.Tensor], None]
"""Changes a layer, given what it reads in the quantized network and what the float one computes
before the activation.
"""

_ROUNDS = 20
_ADAROUND_STEPS = 300
_ADAROUND_BATCH = 16


def equalize(model: keras.Model) -> int:
    """Cross-layer equalisation (Nagel et al., arXiv:1906.04721, section 4.1): scales channels
    between two layers such that the weights on both sides reach equally far. The network's function
    stays; ranges have to be calibrated after it. Returns the number of pairs.
    """
    pairs = _pairs(read(model))
    for _ in range(_ROUNDS):
        for first, second in pairs:
            _equalize_pair(first, second)
    return len(pairs)


def _pairs(network: Network) -> list[tuple[Weighted, Weighted]]:
    """Layers with nothing but a range between them, and no ReLU6, which would not scale along."""
    count = network.readers()
    reader = {value: call for call in network.calls for value in call.inputs}
    found = []
    for call in network.calls:
        first, value = call.operation, call.outputs[0]
        if not isinstance(first, Weighted) or first.activation == "relu6":
            continue
        while count[value] == 1 and value in reader:
            following = reader[value]
            if isinstance(following.operation, Weighted):
                if following.operation.options.get("groups", 1) == 1:
                    found.append((first, following.operation))
                break
            if not isinstance(following.operation, (Range, keras.layers.ZeroPadding2D)):
                break
            value = following.outputs[0]
    return found


def _equalize_pair(first: Weighted, second: Weighted) -> None:
    kernel, bias = first.weights_float()
    after, after_bias = second.weights_float()
    rows = {QuantConv2D: (0, 1, 3), QuantDepthwiseConv2D: (0, 1, 3), QuantDense: (1,)}
    rest = tuple(axis for axis in range(kernel.ndim) if axis not in first.axes)
    a = np.abs(kernel).max(axis=rest).reshape(-1)
    b = np.abs(after).max(axis=rows[type(second)])
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where((a > 0) & (b > 0), np.sqrt(b / a), 1.0)
    columns = [n if axis in first.axes else 1 for axis, n in enumerate(kernel.shape)]
    first.assign(kernel * factor.reshape(columns), bias * factor)
    inputs = [n if axis not in rows[type(second)] else 1 for axis, n in enumerate(after.shape)]
    second.assign(after / factor.reshape(inputs), after_bias)


def correct_biases(model: keras.Model, images: Array) -> None:
    """Takes the mean error that quantization makes in each output channel off the bias (Nagel et
    al., section 4.2, measured on ``images``), layer after layer.
    """
    _walk(model, images, _correct_bias)


def _correct_bias(layer: Weighted, x: tf.Tensor, wanted: tf.Tensor) -> None:
    error = wanted - layer.preactivation(x)
    mean = tf.reduce_mean(error, axis=list(range(len(error.shape) - 1)))
    kernel, bias = layer.weights_float()
    layer.assign(kernel, bias + mean.numpy())


def adaround(model: keras.Model, images: Array, seed: int = 0) -> None:
    """Rounds each weight up or down such that the layer's output comes closest to that of the float
    network on ``images`` (Nagel et al., Up or Down? Adaptive Rounding, arXiv:2004.10568), layer
    after layer.
    """
    generator = tf.random.Generator.from_seed(seed)
    _walk(model, images, lambda layer, x, wanted: _round_layer(layer, x, wanted, generator))


def _round_layer(
    layer: Weighted, x: tf.Tensor, wanted: tf.Tensor, generator: tf.random.Generator
) -> None:
    kernel, bias = layer.weights_float()
    rest = tuple(axis for axis in range(kernel.ndim) if axis not in layer.axes)
    scale = np.maximum(np.abs(kernel).max(axis=rest, keepdims=True), 1e-12) / 127
    below = np.floor(kernel / scale)
    share = np.clip(kernel / scale - below, 0.01, 0.99)
    choice = tf.Variable(np.log((share + 0.1) / (1.1 - share)), dtype=tf.float32)
    constants = [tf.constant(array, tf.float32) for array in (below, scale, bias)]
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build([choice])
    target = layer.activate(wanted)
    power = tf.reduce_mean(tf.square(target)) + 1e-12

    @tf.function  # type: ignore[untyped-decorator]
    def step(sharpness: tf.Tensor, strictness: tf.Tensor) -> None:
        low, unit, offset = constants
        batch = generator.uniform([_ADAROUND_BATCH], 0, x.shape[0], tf.int32)
        with tf.GradientTape() as tape:
            up = tf.clip_by_value(tf.sigmoid(choice) * 1.2 - 0.1, 0.0, 1.0)
            y = layer.activate(layer.linear(tf.gather(x, batch), (low + up) * unit) + offset)
            error = tf.reduce_mean(tf.square(y - tf.gather(target, batch))) / power
            undecided = tf.reduce_mean(1 - tf.abs(2 * up - 1) ** sharpness)
            loss = error + strictness * undecided
        optimizer.apply([tape.gradient(loss, choice)], [choice])

    for number in range(_ADAROUND_STEPS):
        done = number / _ADAROUND_STEPS
        strictness = 0.0 if done < 0.2 else 0.01
        step(tf.constant(20.0 - 18.0 * done), tf.constant(strictness))
    rounded = np.clip(below + (choice.numpy() >= 0), -127, 127)
    layer.assign(rounded * scale, bias)


def _walk(model: keras.Model, images: Array, change: Step) -> None:
    """Runs the float and the quantized network side by side, with ``change`` at each layer with
    weights before its outputs are computed. The float network keeps the weights from before.
    """

    def visit(call: Call, values: dict[Value, Any]) -> tuple[Any, ...]:
        exact, rough = ({v: values[v][side] for v in call.inputs} for side in (0, 1))
        layer = call.operation
        if not isinstance(layer, Weighted):
            return tuple(zip(float_outputs(call, exact), call.apply(rough), strict=True))
        wanted = layer.preactivation(exact[call.inputs[0]], quantize=False)
        change(layer, rough[call.inputs[0]], wanted)
        return ((layer.activate(wanted), *call.apply(rough)),)

    source = keras.ops.convert_to_tensor(images)
    execute(read(model), (source, source), visit)
