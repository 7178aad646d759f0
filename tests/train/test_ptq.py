"""Post-training quantization: what comes out is int8 through and through, and close to float."""

import keras
import numpy as np
import pytest
from keras import layers

from tinyvision import importer
from tinyvision.errors import ModelError, UserError
from tinyvision.ir import DType, reference
from tinyvision.train.quantization import ptq


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = layers.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.Activation("hard_swish")(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(y))
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(5)(x), name="small")


def pictures(count: int, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(40, 200, (count, 12, 12, 3))
    return ((pixels - 128) / 128).astype(np.float32)


def test_the_file_is_int8_with_pixels_minus_128_and_close_to_float():
    model, images = network(), pictures(16)
    graph = importer.from_bytes(ptq(model, images))
    source, result = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    assert (source.dtype, source.scale, source.zero_point) == (DType.INT8, 1 / 128, 0)
    assert result.dtype is DType.INT8
    assert {t.dtype for t in graph.tensors.values()} <= {DType.INT8, DType.INT32}
    convs = [op for op in graph.ops if op.kind in ("Conv2D", "DepthwiseConv2D")]
    assert [len(graph.tensor(op.inputs[1]).quant.scales) for op in convs] == [8, 8, 8]
    logits = np.asarray(model(images))
    for image, wanted in zip(images, logits, strict=True):
        (steps,) = reference.run(graph, [np.round(image[None] * 128).astype(np.int8)])
        real = (steps[0].astype(float) - result.zero_point) * result.scale
        assert np.abs(real - wanted).max() < 8 * result.scale


def test_the_same_model_and_images_give_the_same_bytes():
    model, images = network(), pictures(4)
    assert ptq(model, images) == ptq(model, images)


def test_a_range_of_none_is_that_of_the_images():
    graph = importer.from_bytes(ptq(network(), pictures(4) * 100, input_range=None))
    assert 0.2 < graph.tensor(graph.inputs[0]).scale < 1


def test_what_the_user_may_get_wrong():
    model, images = network(), pictures(2)
    with pytest.raises(UserError, match=r"they are \(2, 6, 12, 3\), its input is N x \(12, 12, 3"):
        ptq(model, images[:, ::2])
    with pytest.raises(UserError, match="do not suit"):
        ptq(model, images[:0])
    with pytest.raises(UserError, match="outside of the input's range"):
        ptq(model, images + 1)
    with pytest.raises(UserError, match="not finite"):
        ptq(model, images * np.nan)
    image = layers.Input((12, 12, 3))
    cumulative = keras.Model(image, keras.ops.erfinv(image), name="odd")
    with pytest.raises(ModelError, match="odd: TensorFlow cannot convert"):
        ptq(cumulative, images)
