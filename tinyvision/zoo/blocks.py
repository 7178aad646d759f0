"""Descriptions to Keras layers: one function a kind of block."""

from __future__ import annotations

from functools import singledispatch
from itertools import count
from math import prod, sqrt
from typing import Any

import keras
from keras import layers

from tinyvision.zoo.describe import (
    Activation,
    Block,
    Conv,
    ConvNeXt,
    Fire,
    Ghost,
    Grouped,
    InvertedResidual,
    LinearAttention,
    MaxPool,
    Network,
    Residual,
    Separable,
    Shuffle,
    rounded,
)

Size = int | tuple[int, int]


class Maker:
    """Makes layers named after their block, with initial weights that follow from ``seed`` alone
    (``None``: different every time). ``x`` is a Keras tensor N×H×W×C throughout.
    """

    def __init__(self, seed: int | None) -> None:
        self._seeds = None if seed is None else count(seed * 1_000_003)

    def initial(self, taps: int = 0) -> keras.initializers.Initializer:
        """He's; for a depthwise convolution of so many ``taps``, whose fan-in Keras takes for all
        channels together, which makes an untrained network's activations vanish.
        """
        seed = None if self._seeds is None else next(self._seeds)
        if taps:
            return keras.initializers.RandomNormal(stddev=sqrt(2 / taps), seed=seed)
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
            depthwise_initializer=self.initial(taps=prod(rows_and_columns(kernel))),
            name=f"{name}_depthwise",
        )(x)
        return self.normalized(x, name, activation)

    def squeezed(self, x: Any, name: str) -> Any:
        """Squeeze-and-excitation (arXiv:1709.01507) to a quarter, by a hard sigmoid."""
        channels = x.shape[-1]
        y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
        for part, units, activation in (
            ("down", rounded(channels / 4), "relu"),
            ("up", channels, "hard_sigmoid"),
        ):
            y = layers.Conv2D(
                units,
                1,
                activation=activation,
                kernel_initializer=self.initial(),
                name=f"{name}_{part}",
            )(y)
        return layers.Multiply(name=f"{name}_scale")([x, y])

    def joined(self, x: Any, y: Any, name: str, stride: Size) -> Any:
        """ReLU of the sum of ``y`` and ``x``, or a projection of ``x`` where shapes differ."""
        if x.shape != y.shape:
            x = self.conv(x, f"{name}_shortcut", y.shape[-1], 1, stride)
        return activate(layers.Add(name=f"{name}_add")([x, y]), name, Activation.RELU)

    def dense(self, x: Any, name: str, units: int) -> Any:
        return layers.Dense(units, kernel_initializer=self.initial(), name=name)(x)


def rows_and_columns(size: Size) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


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
    y = x
    if block.expansion != 1:
        middle = rounded(x.shape[-1] * block.expansion)
        y = make.conv(y, f"{name}_expand", middle, activation=block.activation)
    y = make.depthwise(y, name, block.kernel, block.stride, block.activation)
    if block.squeeze:
        y = make.squeezed(y, f"{name}_squeeze")
    y = make.conv(y, f"{name}_project", block.channels)
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y


@apply.register
def _(block: Separable, x: Any, name: str, make: Maker) -> Any:
    x = make.depthwise(x, name, block.kernel, block.stride, block.activation)
    return make.conv(x, f"{name}_pointwise", block.channels, activation=block.activation)


@apply.register
def _(block: MaxPool, x: Any, name: str, make: Maker) -> Any:
    return layers.MaxPooling2D(block.kernel, block.stride, "same", name=f"{name}_pool")(x)


@apply.register
def _(block: Residual, x: Any, name: str, make: Maker) -> Any:
    y = make.conv(x, f"{name}_first", block.channels, 3, block.stride, Activation.RELU)
    y = make.conv(y, f"{name}_second", block.channels, 3)
    return make.joined(x, y, name, block.stride)


@apply.register
def _(block: Fire, x: Any, name: str, make: Maker) -> Any:
    few, half = rounded(block.channels / 8), block.channels // 2
    x = make.conv(x, f"{name}_squeeze", few, activation=Activation.RELU)
    narrow = make.conv(x, f"{name}_narrow", half, activation=Activation.RELU)
    wide = make.conv(x, f"{name}_wide", half, 3, activation=Activation.RELU)
    return layers.Concatenate(name=f"{name}_concat")([narrow, wide])


