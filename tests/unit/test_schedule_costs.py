"""Estimated cycles: every core has some, and they follow the work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.networks import Builder
from tinyvision import schedule
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.costs import Work, estimate, load_costs, refill
from tinyvision.target import CORES, board_names, load_board

SOME = Work(90_000, tail_macs=9_000, spare_macs=0, outputs=5_000, inputs=2_000, rows=20)


@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
@pytest.mark.parametrize("by_rows", [False, True])
def test_every_core_has_costs(core, by_rows):
    costs = load_costs(core)
    for name, coefficients in costs.coefficients.items():
        assert min(coefficients) >= 0 < max(coefficients), name
    unknown = costs.cycles(Kernel("unheard", "unheard_of"), SOME, by_rows)
    assert 0.05 < unknown / SOME.macs < 100


def test_an_unknown_variant_costs_what_its_template_does():
    costs = load_costs(CORES["cortex-m7"])
    known = costs.cycles(Kernel("conv2d_1x1_dsp", "conv2d_1x1_dsp"), SOME)
    assert costs.cycles(Kernel("conv2d_1x1_dsp", "conv2d_1x1_dsp_x64"), SOME) == known


def test_constants_that_leave_the_cache_are_loaded_for_every_row():
    cached, uncached = refill(load_board("stm32h7")), refill(load_board("stm32l4"))
    assert cached.exceeds(16_385) and not cached.exceeds(16_384)
    kernel = Kernel("k", "k", flash_bytes=5_000)
    assert cached.of_turns(kernel, 20) == 20 * cached.of_turns(kernel, 1) > 0
    assert uncached.of_turns(kernel, 20) == 0


def test_constants_larger_than_the_cache_are_loaded_each_time_a_kernel_goes_through_them():
    cached = refill(load_board("stm32h7"))
    image = replace(SOME, height=6, width=10, together=6)
    by_row = replace(image, together=1)
    small, large = (Kernel("k", "k", flash_bytes=size, pixels=4) for size in (16_384, 20_000))
    assert cached.of_kernel(small, image) == 0 < cached.of_turns(small, 1)
    once = cached.cycles_per_byte * 20_000
    assert cached.of_kernel(large, image) == 15 * once
    assert cached.of_kernel(large, by_row) == 18 * once  # three blocks of each row
    assert cached.of_kernel(replace(large, rows=2), by_row) == 15 * once
    assert cached.of_kernel(replace(large, pixels=0), image) == once
    assert cached.of_turns(large, 6) == 0


@pytest.mark.parametrize("name", board_names())
@pytest.mark.parametrize("kind", ["layer", "stream"])
def test_estimates_of_a_plan_follow_its_size(name, kind):
    board = load_board(name)

    def cycles(height):
        net = Builder()
        x = net.conv(net.input(1, height, 16, 4), 16, 3)
        graph = net.graph(net.conv(net.depthwise(x), 8))
        plan = schedule.plan(graph, board, macs_original=0, schedule=kind)
        assert plan.step_cycles == estimate(graph, plan, board)
        assert plan.to_json()["estimated_cycles"] == plan.estimated_cycles > plan.macs_graph / 32
        faster = replace(plan, clock_mhz=2 * plan.clock_mhz)
        assert faster.estimated_ms == plan.estimated_ms / 2
        return plan.estimated_cycles

    assert 1.55 < cycles(32) / cycles(16) < 2.3  # larger ones may have faster kernels
