"""The convolutions' extreme cases in the instructions of their cores."""

from __future__ import annotations

import pytest

from tests.host.test_convolutions import weighted
from tests.support.arm_program import ArmProgram
from tests.support.conv_cases import FAMILIES
from tests.support.family_check import check_placements, drawn
from tests.support.kernel_check import compare
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
