"""Conv2D, DepthwiseConv2D and FullyConnected: every kernel, equal to the oracle under
sanitizers.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.conv_cases import convolutions, depthwise_convolutions, fully_connected
from tests.support.kernel_check import check_graphs
from tinyvision.ir.graph import Graph

FAMILIES = {
    "conv2d": convolutions(),
    "depthwise": depthwise_convolutions(),
    "fully_connected": fully_connected(),
}


@pytest.mark.parametrize("core", ["host", "cortex-m4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_oracle(family: str, core: str) -> None:
    @settings(
        max_examples=4,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # shrinking would compile for many minutes
    )
    @given(st.lists(FAMILIES[family], min_size=25, max_size=25))
    def check(graphs: list[Graph]) -> None:
        check_graphs(graphs, core)

    check()
