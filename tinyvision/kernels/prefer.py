"""What to optimise for: which kernels of an operator come into question, and in which order."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.kernels.kernel import Kernel
from tinyvision.target.core import Core

GOALS = ("memory", "speed", "balanced", "size")
BALANCED_SLACK = 4
"""``balanced`` leaves out kernels whose constants are larger than the smallest by more than this
fraction of them.
"""


def preferring(goal: str, candidates: CandidatesOf) -> CandidatesOf:
    """``candidates`` for one of ``GOALS``: all of them, fastest first (``memory``, the default, and
    ``speed``); those without much larger constants (``balanced``); smallest constants first
    (``size``). The last two leave out kernels whose code layers cannot share.
    """
    if goal not in GOALS:
        raise ValueError(f"no goal is called {goal!r}")

    def preferred(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
        given = candidates(graph, op, core)
        if goal in ("balanced", "size"):
            given = tuple(kernel for kernel in given if kernel.shares)
        if goal == "size":
            return tuple(sorted(given, key=lambda kernel: kernel.flash_bytes))
        if goal == "balanced":
            smallest = min(kernel.flash_bytes for kernel in given)
            most = smallest + smallest // BALANCED_SLACK
            return tuple(kernel for kernel in given if kernel.flash_bytes <= most)
        return given

    return preferred
