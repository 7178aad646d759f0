"""The oracle on real networks, where they are: recorded answers of tflite-runtime's reference
kernels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.one_op import tflite_run
from tinyvision import importer
from tinyvision.ir import reference

MODELS = Path(__file__).parents[3] / "shared" / "models"
NAMES = ("vww_mobilenet_v1", "ic_resnet8", "kws_dscnn", "ad_autoencoder", "vww_mcunet")

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason=f"no models in {MODELS}")


@pytest.mark.parametrize("name", NAMES)
def test_golden_outputs(name):
    graph = importer.load(MODELS / f"{name}.tflite")
    golden = np.load(MODELS / f"{name}.golden.npz")
    shape = graph.tensor(graph.inputs[0]).shape
    for sample, expected in zip(golden["inputs"], golden["outputs_0"], strict=True):
        (actual,) = reference.run(graph, [sample.reshape(shape)])
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual.reshape(expected.shape), expected)


@pytest.mark.parametrize("name", NAMES)
def test_golden_logits(name):
    """What goes into the softmax, which hides small differences."""
    golden = np.load(MODELS / f"{name}.golden.npz")
    if "logits" not in golden:
        pytest.skip("no softmax")
    graph = importer.load(MODELS / f"{name}.tflite")
    (softmax,) = [op for op in graph.ops if op.kind == "Softmax"]
    shape = graph.tensor(graph.inputs[0]).shape
    for sample, expected in zip(golden["inputs"], golden["logits"], strict=True):
        actual = reference.run_all(graph, [sample.reshape(shape)])[softmax.inputs[0]]
        np.testing.assert_array_equal(actual.reshape(expected.shape), expected)


@pytest.mark.parametrize("name", NAMES)
def test_random_inputs_equal_tflite(name):
    path = MODELS / f"{name}.tflite"
    graph = importer.load(path)
    rng = np.random.default_rng(1)
    shape = graph.tensor(graph.inputs[0]).shape
    golden = np.load(MODELS / f"{name}.golden.npz")["inputs"]
    for _ in range(2):
        sample = rng.uniform(golden.min(), golden.max(), shape).astype(golden.dtype)
        (actual,) = reference.run(graph, [sample])
        (expected,) = tflite_run(path.read_bytes(), [sample])
        np.testing.assert_array_equal(actual, expected)
