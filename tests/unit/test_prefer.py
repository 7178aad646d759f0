"""What goals make of an operator's kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.networks import Builder
from tinyvision.build import Model, plan
from tinyvision.kernels import choose
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.prefer import preferring
from tinyvision.target import load_board

FAST = Kernel("k", "fast", flash_bytes=200)
FAIR = Kernel("k", "fair", flash_bytes=110)
SLOW = Kernel("k", "slow", flash_bytes=100)


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("memory", (FAST, FAIR, SLOW)),
        ("speed", (FAST, FAIR, SLOW)),
        ("balanced", (FAIR, SLOW)),
        ("size", (SLOW, FAIR, FAST)),
    ],
)
def test_order(goal, expected):
    assert preferring(goal, lambda *_: (FAST, FAIR, SLOW))(None, None, None) == expected


def test_no_other_goal():
    with pytest.raises(ValueError, match="fame"):
        preferring("fame", lambda *_: (FAST,))


def test_speed_takes_the_memory_there_is():
    builder = Builder(seed=1)
    x = builder.conv(builder.input(1, 24, 24, 16), 16, 3)
    model = Model(Path("net.tflite"), b"", builder.graph(builder.conv(x, 16, 3)))
    board = load_board("stm32l4")
    little = plan(model, board).plan
    fast = plan(model, board, goal="speed")
    assert little.sram_bytes < fast.plan.sram_bytes <= board.banks[0].size_bytes
    for op, step in zip(fast.graph.ops, fast.plan.steps, strict=True):
        assert step.kernel == choose.candidates(fast.graph, op, board.core)[0]
    limited = plan(model, board, goal="speed", sram_limit=little.sram_bytes).plan
    assert limited.sram_bytes <= little.sram_bytes
