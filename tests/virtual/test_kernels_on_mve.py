"""Every kernel in the instructions of a core with MVE, each with only its memory in reach."""

from __future__ import annotations

import shutil

import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import check_placements, drawn
from tests.support.mve_program import QEMU, check_on_mve
from tests.support.op_strategies import STRATEGIES
from tinyvision.kernels import choose

pytestmark = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"needs {QEMU}")

CORE = "cortex-m55"
KINDS = [kind.__name__ for kind in choose.FAMILIES if kind.__name__ in STRATEGIES]


@pytest.mark.parametrize("family", FAMILIES)
def test_convolutions_equal_the_oracle(family: str) -> None:
    check_placements(drawn(FAMILIES[family], 40), CORE, check_on_mve)


def test_all_kernels_equal_the_oracle() -> None:
    graphs = [graph for kind in KINDS for graph in drawn(STRATEGIES[kind], 6)]
    check_placements(graphs, CORE, check_on_mve)
