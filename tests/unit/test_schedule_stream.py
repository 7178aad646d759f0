"""Plans that stream rows: sound whatever the segments, and as small as they should be."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.mobilenet import mobilenet_v2
from tests.support.networks import Builder, board
from tests.support.random_blocks import random_blocks
from tests.support.random_cuts import random_cut_plan, streams_plan
from tests.support.random_graphs import graphs, random_inputs
from tests.support.random_wide import random_wide
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


@given(graphs(), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=150, deadline=None)
def test_random_segments_of_random_graphs(graph, seed, rows_arrive):
    graph = passes.run(graph)
    rng = np.random.default_rng(seed)
    plan = random_cut_plan(graph, board(1 << 20), rng, rows_arrive)
    assert_computes(graph, plan, random_inputs(graph, rng), seed)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=30, deadline=None)
def test_random_slices_of_random_blocks(seed, rows_arrive):
    rng = np.random.default_rng(seed)
    graph = random_blocks(rng)
    plan = random_cut_plan(graph, board(1 << 20), rng, rows_arrive, thrifty=True)
    event(f"{sum(step.channels > 0 for step in plan.steps) // 2} sliced")
    event(f"{sum(step.pieces > 1 for step in plan.steps)} in pieces")
    assert_computes(graph, plan, random_inputs(graph, rng), seed)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 7]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_pieces_of_rows(seed, pieces, rows_arrive):
    rng = np.random.default_rng(seed)
    graph = random_wide(rng, pieces)
    plan = streams_plan(graph, board(1 << 20), [len(graph.ops)], 1, rows_arrive, pieces=pieces)
    assert all(step.pieces == pieces for step in plan.steps)
    assert plan.rows_arrive == rows_arrive
    assert_computes(graph, plan, random_inputs(graph, rng), seed)


@given(graphs(), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_searched_segments_of_random_graphs(graph, seed, rows_arrive):
    graph = passes.run(graph)
    target, macs = board(1 << 20), graph_macs(graph)
    plan = schedule.plan(
        graph, target, macs_original=macs, schedule="stream", rows_arrive=rows_arrive
    )
    assert plan.sram_bytes <= plan.sram_with_input_bytes or not rows_arrive
    assert_computes(graph, plan, random_inputs(graph, np.random.default_rng(seed)), seed)


# Peaks with the whole input in memory and with its rows arriving; the issue of it all.
PEAKS = [
    ("vww_mobilenet_v1", 29_000, 14_500),
    ("ic_resnet8", 14_800, 13_300),
    ("kws_dscnn", 5_100, 4_800),
    ("vww_mcunet", 22_100, 16_100),
]


@pytest.mark.parametrize(("name", "whole_bytes", "rows_bytes"), PEAKS)
@pytest.mark.parametrize("rows_arrive", [False, True])
def test_real_networks(name, whole_bytes, rows_bytes, rows_arrive):
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    imported = importer.load(path)
    graph = passes.run(imported)
    plan = schedule.plan(
        graph,
        load_board("stm32h7"),
        macs_original=graph_macs(imported),
        schedule="stream",
        rows_arrive=rows_arrive,
    )
    assert plan.sram_bytes <= (rows_bytes if rows_arrive else whole_bytes)
    assert plan.sram_with_input_bytes <= whole_bytes
    assert plan.recompute_factor == 1.0
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    assert_computes(
        graph, plan, [golden["inputs"][:1].reshape(graph.tensor(graph.inputs[0]).shape)]
    )


@pytest.mark.parametrize(("rows_arrive", "limit_bytes"), [(False, 215_000), (True, 135_000)])
def test_a_network_of_65_layers(rows_arrive, limit_bytes):
    graph = passes.run(mobilenet_v2())
    target = replace(load_board("stm32h7"), flash_bytes=8 << 20)
    started = time.process_time()
    plan = schedule.plan(graph, target, macs_original=0, schedule="stream", rows_arrive=rows_arrive)
    assert time.process_time() - started <= 20
    assert plan.sram_bytes <= limit_bytes


def test_a_network_below_what_streams_need_that_compute_rows_once():
    path = MODELS / "vww_mcunet.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    graph = passes.run(importer.load(path))
    plan = schedule.plan(
        graph,
        load_board("stm32h7"),
        macs_original=0,
        schedule="stream",
        rows_arrive=True,
        sram_limit=12_000,
    )
    assert plan.sram_bytes <= 12_000
    assert 1.0 < plan.recompute_factor <= 1.35
    golden = np.load(path.with_suffix("").with_suffix(".golden.npz"))
    assert_computes(
        graph, plan, [golden["inputs"][:1].reshape(graph.tensor(graph.inputs[0]).shape)]
    )


@pytest.mark.parametrize("rows_arrive", [False, True])
def test_room_that_a_limit_leaves_is_spent_on_speed(rows_arrive):
    b = Builder()
    x = b.conv(b.input(1, 24, 5, 8), 32)
    for _ in range(2):
        x = b.conv(b.depthwise(x), 32)
    graph, target = b.graph(b.conv(x, 8)), load_board("stm32h7")

    def planned(limit):
        return schedule.plan(
            graph,
            target,
            macs_original=0,
            schedule="stream",
            rows_arrive=rows_arrive,
            sram_limit=limit,
        )

    least = planned(None)
    fast = planned(3 * least.sram_bytes)
    assert least.sram_bytes < fast.sram_bytes <= 3 * least.sram_bytes
    assert fast.estimated_cycles < 0.9 * least.estimated_cycles


def test_rows_that_nobody_reads_stay_until_their_stream_is_done():
    """Whoever compares layer by layer reads all rows of what outlives a stream."""
    b = Builder()
    both = b.conv(b.input(1, 3, 4, 8), 8)
    first = b.conv(b.conv(both, 8, stride=2), 8, kernel=3)
    second = b.conv(both, 8, stride=2)
    graph = b.graph(b.add(first, second))
    plan = streams_plan(graph, board(1 << 20), [3, 5])
    assert both in plan.results(graph, 0)
    assert_computes(graph, plan, random_inputs(graph, np.random.default_rng(0)))


def streamed_plan():
    path = MODELS / "kws_dscnn.tflite"
    if not path.is_file():
        pytest.skip("no shared models")
    imported = importer.load(path)
    graph = passes.run(imported)
    target = load_board("stm32h7")
    return graph, schedule.plan(graph, target, macs_original=0, schedule="stream")


def test_a_ring_too_small_is_found():
    graph, plan = streamed_plan()
    ring = max(plan.buffers.values(), key=lambda b: b.slots)
    size = ring.size_bytes // ring.slots
    smaller = replace(ring, slots=ring.slots - 1, size_bytes=ring.size_bytes - size)
    broken = replace(plan, buffers={**plan.buffers, ring.name: smaller})
    with pytest.raises(ValueError, match="overwritten"):
        check_plan(graph, broken)


def test_turns_out_of_order_are_found():
    graph, plan = streamed_plan()
    (segment, *rest) = plan.segments
    turns = (segment.turns[-1], *segment.turns[:-1])
    broken = replace(plan, segments=(replace(segment, turns=turns), *rest))
    with pytest.raises(ValueError, match="overwritten, or never written"):
        check_plan(graph, broken)


def test_every_byte_of_a_plan_is_needed():
    """Moving any buffer of a tight plan down by a word destroys something."""
    graph, plan = streamed_plan()
    found = 0
    for buffer in plan.buffers.values():
        if buffer.offset == 0:
            continue
        moved = replace(buffer, offset=buffer.offset - 8)
        broken = replace(plan, buffers={**plan.buffers, buffer.name: moved})
        try:
            check_plan(graph, broken)
        except ValueError:
            found += 1
    assert found > len(plan.buffers) // 2
