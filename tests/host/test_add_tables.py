"""Sums by tables: every pair of elements, in the placements that the kernel allows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.family_check import check_placements
from tests.support.graph_builder import GraphBuilder
from tinyvision.ir import ops, reference
from tinyvision.ir.graph import Graph
from tinyvision.kernels.add_tables import TEMPLATE, tables
from tinyvision.kernels.choose import candidates
from tinyvision.target import CORES


def drawn(kind: type[ops.Op], count: int, clamp: tuple[int, int] = (-128, 127)) -> list[Graph]:
    """Sums of scales up to eight times apart, of 256 elements and some more."""
    rng = np.random.default_rng(3)
    graphs = []
    for number in range(count):
        builder = GraphBuilder()
        scales = 2.0 ** rng.uniform(-3, 0, 3)
        zero_points = [int(zero) for zero in rng.integers(-128, 128, 3)]
        shape = (1, 16, 16 + number % 4)
        a, b = (builder.input(shape, (scales[i], zero_points[i])) for i in range(2))
        y = builder.op(kind, a, b, quant=(scales[2], zero_points[2]), clamp=clamp)
        graphs.append(builder.build(y))
    return graphs


@pytest.mark.parametrize("kind", [ops.Add, ops.Sub])
def test_every_pair_of_elements(kind: type[ops.Op]) -> None:
    every = np.arange(-128, 128, dtype=np.int8)
    found = 0
    for graph in drawn(kind, 40):
        (op,) = graph.ops
        fitted = tables(graph, op)  # type: ignore[arg-type]
        if fitted is None:
            continue
        found += 1
        of_a, of_b = (words.astype(np.int64) for words in fitted.words)
        bytes_of = every.view(np.uint8)
        sums = of_a[bytes_of][:, None] + of_b[bytes_of]
        assert np.all(sums == sums.astype(np.int32))
        run = reference.elementwise.add if kind is ops.Add else reference.elementwise.sub
        expected = run(graph, op, every[:, None], every)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.clip(sums >> fitted.fraction, -128, 127), expected)
    assert found > 25


def test_no_tables_for_other_clamps() -> None:
    (graph,) = drawn(ops.Add, 1, clamp=(-100, 127))
    assert tables(graph, graph.ops[0]) is None  # type: ignore[arg-type]


def test_equal_to_the_oracle_in_every_placement() -> None:
    graphs = drawn(ops.Add, 6) + drawn(ops.Sub, 3)
    kernels = [k.template for g in graphs for k in candidates(g, g.ops[0], CORES["cortex-m4"])]
    assert TEMPLATE in kernels
    check_placements(graphs, "cortex-m4")
