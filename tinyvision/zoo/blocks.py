"""Descriptions to Keras layers: one function a kind of block."""

from __future__ import annotations

from functools import singledispatch
from itertools import count
from typing import Any

import keras
from keras import layers

from tinyvision.zoo.describe import Activation, Block, Conv, InvertedResidual, Network, rounded

Size = int | tuple[int, int]


class Maker:
    """Makes layers named after their block, with initial weights that follow from ``seed`` alone
    (``None``: different every time). ``x`` is a Keras tensor N×H×W×C throughout.
    """

    def __init__(self, seed: int | None) -> None:
        self._seeds = None if seed is None else count(seed * 1_000_003)

    def initial(self) -> keras.initializers.Initializer:
        seed = None if self._seeds is None else next(self._seeds)
        return keras.initializers.HeNormal(seed=seed)

    def normalized(self, x: Any, name: str, activation: Activation) -> Any:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return activate(x, name, activation)

    def conv(
        self,
        x: Any,
        name: str,
        channels: int,
        kernel: Size = 1,
        stride: Size = 1,
        activation: Activation = Activation.NONE,
        groups: int = 1,
    ) -> Any:
        x = layers.Conv2D(
            channels,
            kernel,
            stride,
            padding="same",
            groups=groups,
            use_bias=False,
            kernel_initializer=self.initial(),
            name=f"{name}_conv",
        )(x)
        return self.normalized(x, name, activation)

    def depthwise(
        self,
        x: Any,
        name: str,
        kernel: Size = 3,
        stride: Size = 1,
        activation: Activation = Activation.NONE,
    ) -> Any:
        x = layers.DepthwiseConv2D(
            kernel,
            stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=self.initial(),
            name=f"{name}_depthwise",
        )(x)
        return self.normalized(x, name, activation)

    def dense(self, x: Any, name: str, units: int) -> Any:
        return layers.Dense(units, kernel_initializer=self.initial(), name=name)(x)


def activate(x: Any, name: str, activation: Activation) -> Any:
    if activation is Activation.RELU:
        return layers.ReLU(name=f"{name}_relu")(x)
    if activation is Activation.RELU6:
        return layers.ReLU(6.0, name=f"{name}_relu6")(x)
    if activation is Activation.HARD_SWISH:
        return layers.Activation("hard_swish", name=f"{name}_hard_swish")(x)
    return x


@singledispatch
def apply(block: Block, x: Any, name: str, make: Maker) -> Any:
    """The block's layers on ``x``, their names beginning with ``name``."""
    raise TypeError(f"no layers for {type(block).__name__}")


@apply.register
def _(block: Conv, x: Any, name: str, make: Maker) -> Any:
    return make.conv(x, name, block.channels, block.kernel, block.stride, block.activation)


@apply.register
def _(block: InvertedResidual, x: Any, name: str, make: Maker) -> Any:
    inside, y = x, x
    if block.expansion != 1:
        middle = rounded(x.shape[-1] * block.expansion)
        y = make.conv(y, f"{name}_expand", middle, activation=block.activation)
    y = make.depthwise(y, name, block.kernel, block.stride, block.activation)
    y = make.conv(y, f"{name}_project", block.channels)
    if y.shape == inside.shape:
        y = layers.Add(name=f"{name}_add")([inside, y])
    return y


def construct(
    network: Network, name: str, input_shape: tuple[int, int, int], classes: int, seed: int | None
) -> keras.Model:
    """The float32 functional model: image in [-1, 1) to logits."""
    make = Maker(seed)
    image = keras.Input(input_shape, name="image")
    x = image
    for index, block in enumerate(network.blocks):
        x = apply(block, x, f"block{index}", make)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    if network.hidden:
        x = make.dense(x, "hidden", network.hidden)
        x = layers.Activation("hard_swish", name="hidden_hard_swish")(x)
    return keras.Model(image, make.dense(x, "logits", classes), name=name.replace(".", "_"))
