"""Plans that run operators tile by tile: sound whatever the tiles, and as small as they should
be.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import Builder, board
from tests.support.random_graphs import graphs, random_inputs
from tests.support.random_patches import random_patch_plan
from tinyvision import importer, passes, schedule
from tinyvision.errors import FitError, UserError
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import graph_macs
from tinyvision.kernels.tiles import COLUMNS, ROWS, has_tiles, restricted, spans_read
from tinyvision.schedule.check import check_plan
from tinyvision.schedule.execute import execute
from tinyvision.schedule.tiling import tiling, tiling_of
from tinyvision.target import load_board

MODELS = Path(__file__).parents[3] / "shared" / "models"


def assert_computes(graph, plan, inputs, seed=0):
    check_plan(graph, plan)
    values = reference.run_all(graph, inputs)
    found = execute(graph, plan, {name: values[name] for name in graph.inputs}, seed)
    for name, value in found.items():
        np.testing.assert_array_equal(value, values[name])


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_any_rectangle_of_an_operator(graph, seed):
    """Computed from the rectangles it says it needs, it is what all of it has there."""
    rng = np.random.default_rng(seed)
    values = reference.run_all(graph, random_inputs(graph, rng))
    for op in graph.ops:
        if not has_tiles(graph, op):
            continue
        height, width = graph.tensor(op.outputs[0]).shape[1:3]
        rows, columns = (tuple(sorted(rng.choice(n + 1, 2, False))) for n in (height, width))
        down = spans_read(graph, op, ROWS, rows)
        across = spans_read(graph, op, COLUMNS, columns)
        if any(span is not None and span[0] >= span[1] for span in (*down, *across)):
            continue
        alone, part = restricted(*restricted(graph, op, ROWS, rows), COLUMNS, columns)
        inputs = [
            graph.tensor(name).data if r is None else values[name][:, slice(*r), slice(*c)]
            for name, r, c in zip(op.inputs, down, across, strict=True)
        ]
        for name, result in zip(op.outputs, reference.evaluate(alone, part, inputs), strict=True):
            want = values[name][:, slice(*rows), slice(*columns)]
            np.testing.assert_array_equal(result, want)


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_random_patches_of_random_graphs(graph, seed):
    graph = passes.run(graph)
    rng = np.random.default_rng(seed)
    plan = random_patch_plan(graph, board(1 << 20), rng)
    if plan is not None:
        assert_computes(graph, plan, random_inputs(graph, rng), seed)


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_searched_patches_of_random_graphs(graph, seed):
    graph = passes.run(graph)
    target, macs = board(1 << 20), graph_macs(graph)
    plan = schedule.plan(graph, target, macs_original=macs, schedule="patch")
    layers = schedule.plan(graph, target, macs_original=macs, schedule="layer", sram_limit=None)
    assert plan.sram_bytes <= layers.sram_bytes * 17 // 16
    assert plan.macs_executed >= plan.macs_graph
    assert_computes(graph, plan, random_inputs(graph, np.random.default_rng(seed)), seed)


def network() -> Graph:
    net = Builder("patched")
    x = net.conv(net.input(1, 40, 36, 3), 8, 3, 2)
    x = net.add(x, net.conv(net.depthwise(net.conv(x, 24), 3), 8))
    return net.graph(net.depthwise(x, 3, 2))


def test_receptive_fields():
    """Two windows of 3 with strides 1 and 2: tiles of 5 rows need 11, then 13 and 2 more under the
    first window; at the border the padding takes their place.
    """
    net = Builder()
    x = net.conv(net.input(1, 40, 40, 3), 4, 3)
    graph = net.graph(net.depthwise(x, 3, 2))
    tiles = tiling(graph, graph.ops, (4, 2))
    assert tiles is not None and tiles.grid == (4, 2)
    (source,), (result,), (middle,) = tiles.inputs, tiles.outputs, tiles.inner
    assert [spans[result] for spans in tiles.rows] == [(0, 5), (5, 10), (10, 15), (15, 20)]
    assert [spans[middle] for spans in tiles.rows] == [(0, 11), (10, 21), (20, 31), (30, 40)]
    assert [spans[source] for spans in tiles.rows] == [(0, 12), (9, 22), (19, 32), (29, 40)]
    assert tiles.held(middle) == (11, 21)
    assert tiles.halo(source) == (3, 3)


def test_what_is_computed_twice_is_counted():
    graph = network()
    macs = graph_macs(graph)
    plan = schedule.plan(
        graph, board(1 << 20), macs_original=macs, schedule="patch", patches=(3, 3)
    )
    segment = plan.segments[0]
    assert segment.kind == "patch" and segment.grid == (3, 3)
    tiles = tiling_of(graph, plan, segment)
    executed = 0
    for step, op in zip(plan.steps, tiles.ops, strict=False):
        name = op.outputs[0]
        areas = [
            (r[name][1] - r[name][0]) * (c[name][1] - c[name][0])
            for r in tiles.rows
            for c in tiles.columns
        ]
        height, width = graph.tensor(name).shape[1:3]
        executed += step.macs * sum(areas) / (height * width)
    executed += sum(step.macs for step in plan.steps[segment.last_step + 1 :])
    assert plan.macs_executed == executed > macs
    assert plan.recompute_factor == executed / macs
    assert plan.to_json()["segments"][0]["grid"] == [3, 3]


def test_a_limit_is_kept_with_as_little_recomputation_as_can_be():
    graph = network()
    target, macs = board(1 << 20), graph_macs(graph)
    least = schedule.plan(graph, target, macs_original=macs, schedule="patch")
    found = []
    for share in (1.0, 1.15, 1.3, 1.6):
        limit = int(least.sram_bytes * share)
        plan = schedule.plan(graph, target, macs_original=macs, schedule="patch", sram_limit=limit)
        assert plan.sram_bytes <= limit
        found.append(plan.macs_executed)
    assert all(looser <= tighter for tighter, looser in pairwise(found)) and found[0] > found[-1]
    with pytest.raises(FitError):
        schedule.plan(graph, target, macs_original=macs, schedule="patch", sram_limit=4500)


def test_a_grid_that_is_asked_for_is_not_replaced():
    graph, target = network(), board(1 << 20)
    for grid in ((2, 3), (1, 1), (1, 7)):
        plan = schedule.plan(graph, target, macs_original=0, schedule="patch", patches=grid)
        assert plan.segments[0].grid == grid
    with pytest.raises(UserError, match="cannot run in 99x2 patches"):
        schedule.plan(graph, target, macs_original=0, schedule="patch", patches=(99, 2))
    with pytest.raises(FitError, match="4,000 bytes in 2x2 patches"):
        schedule.plan(
            graph, target, macs_original=0, schedule="patch", patches=(2, 2), sram_limit=4000
        )


def test_overlapping_tiles_are_found():
    graph = network()
    plan = schedule.plan(graph, board(1 << 20), macs_original=0, schedule="patch", patches=(2, 2))
    check_plan(graph, plan)
    tiles = [b for b in plan.buffers.values() if b.tile != (0, 0)]
    assert tiles
    for buffer in tiles:
        thinner = replace(buffer, tile=(buffer.tile[0] - 1, buffer.tile[1]))
        with pytest.raises(ValueError, match="rows and columns"):
            check_plan(graph, replace(plan, buffers={**plan.buffers, buffer.name: thinner}))
    found = 0
    for buffer in plan.buffers.values():
        moved = replace(buffer, offset=buffer.offset - 8)
        try:
            check_plan(graph, replace(plan, buffers={**plan.buffers, buffer.name: moved}))
        except ValueError:
            found += 1
    assert found > len(plan.buffers) // 2


@pytest.mark.parametrize(("name", "most_bytes"), [("vww_mcunet", 30_000), ("ic_resnet8", 21_000)])
def test_real_networks(name, most_bytes):
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    imported = importer.load(path)
    graph = passes.run(imported)
    macs = graph_macs(imported)
    plan = schedule.plan(graph, load_board("stm32h7"), macs_original=macs, schedule="patch")
    assert plan.segments[0].kind == "patch"
    assert plan.sram_bytes <= most_bytes
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    assert_computes(
        graph, plan, [golden["inputs"][:1].reshape(graph.tensor(graph.inputs[0]).shape)]
    )
