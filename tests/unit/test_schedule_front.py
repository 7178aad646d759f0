"""The front of memory against cycles, and plans that compute rows more than once."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support.networks import Builder, board
from tinyvision import schedule
from tinyvision.errors import FitError
from tinyvision.ir import reference
from tinyvision.ir.macs import graph_macs
from tinyvision.report import front_html, front_json, front_svg
from tinyvision.schedule.check import check_plan
from tinyvision.schedule.execute import execute

BOARD = board(1 << 18)


def network():
    """Two inverted residual blocks whose expanded tensors are what takes memory."""
    net = Builder("blocks", seed=4)
    x = net.conv(net.input(1, 16, 12, 4), 8, 3)
    for stride in (1, 2):
        x = net.conv(net.depthwise(net.conv(x, 40), 5, stride), 8)
    return net.graph(x)


@pytest.fixture(scope="module")
def front():
    graph = network()
    return schedule.pareto_front(graph, BOARD, macs_original=graph_macs(graph), rows_arrive=True)


def test_no_plan_is_better_than_another_in_both(front):
    assert len(front) >= 3
    assert front[0].recompute_factor == 1.0 < front[-1].recompute_factor
    memory = [plan.sram_bytes for plan in front]
    cycles = [plan.estimated_cycles for plan in front]
    assert memory == sorted(set(memory), reverse=True)
    assert cycles == sorted(set(cycles))


def test_every_plan_computes_the_graph(front):
    graph = network()
    x = np.random.default_rng(0).integers(-128, 128, (1, 16, 12, 4), dtype=np.int8)
    (want,) = reference.run(graph, [x])
    for plan in front:
        check_plan(graph, plan)
        found = execute(graph, plan, {graph.inputs[0]: x})
        np.testing.assert_array_equal(found[graph.outputs[0]], want)


def test_recomputing_counts_what_is_executed(front):
    plan = front[-1]
    again = [plan.expander_of(step) for step in plan.steps if plan.expander_of(step)]
    # A 5x5 window reads 5 rows for one or two; at the edges fewer exist.
    assert plan.macs_executed > plan.macs_graph
    assert plan.macs_executed <= plan.macs_graph + 4 * sum(step.macs for step in again)


def test_a_limit_is_kept_at_the_price_of_recomputing(front):
    graph = network()
    limit = front[-1].sram_bytes
    options = {"macs_original": 0, "schedule": "stream", "rows_arrive": True}
    plan = schedule.plan(graph, BOARD, sram_limit=limit, **options)
    assert plan.sram_bytes <= limit and plan.recompute_factor > 1.0
    assert schedule.plan(graph, BOARD, **options).recompute_factor == 1.0


def test_a_latency_buys_memory(front):
    graph = network()
    options = {"macs_original": 0, "rows_arrive": True}
    for wanted in (front[1], front[-1]):
        plan = schedule.plan(graph, BOARD, latency_ms=wanted.estimated_ms * 1.0001, **options)
        assert plan.sram_bytes == wanted.sram_bytes
    with pytest.raises(FitError, match="no schedule is estimated to take"):
        schedule.plan(graph, BOARD, latency_ms=front[0].estimated_ms * 0.99, **options)


def test_the_front_is_shown(front):
    points = front_json(front)["front"]
    assert [point["sram_bytes"] for point in points] == [plan.sram_bytes for plan in front]
    drawn = ElementTree.fromstring(front_svg(front))
    circles = drawn.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == len(front) + 2
    assert front_html(front).count("<tr>") == len(front) + 1
