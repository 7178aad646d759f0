"""Streams in generated C under sanitizers: random segments, rows pushed, real networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import fuzz_graphs
from tests.support.networks import Builder
from tests.support.random_blocks import random_blocks
from tests.support.random_cuts import random_cut_plan, streams_plan
from tests.support.random_graphs import random_inputs
from tests.support.random_wide import random_wide
from tinyvision import importer, passes, schedule
from tinyvision.codegen import emit
from tinyvision.device.host import HostModel, HostProgram
from tinyvision.ir import ops, reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board

MODELS = Path(__file__).parents[3] / "shared" / "models"


def model(graph: Graph, plan: Plan) -> HostModel:
    return HostModel(graph, plan, emit(graph, plan, load_board("host")))


def equal_the_oracle(models: Sequence[HostModel], rng: np.random.Generator, at_once: int) -> None:
    """On random inputs, whole and, where they arrive, so many rows at a time."""
    with HostProgram(models, optimize="-O0", sanitize=True) as program:
        for index, entry in enumerate(models):
            inputs = random_inputs(entry.graph, rng)
            want = reference.run(entry.graph, inputs)
            np.testing.assert_array_equal(program.run(inputs, index), want)
            if entry.plan.rows_arrive:
                np.testing.assert_array_equal(program.push(inputs, index, at_once), want)


def network() -> Graph:
    """Windows of several sizes, a residual connection, a mean over everything."""
    net = Builder("streamed")
    x = net.conv(net.input(1, 13, 9, 3), 8, 3, 2)
    x = net.add(x, net.conv(net.depthwise(net.conv(x, 12), 5), 8))
    x = net.depthwise(x, 3, 2)
    return net.graph(net.conv(x, 5, 3))


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
def test_any_segments_give_the_same(core: str) -> None:
    graph = network()
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(3)
    models = []
    for number in range(8):
        named = replace(graph, name=f"streamed{number}")
        models.append(model(named, random_cut_plan(named, board, rng, number % 2 == 1)))
    assert any(m.plan.rows_arrive for m in models)
    x = rng.integers(-128, 128, (1, 13, 9, 3), dtype=np.int8)
    want = reference.run(graph, [x])
    with HostProgram(models, optimize="-O0", sanitize=True) as program:
        for index, entry in enumerate(models):
            np.testing.assert_array_equal(program.run([x], index), want)
            for at_once in (1, 4, 13) if entry.plan.rows_arrive else ():
                np.testing.assert_array_equal(program.push([x], index, at_once), want)


def test_several_rows_in_a_turn() -> None:
    """First and last turns of fewer rows, strides, rings that begin anywhere; rows that arrive."""
    board = replace(load_board("host"), core=CORES["cortex-m4"])
    rng = np.random.default_rng(5)
    models = []
    for number, rows in enumerate((2, 4, 2, 4)):
        net = Builder(f"turns{number}", seed=number)
        x = net.conv(net.input(1, 14 + number, 5, 3), 8, 3, 2 if number == 3 else 1)
        x = net.conv(net.depthwise(x, 3), 8)
        x = net.conv(net.depthwise(x, 5), 9)
        if number % 2:
            x = net.add(x, net.conv(net.depthwise(net.conv(x, 12), 3), 9))
        graph = net.graph(net.depthwise(x, 3, 2))
        models.append(model(graph, streams_plan(graph, board, [len(graph.ops)], rows, True)))
        steps = models[-1].plan.steps
        assert any(s.kernel.rows == rows for s in steps)
    assert any(s.first_rows < s.rows for m in models for s in m.plan.steps)
    assert all(m.plan.rows_arrive for m in models)
    equal_the_oracle(models, rng, 3)


@pytest.mark.parametrize("variant", ["conv2d_winograd_4x4", "conv2d_winograd_4x8"])
def test_tiles_of_four_rows(variant: str) -> None:
    """Rows of fewer tiles than lanes and more, cut off below and at the right; padding and none."""
    board = replace(load_board("host"), core=CORES["cortex-m4"])
    rng = np.random.default_rng(7)
    models = []
    for number, (height, width) in enumerate(((9, 19), (8, 21), (14, 40), (7, 17))):
        net = Builder(f"tiles{number}", seed=number)
        x = net.conv(net.conv(net.input(1, height, width, 4), 8, 3), 5, 3)
        graph = net.graph(net.conv(x, 4, 3, 2))
        models.append(model(graph, streams_plan(graph, board, [3], 4, number % 2 == 1, variant)))
        assert [step.kernel.variant for step in models[-1].plan.steps[:2]] == [variant] * 2
    equal_the_oracle(models, rng, 3)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_random_blocks_in_slices(core: str) -> None:
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(11)
    models = []
    while len(models) < 4:
        graph = replace(random_blocks(rng), name=f"sliced{len(models)}")
        plan = random_cut_plan(graph, board, rng, len(models) % 2 == 1, thrifty=True)
        if any(step.channels for step in plan.steps):
            models.append(model(graph, plan))
    equal_the_oracle(models, rng, 2)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m55"])
def test_rows_in_pieces(core: str) -> None:
    """Tiles with borders on all sides, over the end of a ring; rows that arrive, and whole ones."""
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(13)
    models = []
    for number, pieces in enumerate((2, 3, 5, 2, 3, 5)):
        graph = random_wide(rng, pieces, f"pieces{number}")
        ends = [3, len(graph.ops)] if number > 3 else [len(graph.ops)]
        plan = streams_plan(graph, board, ends, 1, number % 2 == 1, pieces=pieces)
        assert all(step.pieces == pieces for step in plan.steps)
        models.append(model(graph, plan))
    assert any(m.plan.rows_arrive for m in models)
    equal_the_oracle(models, rng, 2)


@pytest.mark.parametrize("kind", [ops.ResizeNearest, ops.ResizeBilinear])
def test_rows_are_resized(kind: type[ops.Op]) -> None:
    """By whole factors and others, more rows and fewer, with all three ways to count positions."""
    ways: tuple[dict[str, bool], ...] = ({}, {"align_corners": True}, {"half_pixel_centers": True})
    board = load_board("host")
    models = []
    for number, (height, way) in enumerate(product((18, 16, 4), ways)):
        net = Builder(f"resized{number}", seed=number)
        x = net.conv(net.input(1, 6, 5, 3), 8, 3)
        x = net._op(kind, (x,), (1, height, 7, 8), **way)
        graph = net.graph(net.conv(x, 4, 3, 2))
        models.append(model(graph, streams_plan(graph, board, [3], 1 + number % 2, True)))
    assert all(m.plan.rows_arrive and m.plan.segment_of(1).is_stream for m in models)
    assert all(m.plan.buffers[m.graph.ops[1].outputs[0]].slots > 1 for m in models)
    equal_the_oracle(models, np.random.default_rng(0), 1)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_a_dense_layer_adds_up_rows(core: str) -> None:
    """Rows of a multiple of four elements and others, blocks of channels and what is left."""
    board = replace(load_board("host"), core=CORES[core])
    models = []
    for number, (channels, units) in enumerate(((8, 10), (3, 4), (5, 1))):
        net = Builder(f"dense{number}", seed=number)
        x = net.conv(net.input(1, 13, 7, 3), channels, 3, 2)
        graph = net.graph(net.dense(x, units))
        plan = schedule.plan(graph, board, macs_original=0, schedule="stream", rows_arrive=True)
        assert plan.steps[-1].kernel.template == "fully_connected_rows"
        models.append(model(graph, plan))
    assert all(m.plan.rows_arrive for m in models)
    equal_the_oracle(models, np.random.default_rng(0), 3)


@pytest.mark.parametrize("external", [DType.FLOAT32, DType.UINT8])
def test_rows_are_converted_as_they_come(external: DType) -> None:
    graph = network()
    graph = replace(graph, interface={graph.inputs[0]: external})
    board = load_board("host")
    rng = np.random.default_rng(0)
    while not (plan := random_cut_plan(graph, board, rng, rows_arrive=True)).rows_arrive:
        pass
    x = rng.integers(0, 255, (1, 13, 9, 3)).astype(external.numpy)
    if external is DType.FLOAT32:
        x = (x * 0.05 - 6).astype(np.float32)
    with HostProgram([model(graph, plan)], optimize="-O0", sanitize=True) as program:
        want = reference.run(graph, [x])
        np.testing.assert_array_equal(program.push([x]), want)
        np.testing.assert_array_equal(program.push([x]), want)
        np.testing.assert_array_equal(program.run([x]), want)


def test_random_graphs_equal_the_oracle() -> None:
    failures = fuzz_graphs.fuzz(count=12, seed=5)
    assert not failures, "\n".join(failures)


def test_the_first_operand_of_a_streamed_operator_may_be_a_constant() -> None:
    """Drawn as number 425: a constant of one axis less a tensor, in a stream."""
    failures = fuzz_graphs.fuzz(count=1, seed=77, first=425)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("vww_mobilenet_v1", "host"),
        ("ic_resnet8", "stm32h7"),
        ("kws_dscnn", "stm32h7"),
        ("vww_mcunet", "host"),
    ],
)
def test_real_networks(name: str, target: str) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    graph = passes.run(importer.load(path))
    board = load_board(target)
    models = []
    for rows in (False, True):
        named = replace(graph, name=f"{name}_{rows}")
        plan = schedule.plan(named, board, macs_original=0, schedule="stream", rows_arrive=rows)
        models.append(model(named, plan))
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    with HostProgram(models, optimize="-O0", sanitize=True) as program:
        for sample in (0, 9):
            x = golden["inputs"][sample].reshape(graph.tensor(graph.inputs[0]).shape)
            want = golden["outputs_0"][sample]
            for index in range(2):
                assert program.run([x], index)[0].tobytes() == want.tobytes()
            assert program.push([x], 1)[0].tobytes() == want.tobytes()
