"""Wide depthwise kernels, packed into integers."""

from __future__ import annotations

import pytest

from tests.support.conv_cases import wide_depthwise_convolutions
from tests.support.family_check import check_placements, drawn
from tinyvision.kernels import depthwise_kronecker as kronecker
from tinyvision.kernels.choose import candidates
from tinyvision.target import CORES


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_equal_to_the_oracle_in_every_placement(core: str) -> None:
    graphs = drawn(wide_depthwise_convolutions(), 24)
    templates = [candidates(graph, graph.ops[0], CORES[core])[0].template for graph in graphs]
    assert templates.count(kronecker.TEMPLATE) > len(graphs) // 2
    check_placements(graphs, core)
