"""Plans with the kernels that exist, for real networks and for random graphs of every operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import board
from tests.support.random_graphs import graphs, random_inputs
from tinyvision import importer, passes, schedule
from tinyvision.ir import reference
from tinyvision.ir.macs import graph_macs
from tinyvision.schedule.check import check_plan
from tinyvision.schedule.execute import execute
from tinyvision.target import load_board

MODELS = Path(__file__).parents[3] / "shared" / "models"


def assert_computes(graph, plan, inputs, seed=0):
    check_plan(graph, plan)
    values = reference.run_all(graph, inputs)
    found = execute(graph, plan, {name: values[name] for name in graph.inputs}, seed)
    for name, value in found.items():
        np.testing.assert_array_equal(value, values[name])


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_random_graphs_of_every_operator(graph, seed):
    graph = passes.run(graph)
    plan = schedule.plan(graph, board(1 << 20), macs_original=graph_macs(graph))
    assert_computes(graph, plan, random_inputs(graph, np.random.default_rng(seed)), seed)


# TFLM's arenas: 100.7, 55.0, 22.8, 2.6 and 219.8 KB.
@pytest.mark.parametrize(
    ("name", "most_bytes"),
    [
        ("vww_mobilenet_v1", 40_000),
        ("ic_resnet8", 36_700),
        ("kws_dscnn", 10_000),
        ("ad_autoencoder", 768),
        ("vww_mcunet", 81_000),
    ],
)
@pytest.mark.parametrize("target", ["stm32h7", "stm32f4", "host"])
def test_real_networks_stay_small(name, most_bytes, target):
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    imported = importer.load(path)
    graph = passes.run(imported)
    plan = schedule.plan(graph, load_board(target), macs_original=graph_macs(imported))
    assert plan.sram_bytes <= most_bytes
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    assert_computes(
        graph, plan, [golden["inputs"][:1].reshape(graph.tensor(graph.inputs[0]).shape)]
    )


README_ROWS = {
    "vww_mobilenet_v1": "MLPerf Tiny VWW",
    "ic_resnet8": "MLPerf Tiny IC",
    "kws_dscnn": "MLPerf Tiny KWS",
    "ad_autoencoder": "MLPerf Tiny AD",
    "vww_mcunet": "MCUNet VWW",
}


@pytest.mark.parametrize("name", README_ROWS)
def test_the_figures_of_the_readme(name):
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in readme.splitlines() if line.startswith(f"| {README_ROWS[name]}"))
    imported = importer.load(path)
    macs = graph_macs(imported)
    plan = schedule.plan(passes.run(imported), load_board("stm32h7"), macs_original=macs)
    _, sram, _, stated_macs, executed = (cell.strip() for cell in row.strip("|").split("|"))
    assert sram == f"{plan.sram_bytes / 1e3:.1f} KB"
    assert stated_macs == f"{macs / 1e6:.2f} M"
    assert executed == f"{plan.macs_executed / 1e6:.2f} M"
