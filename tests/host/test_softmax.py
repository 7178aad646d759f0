"""Softmax on the host."""

from __future__ import annotations

import pytest

from tests.support.family_check import check_kind
from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import check_graphs
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph


def test_equals_the_oracle_in_every_placement() -> None:
    check_kind("Softmax")


def softmax_graph(classes: int, scale: float, beta: float) -> Graph:
    builder = GraphBuilder()
    x = builder.input((3, classes), (scale, 4))
    return builder.build(builder.op(ops.Softmax, x, quant=(1 / 256, -128), beta=beta))


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.1, 1.0, 100.0])
def test_many_classes_and_extreme_scales(scale: float) -> None:
    """With many classes alike the sum is so large that results are below half a step."""
    check_graphs([softmax_graph(n, scale, b) for n in (1, 2, 1000, 3000) for b in (1, 0.3)], "host")
