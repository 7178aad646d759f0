"""Makes the demo's network: an MCUNet-style int8 classifier of handwritten digits.

Trains on scikit-learn's digits (8x8 grey pictures, drawn on 32x32), converts to int8 and writes
``tinyvision/demo/digits.tflite`` with ``digits.npz`` (held-out pictures and labels) beside it.
Seeded; needs ``pip install 'tinyvision[train]'``. Usage: python tools/make_demo_model.py
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20
SIZE = 32
# (kernel, expansion, channels, stride) of each inverted residual block, as MCUNet mixes them
BLOCKS = [(3, 2, 8, 1), (5, 3, 16, 2), (3, 3, 16, 1), (7, 3, 24, 2), (5, 3, 24, 1)]
HELD_OUT_SAMPLES = 100
DEMO = Path(__file__).parent.parent / "tinyvision" / "demo"


def inverted_residual(x, kernel: int, expansion: int, channels: int, stride: int):
    """1x1 expand, depthwise, 1x1 project; a residual where the shapes allow."""
    y = layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False)(y)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(y))
    return layers.Add()([x, y]) if y.shape == x.shape else y


def network() -> keras.Model:
    image = layers.Input((SIZE, SIZE, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    for block in BLOCKS:
        x = inverted_residual(x, *block)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Softmax()(layers.Dense(10)(x)))


def upscale(pictures: np.ndarray) -> np.ndarray:
    """(N, 8, 8) of 0..16 to (N, 32, 32, 1) of 0..255, as whole numbers."""
    resized = tf.image.resize(pictures[..., None] * (255.0 / 16.0), (SIZE, SIZE))
    return np.round(np.clip(resized, 0, 255)).astype(np.uint8)


def main() -> None:
    keras.utils.set_random_seed(SEED)
    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        upscale(digits.images),
        digits.target,
        test_size=360,
        stratify=digits.target,
        random_state=SEED,
    )
    scaled = train_x.astype(np.float32) / 255.0
    model = network()
    shift = layers.RandomTranslation(0.08, 0.08, fill_mode="constant", seed=SEED)
    data = (
        tf.data.Dataset.from_tensor_slices((scaled, train_y))
        .shuffle(len(scaled), seed=SEED)
        .batch(64)
        .map(lambda x, y: (shift(x, training=True), y))
    )
    epochs = 30
    rate = keras.optimizers.schedules.CosineDecay(4e-3, epochs * len(data))
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(data, epochs=epochs, verbose=2)
    _, accuracy = model.evaluate(test_x / 255.0, test_y, verbose=0)

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None]] for picture in scaled[:200])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    DEMO.joinpath("digits.tflite").write_bytes(converter.convert())
    keep = slice(0, HELD_OUT_SAMPLES)
    np.savez_compressed(DEMO / "digits.npz", images=test_x[keep], labels=test_y[keep])
    print(f"float accuracy on {len(test_y)} held-out pictures: {accuracy:.4f}")


if __name__ == "__main__":
    main()
