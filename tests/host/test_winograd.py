"""Winograd's convolutions equal the oracle under sanitizers, in every placement they allow."""

from __future__ import annotations

import pytest

from tests.support.conv_cases import dense_3x3_convolutions
from tests.support.family_check import check_placements, drawn
from tinyvision.kernels import winograd
from tinyvision.kernels.choose import candidates
from tinyvision.target import CORES


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_equal_to_the_oracle_in_every_placement(core: str) -> None:
    graphs = drawn(dense_3x3_convolutions(), 10)
    kernels = [k for g in graphs for k in candidates(g, g.ops[0], CORES[core])]
    assert sum(kernel.template == winograd.TEMPLATE for kernel in kernels) > len(graphs)
    check_placements(graphs, core)
