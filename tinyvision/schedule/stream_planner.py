"""Plans with streams: the cut into segments, and a place for every ring, row and sum."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.banks import Assignment, fill
from tinyvision.schedule.place import Item as Box
from tinyvision.schedule.place import Layout, Placement
from tinyvision.schedule.plan import align
from tinyvision.schedule.segments import Cut, Search
from tinyvision.schedule.timeline import Timeline

log = logging.getLogger(__name__)

SLACK = 32
"""Faster kernels and fewer turns may cost this fraction of the least peak."""
LOOSER = (1.0, 1.01, 1.03, 1.06, 1.1, 1.15)
"""Bounds, as multiples of the least, for which cuts are placed: what needs least on paper does not
always lie best.
"""
CLOSE = 1.02
"""A peak, or cycles, so many times what is least on paper is looked below no further."""
ALIKE = 1.01
"""Of schedules that take up to so many times the cycles of the fastest the smallest is taken."""
TIGHTER = tuple(0.985**step for step in range(48))
"""The same below a limit, where the cheapest cut that can be placed within it is wanted."""
TRIAL_EFFORT = 60
COMPARED = 3
"""Schedules within a limit of which the fastest is taken."""


@dataclass(frozen=True)
class Streamed:
    """A cut, placed: ``assignment`` is of ``timeline.items``."""

    cut: Cut
    timeline: Timeline
    assignment: Assignment
    peak_bytes: int

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(self.timeline.order)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        return tuple(self.timeline.kernels)


def stream_schedule(
    search: Search, capacities: Sequence[int], limit_bytes: int | None = None
) -> Streamed | None:
    """The schedule with about the smallest peak found; with ``limit_bytes`` the fastest one that
    stays within it, as far as cycles are known. None where it does not fit ``capacities``, or the
    limit is less than any needs.
    """
    least = search.least()
    if limit_bytes is not None and limit_bytes < least:
        return None
    if limit_bytes is not None:
        return _within(search, least, limit_bytes, capacities)
    cuts = _cuts(search, _above(least), several=False)
    found = [place_cut(search, cut, capacities) for cut in cuts]
    placed = [streamed for streamed in found if streamed is not None]
    for cut in _neighbours(search, least):
        if not placed or min(streamed.peak_bytes for streamed in placed) <= CLOSE * least:
            break
        other = place_cut(search, cut, capacities)
        placed += [other] if other is not None else []
    if not placed:
        return None
    best = min(placed, key=lambda streamed: (streamed.peak_bytes, streamed.cut.price))
    log.info(
        "%d bytes of RAM; on paper %d, any cut %d", best.peak_bytes, best.cut.bound_bytes, least
    )
    budget = best.peak_bytes + best.peak_bytes // SLACK
    faster = _within(search, least, budget, capacities)
    return faster if faster is not None and faster.peak_bytes <= budget else best


def _above(least: int) -> list[int]:
    return [int(least * factor) for factor in LOOSER]


def _within(
    search: Search, least: int, limit_bytes: int, capacities: Sequence[int]
) -> Streamed | None:
    """About the fastest of the first schedules found within the limit, cheapest cuts first, those
    of several rows in a turn and as many others. Else the smallest, or None where nothing fits
    the banks.
    """
    bounds = [bound for f in TIGHTER if (bound := int(limit_bytes * f)) > least]
    kinds = (
        _cuts(search, bounds + _above(least), several=False),
        _cuts(search, bounds, several=True),
    )
    within: list[Streamed] = []
    beyond: list[Streamed] = []
    for cuts in kinds:
        fitting: list[Streamed] = []
        for cut in cuts:
            found = _fastest(search, cut, capacities, limit_bytes, bounds)
            if found is None or found.peak_bytes > limit_bytes:
                beyond += [found] if found is not None else []
                continue
            fitting.append(found)
            if len(fitting) == COMPARED or _is_cheap(search, found):
                break
        within += fitting
    if not within:
        return min(beyond, key=lambda found: found.peak_bytes, default=None)
    fastest = min(cycles(search, found) for found in within)
    alike = [found for found in within if cycles(search, found) <= ALIKE * fastest]
    return min(alike, key=lambda found: found.peak_bytes)


def _fastest(
    search: Search, cut: Cut, capacities: Sequence[int], limit_bytes: int, bounds: Sequence[int]
) -> Streamed | None:
    """``cut`` with the fastest kernels with which it stays within the limit, as far as ``bounds``
    on what is in use at one time find them; with the thriftiest where none do, and where those do
    not either.
    """
    thriftiest = place_cut(search, cut, capacities)
    if thriftiest is None or thriftiest.peak_bytes > limit_bytes:
        return thriftiest
    for speed_bytes in bounds:
        found = place_cut(search, cut, capacities, speed_bytes)
        if found is not None and found.peak_bytes <= limit_bytes:
            return found
    return thriftiest


def _is_cheap(search: Search, streamed: Streamed) -> bool:
    """Whether it takes about what its cut costs at least: then cuts for tighter bounds, which cost
    no less, cannot be much faster.
    """
    return cycles(search, streamed) <= CLOSE * streamed.cut.price


def cycles(search: Search, streamed: Streamed) -> float:
    """Estimated, with the kernels chosen; ``Cut.price`` is of the fastest there are."""
    pricing, order, kernels = search.rows.pricing, search.order, streamed.kernels
    sliced = streamed.timeline.sliced
    total = 0.0
    for part in streamed.cut.ranges:
        if not part.stream:
            for position in range(part.first, part.end):
                total += pricing.cycles(order[position], kernels[position], None)
            continue
        reloads = search.reloads(part.first, part.end, part.grain)
        channels = {p for position, _ in part.sliced for p in (position, search.expander[position])}
        for position in range(part.first, part.end):
            if position not in channels:
                total += search.row_price(position, kernels[position], part.grain, reloads)
            elif reloads:
                total += search.reloading(position, kernels[position], part.grain)
        for position, _ in part.sliced:
            expanding = kernels[search.expander[position]]
            total += pricing.sliced(sliced[position], expanding, kernels[position])
    return total


def _cuts(search: Search, bounds: Iterable[int], several: bool) -> Iterator[Cut]:
    """The cheapest cut for each bound, where it differs from those before; ``several``: those where
    some stream computes several rows in a turn, or else none does.
    """
    seen = set()
    for bound in bounds:
        cut = search.cheapest(bound, several=several)
        if several and cut is not None and all(part.grain.rows == 1 for part in cut.ranges):
            continue
        if cut is not None and cut.ranges not in seen:
            seen.add(cut.ranges)
            yield cut


def _neighbours(search: Search, bound_bytes: int) -> Iterator[Cut]:
    """The cheapest cuts within the bound without one or another stream of the cheapest of all."""
    cheapest = search.cheapest(bound_bytes, several=False)
    for part in cheapest.ranges if cheapest is not None else ():
        cut = search.cheapest(bound_bytes, False, without=part) if part.stream else None
        if cut is not None:
            yield cut


def place_cut(
    search: Search, cut: Cut, capacities: Sequence[int], speed_bytes: int = 0
) -> Streamed | None:
    """A place for everything that ``cut`` needs in banks of ``capacities`` bytes, fastest first:
    in the first if it fits there, else in another or spread, whichever takes less; None where
    there is none. Kernels may be faster than the thriftiest as long as no more than
    ``speed_bytes`` are in use at one time.
    """
    chosen = {
        position: _layer_kernel(search, position, max(cut.bound_bytes, speed_bytes))
        for part in cut.ranges
        for position in range(part.first, part.end)
        if not part.stream
    }
    timeline = search.timeline(cut.ranges, chosen)
    if faster := _faster_kernels(search, timeline, speed_bytes):
        timeline = search.timeline(cut.ranges, chosen | faster)
    spans = timeline.spans()
    boxes = [Box(i.size_bytes, i.parts.first, i.parts.last) for i in timeline.items]
    bound = timeline.load_bytes()
    layout = Placement(boxes, {}, spans, bound).solve(bound, exact=False)
    count = len(boxes)
    bank = next((b for b, size in enumerate(capacities) if layout.peak_bytes <= size), None)
    single = None
    if bank is not None:
        banks = Assignment((bank,) * count, layout.offsets)
        single = Streamed(cut, timeline, banks, layout.peak_bytes)
    if bank == 0 or len(capacities) < 2:
        return single

    def place(chosen: Sequence[int], capacity: int, exact: bool) -> Layout:
        index = {item: i for i, item in enumerate(chosen)}
        inside = {
            (index[one], index[other]): found
            for (one, other), found in spans.items()
            if one in index and other in index
        }
        placement = Placement([boxes[item] for item in chosen], {}, inside, 0)
        return placement.solve(capacity, TRIAL_EFFORT, exact=exact)

    sizes = [box.size_bytes for box in boxes]
    assignment = fill(sizes, [1.0] * count, capacities, place)
    if assignment is None:
        return single
    ends = [0] * len(capacities)
    for used, offset, size in zip(assignment.banks, assignment.offsets, sizes, strict=True):
        ends[used] = max(ends[used], offset + size)
    if single is not None and single.peak_bytes <= sum(ends):
        return single
    return Streamed(cut, timeline, assignment, sum(ends))


def _layer_kernel(search: Search, position: int, bound_bytes: int) -> Kernel:
    """The fastest kernel within the bound."""
    kernels = search.problem.jobs[search.order[position]].kernels
    needs = search.layer_needs[position]
    fitting = [k for k, need in zip(kernels, needs, strict=True) if need <= bound_bytes]
    return fitting[0] if fitting else kernels[needs.index(min(needs))]


def _faster_kernels(search: Search, timeline: Timeline, bound_bytes: int) -> dict[int, Kernel]:
    """For the steps of streams the fastest kernels whose scratch keeps within the bound: it lives
    for turns in which no other does.
    """
    found: dict[int, Kernel] = {}
    if timeline.load_bytes() > bound_bytes:
        return found
    regimes = {
        position: (part.grain, search.reloads(part.first, part.end, part.grain))
        for part in timeline.ranges
        for position in range(*part.span)
    }
    for position, peak in timeline.turn_peaks().items():
        beside = peak - align(timeline.scratch_bytes(position))
        if (option := timeline.sliced.get(position)) is not None:
            for pair in option.kernels:
                if beside + option.scratch_bytes(pair) <= bound_bytes:
                    found[search.expander[position]], found[position] = pair
                    break
            continue
        kernel = search.fastest(position, *regimes[position], bound_bytes - beside)
        if kernel is not None:
            found[position] = kernel
    return found
