"""What a Keras model costs: multiplications and parameters, counted as papers count them."""

from __future__ import annotations

from math import prod

import keras
from keras import layers


def macs(model: keras.Model) -> int:
    """Multiply-accumulates of convolutions and dense layers for one picture."""
    return sum(_layer_macs(layer) for layer in model.layers)


def parameters(model: keras.Model) -> int:
    """Trainable ones: weights, biases, and scale and shift of every batch norm."""
    return sum(prod(weight.shape) for weight in model.trainable_weights)


def _layer_macs(layer: keras.Layer) -> int:
    taps = 0
    if isinstance(layer, layers.DepthwiseConv2D):
        taps = prod(layer.kernel.shape[:2])
    elif isinstance(layer, layers.Conv2D):
        taps = prod(layer.kernel.shape[:3])
    elif isinstance(layer, layers.Dense):
        taps = prod(layer.kernel.shape[:1])
    return taps * prod(layer.output.shape[1:]) if taps else 0
