"""Every network of the zoo, small: int8, planned, compiled, equal in every bit on the host and on a
virtual board. With ``--zoo`` (``make zoo``) also as published.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tinyvision import importer, zoo
from tinyvision.api import Where, verify
from tinyvision.build import Compiled, Model, plan
from tinyvision.errors import FitError
from tinyvision.train.quantization import ptq

BOARDS = ("stm32h7", "host")
"""The first one that holds a network is taken."""

# Networks of which each has blocks that the others have not; all run in `make zoo`.
DIFFERENT = {"mcunet-vww0", "mobilenet-v3-small", "shufflenet-v2", "squeezenet"}
DIFFERENT |= {"convnext", "ds-cnn", "efficientvit", "resnet8"}
# Operators are held equal on virtual boards one by one; of whole networks these stand for all.
ON_BOARD = {"mcunet-vww0", "mobilenet-v3-small", "shufflenet-v2", "efficientvit"}


def small(name: str) -> keras.Model:
    """At the lowest resolution that leaves something to pool, with a quarter of the channels."""
    network = zoo.network(name)
    height, width = (min(extent, 40) for extent in network.resolution)
    shape = (height, width, network.image_channels)
    return zoo.build(name, shape, 5, min(network.width, 0.25), seed=1)


def quantized(model: keras.Model, name: str) -> Model:
    """With batch norms as if it had been trained, so that folding them changes something."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(random.uniform(0.6, 1.4, size))
            layer.beta.assign(random.normal(0, 0.3, size))
            layer.moving_mean.assign(random.normal(0, 0.3, size))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, size))
    images = random.integers(-128, 128, (4, *model.input_shape[1:])).astype(np.float32) / 128
    data = ptq(model, images)
    return Model(Path(f"{name}.tflite"), data, importer.from_bytes(data, name))


def planned(model: Model) -> Compiled:
    for board in BOARDS:
        try:
            return plan(model, board)
        except FitError:
            continue
    raise AssertionError("no board holds it")


@pytest.fixture(scope="module", params=zoo.names())
def network(request: pytest.FixtureRequest) -> Compiled:
    if request.param not in DIFFERENT and not request.config.getoption("--zoo"):
        pytest.skip("make zoo runs it")
    return planned(quantized(small(request.param), request.param))


def assert_equal(compiled: Compiled, samples: int, where: Where, out: Path | None = None) -> None:
    result = verify(compiled, compiled.board, where=where, samples=samples, out=out)
    assert result["samples"] == samples
    assert (result["mismatches"], result["first_divergent_layer"]) == (0, None)


def test_on_the_host(network):
    assert network.board.name == BOARDS[0]
    assert_equal(network, 3, Where(host=True))


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_on_the_virtual_board(network, tmp_path, request):
    if network.model.path.stem not in ON_BOARD and not request.config.getoption("--zoo"):
        pytest.skip("make zoo runs it")
    assert_equal(network, 2, Where(virtual=True), tmp_path / "project")


@pytest.mark.parametrize("name", zoo.names())
def test_as_published(name, request):
    if not request.config.getoption("--zoo"):
        pytest.skip("make zoo runs it")
    compiled = planned(quantized(zoo.build(name, seed=1), name))
    assert_equal(compiled, 1, Where(host=True))
