"""Layers of different shapes that share functions, equal to the oracle under sanitizers."""

from __future__ import annotations

import re

import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import check_placements, drawn
from tests.support.kernel_check import check_plan
from tests.support.shared_cases import CASES, variants, weighted
from tests.support.shared_cases import planned as plan_of
from tinyvision.codegen import emit
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
@pytest.mark.parametrize("kind", CASES)
def test_equal_to_the_oracle(kind: str, core: str) -> None:
    for variant, graphs in variants(CASES[kind](), CORES[core]).items():
        check_plan(*plan_of(graphs, CORES[core], variant), goal="balanced")


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_oracle_at_the_edges(family: str) -> None:
    def check(graph: Graph, plan: Plan) -> None:
        check_plan(graph, plan, rounds=1, goal="size")

    check_placements(drawn(FAMILIES[family], 3), "cortex-m4", check)


def functions(graph: Graph, plan: Plan, goal: str) -> list[str]:
    text = emit(graph, plan, load_board("host"), goal=goal)["src/tv_cases.c"]
    return re.findall(r"^static .*\b(tv_\w+)\(", text, re.MULTILINE)


def test_functions_are_shared_where_code_is_to_be_small() -> None:
    """Those that differ: the last layer has three pixels left over."""
    graphs = [
        weighted(0, Conv2D, size, (channels, 1, 1, depth), stride=(1, 1))
        for size, depth, channels in (((4, 4), 8, 2), ((4, 2), 40, 6), ((3, 5), 24, 4))
    ]
    graph, plan = plan_of(graphs, CORES["cortex-m4"], "conv2d_1x1_dsp")
    name = "tv_conv2d_1x1_dsp"
    own, rest = ("_widen4", "_dot4", ""), ("_widen3", "_dot3", "")
    assert functions(graph, plan, "speed") == [
        *(f"{name}_{number}{end}" for number in (0, 1) for end in own),
        *(f"{name}_2{end}" for end in (*own[:2], *rest)),
    ]
    assert functions(graph, plan, "balanced") == [
        *(f"{name}_0{end}" for end in own),
        *(f"{name}_2{end}" for end in rest),
    ]
