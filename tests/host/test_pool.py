"""AveragePool2D and MaxPool2D on the host."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.family_check import check_kind, check_placements
from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import check_graphs
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Padding

PLAIN, SIMD = "cortex-m0plus", "cortex-m4"
NO_PADDING = Padding()
KINDS = [ops.AveragePool2D, ops.MaxPool2D]


def pool(
    kind: type[ops.Op],
    shape: tuple[int, int, int, int],
    window: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
) -> Graph:
    builder = GraphBuilder()
    x = builder.input(shape)
    return builder.build(builder.op(kind, x, window=window, stride=stride, padding=padding))


@pytest.mark.parametrize("core", [PLAIN, SIMD])
@pytest.mark.parametrize("kind", ["AveragePool2D", "MaxPool2D"])
def test_equals_the_oracle_in_every_placement(kind: str, core: str) -> None:
    check_kind(kind, core=core, count=24)


@pytest.mark.parametrize("kind", KINDS)
def test_channels_in_words_and_a_rest(kind: type[ops.Op]) -> None:
    same = Padding(1, 1, 1, 1)
    check_placements([pool(kind, (1, 6, 5, c), (3, 3), (1, 2), same) for c in (4, 6, 7, 8)], SIMD)
    check_placements([pool(kind, (2, 6, 6, c), (2, 2), (2, 2)) for c in (4, 9)], SIMD)


@pytest.mark.parametrize("window", [(16, 16), (2, 128), (17, 16)])
def test_sums_of_large_windows(window: tuple[int, int]) -> None:
    """Up to 256 of the least values just fill 16 bits; more take the plain kernel."""
    graph = pool(ops.AveragePool2D, (1, *window, 5), window)
    builder = GraphBuilder()
    lowest = builder.constant(np.full((1, *window, 4), -128), (0.05, 3))
    constant = builder.build(
        builder.op(ops.AveragePool2D, lowest, window=window, stride=(1, 1)),
    )
    check_graphs([graph, constant], SIMD)
