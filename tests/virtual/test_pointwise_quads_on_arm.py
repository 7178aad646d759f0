"""Four channels by two pixels, in the instructions of the core that they are for."""

from __future__ import annotations

from tests.support.arm_program import check_on_arm
from tests.support.conv_cases import deep_pointwise_convolutions
from tests.support.family_check import check_placements, drawn
from tinyvision.kernels.choose import candidates
from tinyvision.target import CORES


def test_equal_to_the_oracle() -> None:
    graphs = drawn(deep_pointwise_convolutions(), 16)
    chosen = [candidates(graph, graph.ops[0], CORES["cortex-m4"])[0] for graph in graphs]
    assert sum("quads" in kernel.variant for kernel in chosen) > len(graphs) // 4
    check_placements(
        graphs, "cortex-m4", lambda graph, plan: check_on_arm(graph, plan, "cortex-m4")
    )
