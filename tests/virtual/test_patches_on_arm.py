"""Patches in the instructions of their cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.arm_program import check_on_arm
from tests.support.networks import Builder
from tests.support.random_patches import random_patch_plan
from tinyvision.target import CORES, load_board


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_equal_to_the_oracle(core: str) -> None:
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(1)
    for number in range(3):
        net = Builder(f"patched{number}", seed=number)
        x = net.conv(net.input(1, 11, 9 + number, 3), 9, 3, 2)
        x = net.add(x, net.conv(net.depthwise(net.conv(x, 14), 3), 9))
        graph = net.graph(net.conv(net.depthwise(x, 5, 2), 6, 3))
        plan = random_patch_plan(graph, board, rng)
        assert plan is not None and any(segment.is_patch for segment in plan.segments)
        check_on_arm(graph, plan, core)
