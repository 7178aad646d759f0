"""Every kernel as its core runs it: instructions that the host's plain twins only stand for."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.arm_program import CPUS, check_on_arm
from tests.support.family_check import check_placements, drawn
from tests.support.op_strategies import STRATEGIES
from tinyvision.kernels.choose import FAMILIES

KINDS = [kind.__name__ for kind in FAMILIES if kind.__name__ in STRATEGIES]
COUNT = 4


@pytest.mark.parametrize("core", CPUS)
def test_kernels_equal_the_oracle(core: str) -> None:
    graphs = [graph for kind in KINDS for graph in drawn(STRATEGIES[kind], COUNT)]
    check_placements(graphs, core, partial(check_on_arm, core=core))
