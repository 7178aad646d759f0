"""Patches in generated C under sanitizers: random tiles of random networks, real networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.networks import Builder
from tests.support.random_patches import random_patch_plan
from tinyvision import importer, passes, schedule
from tinyvision.codegen import emit
from tinyvision.device.host import HostModel, HostProgram
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board

MODELS = Path(__file__).parents[3] / "shared" / "models"


def model(graph: Graph, plan: Plan) -> HostModel:
    return HostModel(graph, plan, emit(graph, plan, load_board("host")))


def network() -> Graph:
    """Windows of several sizes, a residual connection, a concatenation."""
    net = Builder("patched")
    x = net.conv(net.input(1, 23, 19, 3), 8, 3, 2)
    x = net.add(x, net.conv(net.depthwise(net.conv(x, 12), 5), 8))
    x = net.concat(x, net.depthwise(x, 3))
    return net.graph(net.conv(net.depthwise(x, 3, 2), 5, 3))


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_any_tiles_give_the_same(core: str) -> None:
    graph = network()
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(3)
    models = []
    while len(models) < 4:
        named = replace(graph, name=f"patched{len(models)}")
        plan = random_patch_plan(named, board, rng)
        assert plan is not None
        models.append(model(named, plan))
    x = rng.integers(-128, 128, (1, 23, 19, 3), dtype=np.int8)
    want = reference.run(graph, [x])
    with HostProgram(models, optimize="-O0", sanitize=True) as program:
        for index in range(len(models)):
            np.testing.assert_array_equal(program.run([x], index), want)


def test_equal_columns_of_tiles_share_their_code() -> None:
    net = Builder("shared")
    x = net.conv(net.input(1, 64, 64, 3), 4, 3)
    graph = net.graph(net.depthwise(x, 3))
    board = load_board("stm32f4")
    plan = schedule.plan(graph, board, macs_original=0, schedule="patch", patches=(8, 8))
    source = emit(graph, plan, board)["src/tv_shared.c"]
    functions = [line for line in source.splitlines() if line.startswith("static void patch_00_s")]
    assert len(functions) == 2 * 3  # left, middle and right tiles; those above and below alike


@pytest.mark.parametrize("target", ["stm32h7", "host"])
def test_a_real_network(target: str) -> None:
    path = MODELS / "ic_resnet8.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    graph = passes.run(importer.load(path))
    board = load_board(target)
    plan = schedule.plan(graph, board, macs_original=0, schedule="patch", patches=(3, 4))
    assert plan.segments[0].grid == (3, 4)
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    with HostProgram([model(graph, plan)], optimize="-O0", sanitize=True) as program:
        for sample in (0, 9):
            x = golden["inputs"][sample].reshape(graph.tensor(graph.inputs[0]).shape)
            assert program.run([x])[0].tobytes() == golden["outputs_0"][sample].tobytes()
