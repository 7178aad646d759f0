"""Wide depthwise kernels in the instructions of their cores."""

from __future__ import annotations

import pytest

from tests.support.arm_program import check_on_arm
from tests.support.conv_cases import wide_depthwise_convolutions
from tests.support.family_check import check_placements, drawn


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_equal_to_the_oracle(core: str) -> None:
    graphs = drawn(wide_depthwise_convolutions(), 16)
    check_placements(graphs, core, lambda graph, plan: check_on_arm(graph, plan, core))
