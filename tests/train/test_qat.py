"""The quantization-aware network computes, layer by layer, what its converted file does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.train.quantized import differences
from tinyvision import importer
from tinyvision.errors import UnsupportedError
from tinyvision.train.quantization import convert, ptq, qat
from tinyvision.train.quantization.calibrate import (
    Observed,
    float_outputs,
    minmax,
    mse,
    percentile,
)
from tinyvision.train.quantization.graph import execute, read
from tinyvision.train.quantization.images import PIXELS
from tinyvision.train.quantization.layers import Range
from tinyvision.train.quantization.rewrite import rewrite

SHAPE = (12, 12, 3)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *SHAPE))
    return ((pixels - 128) / 128).astype(np.float32)


def normalized(x):
    return layers.BatchNormalization()(x)


def mobile(image):
    """Inverted residual with squeeze-and-excitation, as MobileNetV3's."""
    x = normalized(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image))
    x = layers.Activation("hard_swish")(x)
    y = layers.ReLU(6.0)(normalized(layers.Conv2D(16, 1, use_bias=False)(x)))
    y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
    y = layers.ReLU()(normalized(layers.DepthwiseConv2D(3, use_bias=False)(y)))
    s = layers.GlobalAveragePooling2D(keepdims=True)(y)
    s = layers.Conv2D(4, 1, activation="relu")(s)
    y = layers.Multiply()([y, layers.Conv2D(16, 1, activation="hard_sigmoid")(s)])
    return layers.Dense(5)(layers.GlobalAveragePooling2D()(y))


def shared_ranges(image):
    """Pools, concatenation, channel shuffle and an addition with a fused ReLU."""
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same")(image))
    left, right = keras.ops.split(x, 2, axis=-1)
    right = layers.Conv2D(4, 1)(right)
    x = layers.Concatenate()([left, right])
    x = layers.Reshape((12, 12, 4, 2))(layers.Reshape((12, 12, 4, 2))(x))
    x = layers.Reshape((12, 12, 8))(layers.Permute((1, 2, 3, 4))(x))
    y = layers.Concatenate()([layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(x)])
    z = layers.SeparableConv2D(16, 3, padding="same")(y)
    x = layers.ReLU()(layers.Add()([y, z]))
    x = layers.Dropout(0.2)(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    return layers.Softmax()(layers.Dense(5)(x))


def functions(image):
    """Activations by themselves, batch norm by itself, numbers as operands."""
    x = normalized(layers.MaxPooling2D(2)(image))
    x = keras.ops.relu6(layers.Conv2D(8, 3, activation="silu")(x) + 3.0) / 6.0
    x = layers.Concatenate()([layers.Multiply()([x, layers.Activation("tanh")(x)]), x])
    x = layers.LeakyReLU(negative_slope=0.25)(layers.Conv2D(8, 1, groups=2)(x))
    x = layers.UpSampling2D(2)(layers.Rescaling(2.0, offset=-0.5)(x))
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Subtract()([x, layers.Conv2D(8, 1, dilation_rate=2, padding="same")(x)])
    return layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x))


def network(build, seed: int = 0) -> keras.Model:
    """With batch norm statistics and biases that are not as they start."""
    keras.utils.set_random_seed(seed)
    image = layers.Input(SHAPE)
    model = keras.Model(image, build(image), name=build.__name__)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.3, variable.shape))
    return model


NETWORKS = pytest.mark.parametrize(
    "build", [mobile, shared_ranges, functions], ids=lambda build: build.__name__
)


@NETWORKS
def test_each_layer_agrees_with_the_converted_file_within_one_step(build):
    model, images = network(build), pictures(24)
    aware = qat(model, images)
    data = convert(aware)
    off = differences(aware, data, images[:4])
    assert max(off.values()) <= 1, off
    kinds = {op.kind for op in importer.from_bytes(data).ops}
    assert not kinds & {"Quantize", "Dequantize", "Requantize"}
    ranges = {c.operation: c for c in read(aware).calls if isinstance(c.operation, Range)}
    assert len(off) >= len(ranges) - 1  # all but the input's


@NETWORKS
def test_without_quantization_it_is_the_float_network(build):
    model, images = network(build), pictures(4)
    rewritten = read(rewrite(model, PIXELS))
    (result,) = execute(rewritten, keras.ops.convert_to_tensor(images), float_outputs)
    assert np.allclose(result, model(images), rtol=1e-4, atol=1e-4)


def test_weights_and_ranges_learn_and_survive_the_file(tmp_path):
    aware = qat(network(mobile), pictures(24))
    before = [np.array(v) for v in aware.trainable_variables]
    labels = np.arange(64) % 5
    images = 0.2 * pictures(64, seed=1) + 0.3 * (labels[:, None, None, None] - 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    aware.compile(keras.optimizers.Adam(1e-2), loss)
    losses = aware.fit(images, labels, batch_size=16, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]
    after = aware.trainable_variables
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert all(moved)
    assert max(differences(aware, convert(aware), images[:2]).values()) <= 1
    aware.save(tmp_path / "aware.keras")
    again = keras.models.load_model(tmp_path / "aware.keras")
    assert convert(again) == convert(aware)


def test_the_scale_of_a_range_follows_what_clipping_and_rounding_cost():
    values = np.random.default_rng(0).normal(0, 1, 4096).astype(np.float32)
    for start, better in ((0.1, 1), (100.0, -1)):
        layer = Range(-start, start)
        with tf.GradientTape() as tape:
            cost = tf.reduce_mean(tf.square(layer(values) - values))
        gradient = tape.gradient(cost, layer.log_scale.value)
        assert np.sign(-gradient) == better


def test_calibration_by_error_and_by_percentile_leave_outliers_outside():
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 100_000), [1000.0]])
    counts, _ = np.histogram(values, 2048, (values.min(), values.max()))
    seen = Observed(float(values.min()), float(values.max()), counts.astype(float))
    assert minmax(seen)[1] == 1000
    assert percentile(seen)[1] < 10
    assert mse(seen)[1] < 1000


def test_layers_without_an_int8_form_are_named_all_at_once():
    image = layers.Input(SHAPE)
    x = layers.Activation("gelu")(layers.LayerNormalization()(image))
    model = keras.Model(image, layers.Softmax(axis=1)(x), name="odd")
    with pytest.raises(UnsupportedError) as caught:
        qat(model, pictures(2))
    assert [p.split(":")[0] for p in caught.value.problems] == [
        layer.name for layer in model.layers[1:]
    ]
    image = layers.Input(SHAPE)
    joined = layers.Concatenate()([image, layers.Conv2D(2, 1)(image)])
    with pytest.raises(UnsupportedError, match="joins the input"):
        qat(keras.Model(image, joined), pictures(2))


def test_networks_inside_and_sequential_ones_are_spread_out():
    inner = keras.Sequential([layers.Input(SHAPE), layers.Conv2D(4, 1), layers.ReLU()])
    image = layers.Input(SHAPE)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(inner(image)))
    kinds = [op.kind for op in importer.from_bytes(ptq(model, pictures(2))).ops]
    assert kinds == ["Conv2D", "Mean"]
