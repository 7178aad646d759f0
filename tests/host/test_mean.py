"""Mean on the host."""

from __future__ import annotations

from itertools import product

import pytest

from tests.support.family_check import check_kind
from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import check_graphs
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_equals_the_oracle_in_every_placement(core: str) -> None:
    check_kind("Mean", core=core, count=24)


def mean_graph(shape: tuple[int, ...], ratio: float, zero_point: int) -> Graph:
    builder = GraphBuilder()
    x = builder.input(shape, (0.5, zero_point))
    return builder.build(builder.op(ops.Mean, x, axes=(1, 2), quant=(0.5 * ratio, -zero_point)))


@pytest.mark.parametrize(
    "shape", [(1, 64, 65, 2), (1, 16, 16, 4), (1, 3, 1, 9), (2, 1, 1, 1), (5, 3, 2, 1)]
)
def test_many_elements_and_scales_far_apart(shape: tuple[int, ...]) -> None:
    ratios = (1e-7, 1e-3, 1.0, 1e4, 1e9)
    graphs = [mean_graph(shape, r, z) for r, z in product(ratios, (-128, 0, 127))]
    check_graphs(graphs, "cortex-m4")
