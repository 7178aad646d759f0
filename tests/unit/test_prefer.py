"""What goals make of an operator's kernels."""

from __future__ import annotations

import pytest

from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.prefer import preferring

FAST = Kernel("k", "fast", flash_bytes=200)
FAIR = Kernel("k", "fair", flash_bytes=110)
SLOW = Kernel("k", "slow", flash_bytes=100)


@pytest.mark.parametrize(
    ("goal", "expected"),
    [("speed", (FAST, FAIR, SLOW)), ("balanced", (FAIR, SLOW)), ("size", (SLOW, FAIR, FAST))],
)
def test_order(goal, expected):
    assert preferring(goal, lambda *_: (FAST, FAIR, SLOW))(None, None, None) == expected


def test_no_other_goal():
    with pytest.raises(ValueError, match="fame"):
        preferring("fame", lambda *_: (FAST,))
