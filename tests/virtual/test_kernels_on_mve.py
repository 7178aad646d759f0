"""Every kernel in the instructions of a core with MVE, each with only its memory in reach."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import check_placements, drawn
from tests.support.mve_program import QEMU, check_on_mve
from tests.support.networks import Builder
from tests.support.op_strategies import STRATEGIES
from tests.support.random_cuts import random_cut_plan
from tinyvision.kernels import choose
from tinyvision.target import CORES, load_board

pytestmark = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"needs {QEMU}")

CORE = "cortex-m55"
KINDS = [kind.__name__ for kind in choose.FAMILIES if kind.__name__ in STRATEGIES]


@pytest.mark.parametrize("family", FAMILIES)
def test_convolutions_equal_the_oracle(family: str) -> None:
    check_placements(drawn(FAMILIES[family], 24), CORE, check_on_mve)


def test_all_kernels_equal_the_oracle() -> None:
    graphs = [graph for kind in KINDS for graph in drawn(STRATEGIES[kind], 4)]
    check_placements(graphs, CORE, check_on_mve)


def test_streams_equal_the_oracle() -> None:
    board = replace(load_board("host"), core=CORES[CORE])
    rng = np.random.default_rng(1)
    for number in range(4):
        net = Builder(f"streamed{number}", seed=number)
        x = net.conv(net.input(1, 11, 5 + number, 3), 9, 3, 2)
        x = net.add(x, net.conv(net.depthwise(net.conv(x, 14), 3), 9))
        graph = net.graph(net.conv(net.depthwise(x, 5, 2), 6, 3))
        check_on_mve(graph, random_cut_plan(graph, board, rng))
