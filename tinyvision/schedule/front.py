"""The front of memory against cycles: plans of which none is better than another in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tinyvision.errors import FitError
from tinyvision.schedule.plan import Plan

STEP = 0.92
"""The next plan asked for may take so much of the memory of the last one at most."""
MOST = 24
PATCH_STEP = 0.8
MOST_PATCHES = 4
"""The same for plans with patches, which take longer to find."""

PlanWithin = Callable[[int | None, bool], Plan | None]
"""The fastest plan with streams within so many bytes; whether that may take pieces of rows, or rows
computed again.
"""


def front(
    layers: Callable[[], Plan], streams: PlanWithin, patches: Callable[[int | None], Plan | None]
) -> tuple[Plan, ...]:
    """From the fastest plan to the smallest, each with less memory and more estimated cycles than
    the one before. ``patches``: the plan with patches within so many bytes that executes least.
    FitError where there is none.
    """
    return undominated(_plans(layers, streams, patches))


def _plans(
    layers: Callable[[], Plan], streams: PlanWithin, patches: Callable[[int | None], Plan | None]
) -> Iterator[Plan]:
    failed: FitError | None = None
    limit: int | None = None
    try:
        found = layers()
        limit = found.sram_bytes - 1
        yield found
    except FitError as error:
        failed = error
    tiles_limit = limit
    for _ in range(MOST_PATCHES):
        plan = patches(tiles_limit)
        if plan is None or not any(segment.is_patch for segment in plan.segments):
            break
        failed = None
        yield plan
        tiles_limit = int(plan.sram_bytes * PATCH_STEP)
    for thrifty in (False, True):
        smallest = streams(None, thrifty)
        if smallest is not None:
            failed = None
            yield smallest
        for _ in range(MOST):
            plan = streams(limit, thrifty)
            if plan is None:
                break
            failed = None
            yield plan
            limit = int(plan.sram_bytes * STEP)
    if failed is not None:
        raise failed


def undominated(plans: Iterable[Plan]) -> tuple[Plan, ...]:
    """Those that no other beats in memory without being slower; largest first."""
    found: list[Plan] = []
    for plan in sorted(plans, key=lambda p: (p.estimated_cycles, p.sram_bytes)):
        if not found or plan.sram_bytes < found[-1].sram_bytes:
            found.append(plan)
    return tuple(found)


def fastest_small(plans: Iterable[Plan], latency_ms: float) -> Plan | None:
    """The smallest plan whose estimated latency is within ``latency_ms``."""
    fast = [plan for plan in plans if plan.estimated_ms <= latency_ms]
    return min(fast, key=lambda plan: plan.sram_bytes, default=None)