@apply.register
def _(block: Shuffle, x: Any, name: str, make: Maker) -> Any:
    half, relu = block.channels // 2, Activation.RELU
    if block.stride == 1:
        left, y = keras.ops.split(x, 2, axis=-1)
    else:
        left = make.depthwise(x, f"{name}_left", 3, block.stride)
        left = make.conv(left, f"{name}_left_pointwise", half, activation=relu)
        y = x
    y = make.conv(y, f"{name}_first", half, activation=relu)
    y = make.depthwise(y, name, 3, block.stride)
    y = make.conv(y, f"{name}_second", half, activation=relu)
    y = layers.Concatenate(name=f"{name}_concat")([left, y])
    rows, columns, channels = y.shape[1:]
    y = layers.Reshape((rows, columns, 2, channels // 2), name=f"{name}_halves")(y)
    y = layers.Permute((1, 2, 4, 3), name=f"{name}_shuffle")(y)
    return layers.Reshape((rows, columns, channels), name=f"{name}_shuffled")(y)


@apply.register
def _(block: Ghost, x: Any, name: str, make: Maker) -> Any:
    y = _ghost(x, f"{name}_expand", rounded(x.shape[-1] * block.expansion), Activation.RELU, make)
    if block.stride != 1:
        y = make.depthwise(y, name, block.kernel, block.stride)
    if block.squeeze:
        y = make.squeezed(y, f"{name}_squeeze")
    y = _ghost(y, f"{name}_project", block.channels, Activation.NONE, make)
    if x.shape != y.shape:
        x = make.depthwise(x, f"{name}_shortcut", block.kernel, block.stride)
        x = make.conv(x, f"{name}_shortcut_pointwise", block.channels)
    return layers.Add(name=f"{name}_add")([x, y])


def _ghost(x: Any, name: str, channels: int, activation: Activation, make: Maker) -> Any:
    own = make.conv(x, f"{name}_own", channels // 2, activation=activation)
    ghost = make.depthwise(own, f"{name}_ghost", 3, activation=activation)
    return layers.Concatenate(name=f"{name}_concat")([own, ghost])


@apply.register
def _(block: Grouped, x: Any, name: str, make: Maker) -> Any:
    groups = max(1, block.channels // block.group_channels)
    y = make.conv(x, f"{name}_first", block.channels, activation=Activation.RELU)
    y = make.conv(
        y, f"{name}_grouped", block.channels, 3, block.stride, Activation.RELU, groups=groups
    )
    y = make.conv(y, f"{name}_last", block.channels)
    return make.joined(x, y, name, block.stride)


@apply.register
def _(block: ConvNeXt, x: Any, name: str, make: Maker) -> Any:
    y = make.depthwise(x, name, block.kernel)
    middle = rounded(x.shape[-1] * block.expansion)
    y = make.conv(y, f"{name}_expand", middle, activation=Activation.RELU6)
    y = make.conv(y, f"{name}_project", x.shape[-1])
    return layers.Add(name=f"{name}_add")([x, y])


@apply.register
def _(block: LinearAttention, x: Any, name: str, make: Maker) -> Any:
    rows, columns, channels = x.shape[1:]
    pixels, heads = rows * columns, channels // block.head_channels

    def part(which: str, activation: Activation) -> Any:
        """Batch, heads, pixels, channels of a head."""
        y = make.conv(x, f"{name}_{which}", channels, activation=activation)
        if which == "value":
            y = layers.Rescaling(1 / pixels, name=f"{name}_per_pixel")(y)
        y = layers.Reshape((pixels, heads, -1), name=f"{name}_{which}_heads")(y)
        return layers.Permute((2, 1, 3), name=f"{name}_{which}_pixels")(y)

    query, key = part("query", Activation.RELU), part("key", Activation.RELU)
    key = layers.Permute((1, 3, 2), name=f"{name}_key_transposed")(key)
    y = keras.ops.matmul(query, keras.ops.matmul(key, part("value", Activation.NONE)))
    y = layers.Permute((2, 1, 3), name=f"{name}_heads_last")(y)
    y = layers.Reshape((rows, columns, channels), name=f"{name}_joined")(y)
    y = make.conv(y, f"{name}_project", channels)
    return layers.Add(name=f"{name}_add")([x, y])


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
        x = activate(x, "hidden", network.hidden_activation)
    return keras.Model(image, make.dense(x, "logits", classes), name=name.replace(".", "_"))
