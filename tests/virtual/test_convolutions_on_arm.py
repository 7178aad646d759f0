"""The convolutions' extreme cases in the instructions of their cores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.host.test_convolutions import weighted
from tests.support.arm_program import ArmProgram, check_on_arm
from tests.support.conv_cases import FAMILIES
from tests.support.family_check import check_placements, drawn
from tests.support.kernel_check import compare
from tests.support.networks import Builder
from tinyvision import schedule
from tinyvision.codegen import emit
from tinyvision.device.host import HostModel
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import FullyConnected
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board


@pytest.mark.parametrize(
    "core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]
)
def test_equal_to_the_oracle(core: str) -> None:
    def check(graph: Graph, plan: Plan) -> None:
        model = HostModel(graph, plan, emit(graph, plan, load_board("host")))
        compare(graph, plan, ArmProgram(model, CORES[core]).trace)

    graphs = [graph for family in FAMILIES.values() for graph in drawn(family, 12)]
    # So many channels that cores with two issues have no loop over the inputs.
    graphs.append(weighted(FullyConnected, (2, 128), (130, 128), shape=(2, 130)))
    check_placements(graphs, core, check)


WIDE = {
    "1x1, 512 inputs": lambda net: net.conv(net.input(1, 2, 5, 512), 5),
    "1x1, 520 inputs": lambda net: net.conv(net.input(1, 3, 3, 520), 8),
    "1x1, one output": lambda net: net.conv(net.input(1, 3, 7, 9), 1),
    "3x3, one output": lambda net: net.conv(net.input(1, 5, 9, 8), 1, 3),
    "3x3, 64 inputs": lambda net: net.conv(net.input(1, 4, 9, 64), 6, 3, 2),
    "depthwise 3x3, 600 channels": lambda net: net.depthwise(net.input(1, 3, 7, 600)),
    "depthwise 3x3, 1024 channels": lambda net: net.depthwise(net.input(1, 3, 7, 1024), 3, 2),
    "depthwise 3x3, 500 channels, wide": lambda net: net.depthwise(net.input(1, 3, 13, 500)),
    "depthwise 9x9, 600 channels": lambda net: net.depthwise(net.input(1, 3, 7, 600), 9),
    "depthwise 5x5, 600 channels": lambda net: net.depthwise(net.input(1, 3, 7, 600), 5),
    "depthwise 5x5, 50 columns": lambda net: net.depthwise(net.input(1, 3, 50, 101), 5),
}
"""Numbers that instructions have no room for, and a channel without a second."""


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_wide_layers_in_assembly(core: str, name: str) -> None:
    net = Builder("wide")
    graph = net.graph(WIDE[name](net))
    board = replace(load_board("host"), core=CORES[core])
    plan = schedule.plan(graph, board, macs_original=0, schedule="layer")
    assert any("naked" in text for text in emit(graph, plan, board).values())
    check_on_arm(graph, plan, core)
