"""Streams in the instructions of their cores, with fast and with thrifty kernels."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.support.arm_program import check_on_arm
from tests.support.networks import Builder
from tests.support.random_cuts import random_cut_plan, streams_plan
from tests.support.random_wide import random_wide
from tinyvision.target import CORES, load_board


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_equal_to_the_oracle(core: str) -> None:
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(1)
    variants = set()
    for number in range(6):
        net = Builder(f"streamed{number}", seed=number)
        x = net.conv(net.input(1, 11, 5 + number, 3), 9, 3, 2)
        x = net.add(x, net.conv(net.depthwise(net.conv(x, 14), 3), 9))
        graph = net.graph(net.conv(net.depthwise(x, 5, 2), 6, 3))
        plan = random_cut_plan(graph, board, rng)
        variants |= {step.kernel.variant for step in plan.steps}
        check_on_arm(graph, plan, core)
    if core == "cortex-m4":
        assert {"conv2d_dsp", "conv2d_dsp_x2", "conv2d_1x1_dsp_x2"} <= variants


@pytest.mark.parametrize("rows", [2, 4])
def test_several_rows_in_a_turn(rows: int) -> None:
    board = replace(load_board("host"), core=CORES["cortex-m7"])
    net = Builder(f"turns{rows}", seed=rows)
    x = net.conv(net.input(1, 11, 5, 3), 8, 3)
    x = net.conv(net.depthwise(x, 3), 8)
    graph = net.graph(net.depthwise(net.conv(net.depthwise(x, 5), 6), 3, 2))
    plan = streams_plan(graph, board, [len(graph.ops)], rows)
    assert any(step.kernel.rows == rows for step in plan.steps)
    check_on_arm(graph, plan, "cortex-m7")


@pytest.mark.parametrize(
    ("core", "variant"),
    [("cortex-m4", "conv2d_winograd_4x4"), ("cortex-m7", "conv2d_winograd_4x8_dual")],
)
def test_tiles_of_four_rows(core: str, variant: str) -> None:
    board = replace(load_board("host"), core=CORES[core])
    for number, width in enumerate((18, 40)):
        net = Builder(f"tiles{number}", seed=number)
        graph = net.graph(net.conv(net.conv(net.input(1, 9, width, 4), 8, 3), 6, 3))
        plan = streams_plan(graph, board, [2], 4, variant=variant)
        assert [step.kernel.variant for step in plan.steps] == [variant] * 2
        check_on_arm(graph, plan, core)


@pytest.mark.parametrize("variant", ["conv2d_1x1_dsp_dual", "conv2d_1x1_dsp_x2_dual"])
def test_pointwise_rows_that_fill_no_block(variant: str) -> None:
    """One to three pixels beside blocks of four or two; pairs of inputs odd and even in number, one
    and too many for a loop's single round.
    """
    board = replace(load_board("host"), core=CORES["cortex-m7"])
    for width, depth in product((1, 6, 7), (2, 22, 36, 66, 134)):
        net = Builder(f"pointwise{width}_{depth}", seed=depth)
        graph = net.graph(net.conv(net.conv(net.input(1, 3, width, depth), 8), 6))
        plan = streams_plan(graph, board, [2], 1, variant=variant)
        assert [step.kernel.variant for step in plan.steps] == [variant] * 2
        check_on_arm(graph, plan, "cortex-m7")


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
def test_pieces_equal_to_the_oracle(core: str) -> None:
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(17)
    for pieces in (2, 5):
        graph = random_wide(rng, pieces, f"pieces{pieces}")
        plan = streams_plan(graph, board, [len(graph.ops)], pieces=pieces)
        check_on_arm(graph, plan, core)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_slices_equal_to_the_oracle(core: str) -> None:
    board = replace(load_board("host"), core=CORES[core])
    rng = np.random.default_rng(7)
    for number in range(2):
        net = Builder(f"sliced{number}", seed=number)
        x = net.conv(net.input(1, 9, 5 + number, 3), 13, 3)
        graph = net.graph(net.conv(net.depthwise(x, 5, 2), 6))
        plan = random_cut_plan(graph, board, rng, thrifty=True)
        while not any(step.channels for step in plan.steps):
            plan = random_cut_plan(graph, board, rng, thrifty=True)
        check_on_arm(graph, plan, core)
