"""Layers of different shapes that share functions, in the instructions of their cores."""

from __future__ import annotations

import pytest

from tests.support.arm_program import check_on_arm
from tests.support.shared_cases import CASES, planned, variants
from tinyvision.target import CORES


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("kind", CASES)
def test_equal_to_the_oracle(kind: str, core: str) -> None:
    for variant, graphs in variants(CASES[kind](), CORES[core]).items():
        check_on_arm(*planned(graphs, CORES[core], variant), core, goal="balanced")
