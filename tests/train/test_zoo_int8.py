"""Every network of the zoo, small: int8, imported, planned, compiled, equal in every bit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tinyvision import importer, zoo
from tinyvision.api import Where, verify
from tinyvision.build import Model, plan
from tinyvision.train.quantization import ptq

BOARD = "stm32h7"


def small(name: str) -> keras.Model:
    """A few classes at the lowest resolution that leaves something to pool, and a quarter of the
    channels; batch norms as if it had been trained, so that folding them changes something.
    """
    network = zoo.network(name)
    height, width = (min(extent, 40) for extent in network.resolution)
    shape = (height, width, network.image_channels)
    model = zoo.build(name, shape, 5, min(network.width, 0.25), seed=1)
    random = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(random.uniform(0.6, 1.4, size))
            layer.beta.assign(random.normal(0, 0.3, size))
            layer.moving_mean.assign(random.normal(0, 0.3, size))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, size))
    return model


def quantized(name: str) -> Model:
    model = small(name)
    random = np.random.default_rng(3)
    images = random.integers(-128, 128, (4, *model.input_shape[1:])).astype(np.float32) / 128
    data = ptq(model, images)
    return Model(Path(f"{name}.tflite"), data, importer.from_bytes(data, name))


# These consist of the same blocks as the other networks of MCUNet: left to `make zoo`.
ALIKE = {"mcunet-vww2", "mcunet-in1", "mcunet-in2", "mcunet-in3", "mcunet-in4"}


@pytest.fixture(params=zoo.names())
def name(request: pytest.FixtureRequest) -> str:
    if request.param in ALIKE and not request.config.getoption("--zoo"):
        pytest.skip("make zoo runs it; networks of the same blocks are tested here")
    return request.param


def test_generated_c_equals_the_oracle(name):
    compiled = plan(quantized(name), BOARD)
    result = verify(compiled, compiled.board, where=Where(host=True), samples=3)
    assert result["samples"] == 3
    assert (result["mismatches"], result["first_divergent_layer"]) == (0, None)
