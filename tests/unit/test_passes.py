"""Every pass, and all of them together, leave every bit of every output as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.equivalence import assert_same_bits
from tests.support.random_graphs import graphs, random_graph
from tinyvision import importer, passes
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import graph_macs
from tinyvision.passes.pipeline import PASSES, Pass

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "models"

# Multiply-accumulates before and after all passes.
EXPECTED_MACS = {
    "ad_autoencoder": (264_192, 264_192),
    "ic_resnet8": (12_501_632, 12_501_632),
    "kws_dscnn": (2_656_768, 2_656_768),
    "vww_mcunet": (11_578_816, 10_869_117),
    "vww_mobilenet_v1": (7_489_664, 3_727_313),
}

seeds = st.integers(0, 2**32 - 1)
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("transform", PASSES, ids=lambda transform: transform.__name__)
@settings(thorough, max_examples=25)
@given(graph=graphs(), seed=seeds)
def test_a_pass_alone_changes_no_bit(transform: Pass, graph: Graph, seed: int) -> None:
    assert_same_bits(graph, transform(graph), seed)


@thorough
@given(graph=graphs(max_ops=14), seed=seeds)
def test_all_passes_together_change_no_bit(graph: Graph, seed: int) -> None:
    optimised = passes.run(graph)
    assert_same_bits(graph, optimised, seed)
    assert graph_macs(optimised) <= graph_macs(graph)
    assert len(optimised.ops) <= len(graph.ops)


@settings(thorough, max_examples=15)
@given(graph=graphs())
def test_the_pipeline_ends_where_no_pass_finds_anything(graph: Graph) -> None:
    optimised = passes.run(graph)
    assert all(transform(optimised) is optimised for transform in PASSES)


def test_every_pass_finds_work_in_random_graphs() -> None:
    """Otherwise the tests above would say nothing."""
    idle = {transform.__name__ for transform in PASSES}
    for seed in range(60):
        graph = random_graph(np.random.default_rng(seed), max_ops=12)
        for transform in PASSES:
            after = transform(graph)
            if after is not graph:
                idle.discard(transform.__name__)
            graph = after
    assert not idle


@pytest.mark.parametrize("name", EXPECTED_MACS)
def test_real_networks(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    graph = importer.load(path)
    optimised = passes.run(graph)
    assert (graph_macs(graph), graph_macs(optimised)) == EXPECTED_MACS[name]
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    for inputs, outputs in zip(golden["inputs"], golden["outputs_0"], strict=True):
        shape = graph.tensor(graph.inputs[0]).shape
        (result,) = reference.run(optimised, [inputs.reshape(shape)])
        assert np.array_equal(result, outputs.reshape(result.shape))
