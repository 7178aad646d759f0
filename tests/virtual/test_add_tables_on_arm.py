"""Sums by tables in the instructions of their cores."""

from __future__ import annotations

import pytest

from tests.host.test_add_tables import drawn
from tests.support.arm_program import check_on_arm
from tests.support.family_check import check_placements
from tinyvision.ir import ops


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_equal_to_the_oracle(core: str) -> None:
    graphs = drawn(ops.Add, 5) + drawn(ops.Sub, 2)
    check_placements(graphs, core, lambda graph, plan: check_on_arm(graph, plan, core))
