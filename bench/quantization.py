"""A case made hard on purpose: what each way to int8 keeps of a depthwise network with outliers.

Trains a small network of inverted residuals on scikit-learn's digits, then scales some channels up
and what reads them down, which changes nothing in float: between layers, where cross-layer
equalisation can find it, and in the residual stream, where it cannot. Few steps are left for all
other channels then. Accuracies are of ``ir.reference`` on the converted file. Seeded; a few minutes
on 2 cores. Usage: python -m bench.quantization [--seeds 3] [--factor 24] [--ways qat]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")

import keras
import numpy as np
from keras import layers

from tinyvision import importer
from tinyvision.ir import reference
from tinyvision.preprocess import Preprocess, real_values
from tinyvision.train.data import load
from tinyvision.train.data.dataset import Split
from tinyvision.train.quantization import convert, ptq, qat

SIZE, STREAM, MIDDLE, BLOCKS = 16, 16, 48, 3
EPOCHS, QAT_EPOCHS, BATCH = 20, 12, 64
CALIBRATION = 128


def network() -> keras.Model:
    def conv(x, name, channels, size=1, stride=1, activate=True):
        x = layers.Conv2D(
            channels, size, stride, padding="same", use_bias=False, name=f"{name}_conv"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        return layers.ReLU()(x) if activate else x

    image = layers.Input((SIZE, SIZE, 1))
    x = conv(image, "stem", STREAM, 3, 2, activate=False)
    for index in range(BLOCKS):
        y = conv(x, f"expand{index}", MIDDLE)
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depth{index}_conv")(y)
        y = layers.BatchNormalization(momentum=0.9, name=f"depth{index}_bn")(y)
        y = conv(layers.ReLU()(y), f"project{index}", STREAM, activate=False)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(conv(x, "last", 64))
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="outliers")


def add_outliers(model: keras.Model, factor: float, seed: int) -> None:
    """Scales an eighth of the channels by ``factor``, and takes it back in what reads them."""
    rng = np.random.default_rng(seed)

    def factors(channels: int) -> np.ndarray:
        scale = np.ones(channels, np.float32)
        scale[rng.permutation(channels)[: channels // 8]] = factor
        return scale

    def write(name: str, scale: np.ndarray) -> None:
        norm = model.get_layer(f"{name}_bn")
        norm.gamma.assign(norm.gamma * scale)
        norm.beta.assign(norm.beta * scale)

    def read(name: str, scale: np.ndarray) -> None:
        kernel = model.get_layer(f"{name}_conv").kernel
        kernel.assign(kernel / scale[:, None])  # (rows, columns, inputs, outputs) in both kinds

    stream = factors(STREAM)
    write("stem", stream)
    read("last", stream)
    for index in range(BLOCKS):
        read(f"expand{index}", stream)
        for writer, reader in (
            (f"expand{index}", f"depth{index}"),
            (f"depth{index}", f"project{index}"),
        ):
            scale = factors(MIDDLE)
            write(writer, scale)
            read(reader, scale)
        write(f"project{index}", stream)


def accuracy_float(model: keras.Model, split: Split) -> float:
    logits = np.asarray(model(real_values(split.images)))
    return float(np.mean(logits.argmax(axis=1) == split.labels))


def accuracy_int8(data: bytes, split: Split) -> float:
    graph = importer.from_bytes(data)
    pixels = (split.images.astype(np.int16) - 128).astype(np.int8)
    answers = [reference.run(graph, [image[None]])[0].argmax() for image in pixels]
    return float(np.mean(np.array(answers) == split.labels))


def train(model: keras.Model, images, targets, epochs: int, rate: float, seed: int) -> None:
    """``targets``: labels, or what a teacher says of each class."""
    keras.utils.set_random_seed(seed)
    soft = np.ndim(targets) == 2
    kind = (
        keras.losses.CategoricalCrossentropy if soft else keras.losses.SparseCategoricalCrossentropy
    )
    steps = epochs * -(-len(images) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule), kind(from_logits=True))
    model.fit(images, targets, batch_size=BATCH, epochs=epochs, verbose=0)


def rows(seed: int, factor: float, wanted: str) -> Iterator[tuple[str, float]]:
    """Accuracies by name; of the ways to int8 those whose name has ``wanted`` in it."""
    data = load("digits", Preprocess(SIZE, SIZE, 1))
    images, labels = real_values(data.train.images), data.train.labels
    some = images[:CALIBRATION]
    keras.utils.set_random_seed(seed)
    model = network()
    train(model, images, labels, EPOCHS, 4e-3, seed)
    yield "float", accuracy_float(model, data.test)
    yield "ptq minmax before the outliers", accuracy_int8(ptq(model, some), data.test)
    add_outliers(model, factor, seed)
    yield "float with the outliers", accuracy_float(model, data.test)
    teacher = keras.ops.convert_to_numpy(keras.ops.softmax(model(images)))

    def trained(targets: np.ndarray, **options: bool) -> bytes:
        aware = qat(model, some, **options)
        train(aware, images, targets, QAT_EPOCHS, 4e-3, seed)
        return convert(aware)

    ways: dict[str, Callable[[], bytes]] = {
        "ptq minmax": lambda: ptq(model, some),
        "ptq percentile": lambda: ptq(model, some, "percentile"),
        "ptq mse": lambda: ptq(model, some, "mse"),
        "ptq equalize": lambda: ptq(model, some, equalize=True),
        "ptq bias-correction": lambda: ptq(model, some, bias_correction=True),
        "ptq adaround": lambda: ptq(model, some, adaround=True),
        "ptq mse, all three": lambda: ptq(
            model, some, "mse", equalize=True, bias_correction=True, adaround=True
        ),
        "qat": lambda: trained(labels),
        "qat distilled from float": lambda: trained(teacher),
        "qat equalize": lambda: trained(labels, equalize=True),
    }
    for name, way in ways.items():
        if wanted in name:
            yield name, accuracy_int8(way(), data.test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--factor", type=float, default=24.0)
    parser.add_argument("--ways", default="", help="only those with this in their name")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    start = time.monotonic()
    for seed in range(options.seeds):
        for name, accuracy in rows(seed, options.factor, options.ways):
            found.setdefault(name, []).append(accuracy)
            print(f"seed {seed}  {accuracy:7.2%}  {name}", flush=True)
    print(f"\nmean of {options.seeds} seeds, {time.monotonic() - start:.0f} s")
    for name, accuracies in found.items():
        print(
            f"{np.mean(accuracies):7.2%}  {min(accuracies):7.2%} to {max(accuracies):7.2%}  {name}"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
