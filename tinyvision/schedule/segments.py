"""Which ranges of operators run row by row: the best cut of the order into segments.

As in msf-CNN (Huang and Baccelli, NeurIPS 2025) every contiguous range is a candidate, and the best
sequence of ranges is a shortest path; the price of one is the cycles it takes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import inf
from operator import itemgetter

from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import ROW, Grain
from tinyvision.schedule.plan import align
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.row_jobs import RowProblem
from tinyvision.schedule.timeline import Range, Timeline

Slices = tuple[tuple[int, int], ...]
"""Positions that compute their input themselves, and channels at a time."""


@dataclass(frozen=True)
class Cut:
    """Ranges one after another; ``bound_bytes``: no layout of them can be smaller, nearly;
    ``price``: estimated cycles.
    """

    ranges: tuple[Range, ...]
    bound_bytes: int
    price: float


class Search:
    """The ranges of ``order`` and what each needs. ``rows_arrive``: the network's input comes row
    by row where the first range streams it. Streams may recompute what ``rows.sliced`` lists.
    """

    def __init__(
        self,
        problem: Problem,
        rows: RowProblem,
        order: Sequence[int],
        rows_arrive: bool,
    ) -> None:
        self.problem, self.rows, self.order = problem, rows, tuple(order)
        self.rows_arrive = rows_arrive
        self.lifetimes = problem.lifetimes(order)
        self.by_grain = {
            grain: {p: stages[job] for p, job in enumerate(order) if job in stages}
            for grain, stages in rows.stages.items()
        }
        self.stages = self.by_grain[ROW]
        self._fine = [grain for grain in self.by_grain if grain.rows == 1]
        position = {job: p for p, job in enumerate(order)}
        self.sliced = {
            position[job]: {option.channels: option for option in options}
            for job, options in rows.sliced.items()
        }
        self.expander = {p: position[rows.sliced[order[p]][0].expander] for p in self.sliced}
        self._known: dict[tuple[int, int, Slices, Grain], tuple[int, dict[int, int]]] = {}

    # What a range needs

    @cached_property
    def layer_needs(self) -> list[list[int]]:
        """For each position and kernel of its job the memory of the operator as a whole."""
        needs = []
        for position, index in enumerate(self.order):
            job = self.problem.jobs[index]
            live = sum(
                size
                for size, (first, last) in zip(self.problem.sizes, self.lifetimes, strict=True)
                if first <= position <= last
            )
            dying = frozenset(s for s in job.read_storages if self.lifetimes[s][1] == position)
            needs.append([self.problem.step_bytes(job, k, live, dying) for k in job.kernels])
        return needs

    def streams(self, first: int, end: int, grain: Grain = ROW) -> bool:
        """Whether every position of the range can be in a stream of that grain."""
        stages = self.by_grain[grain]
        return all(position in stages for position in range(first, end))

    def arriving(self, first: int, end: int) -> int | None:
        """The network's input where it can come row by row into this range."""
        if not self.rows_arrive or first != 0 or len(self.problem.inputs) != 1:
            return None
        (storage,) = self.problem.inputs
        rows = self.rows.views[storage][0]
        inside = self.lifetimes[storage][1] < end and storage not in self.problem.outputs
        return storage if inside and rows > 1 else None

    def least_bytes(self, first: int, end: int) -> int:
        """A quick bound of what a stream needs: rows under two windows, and what lies beside."""
        free = {
            option.held
            for position in self.sliceable(first, end)
            for option in self.sliced[position].values()
        }
        total = 0
        for storage, (born, dies) in enumerate(self.lifetimes):
            if born < first and dies >= end:
                total += self.problem.sizes[storage]
            elif first <= born and dies < end and born < dies and storage not in free:
                total += self._window_bytes[storage]
        return total

    def sliceable(self, first: int, end: int) -> list[int]:
        """The positions in a range that can compute their input themselves."""
        return [p for p, e in self.expander.items() if first <= e and p < end]

    @cached_property
    def _window_bytes(self) -> list[int]:
        """For each storage what readers keep of it from one turn to the next."""
        most = [0] * len(self.problem.sizes)
        for row_job in self.stages.values():
            for storage, rows in zip(row_job.stage.reads, row_job.stage.use.reads, strict=True):
                if storage is not None and rows:
                    shared = [this[1] - after[0] for this, after in pairwise(rows)]
                    most[storage] = max(most[storage], *shared, 0)
        return [
            count * row_bytes for count, (_, row_bytes) in zip(most, self.rows.views, strict=True)
        ]

    def stream_bytes(self, first: int, end: int, sliced: Slices = (), grain: Grain = ROW) -> int:
        """What positions ``[first, end)`` need as one stream, nearly; 0 where they cannot be."""
        return self._stream_needs(first, end, sliced, grain)[0]

    def _stream_needs(
        self, first: int, end: int, sliced: Slices, grain: Grain
    ) -> tuple[int, dict[int, int]]:
        """That, with the kernels of the least scratch, and for each position what is in use beside
        its scratch while it takes turns.
        """
        key = first, end, sliced, grain
        if key not in self._known:
            self._known[key] = self._measured(*key)
        return self._known[key]

    def _measured(
        self, first: int, end: int, sliced: Slices, grain: Grain
    ) -> tuple[int, dict[int, int]]:
        if not self.streams(first, end, grain):
            return 0, {}
        part = Range(first, end, True, self.arriving(first, end), sliced, grain)
        try:
            timeline = self.timeline([part], {})
        except ValueError:
            return 0, {}
        outside = sum(
            self.problem.sizes[storage]
            for storage, (born, dies) in enumerate(self.lifetimes)
            if born < first and dies >= first and storage not in timeline.touched
        )
        beside = {
            position: outside + peak - align(timeline.scratch_bytes(position))
            for position, peak in timeline.turn_peaks().items()
        }
        return outside + timeline.load_bytes(), beside

    def thriftiest(self, first: int, end: int) -> Slices:
        """The narrowest slices wherever there can be some."""
        return tuple((p, min(self.sliced[p])) for p in self.sliceable(first, end))

    def fitting(self, first: int, end: int, limit_bytes: int, budget: float = inf) -> Slices | None:
        """With which slices, narrow ones, the range fits as one stream about cheapest; None where
        it does not, or not for ``budget`` cycles more.
        """
        needed = self.stream_bytes(first, end)
        if 0 < needed <= limit_bytes:
            return ()
        slices = self.thriftiest(first, end)
        prices = {s: self.slice_price(*s) for s in slices}
        if not needed or min(prices.values(), default=inf) >= budget:
            return None
        if self.stream_bytes(first, end, slices) > limit_bytes:
            return None
        for one in sorted(slices, key=lambda s: -prices[s]):
            rest = tuple(s for s in slices if s != one)
            if self.stream_bytes(first, end, rest) <= limit_bytes:
                slices = rest
        return slices

    def widened(self, part: Range, limit_bytes: int) -> Range:
        """The range with slices as wide as the limit allows."""
        for position, channels in part.sliced:
            rest = tuple(s for s in part.sliced if s[0] != position)
            for width in sorted((c for c in self.sliced[position] if c > channels), reverse=True):
                sliced = tuple(sorted((*rest, (position, width))))
                if self.stream_bytes(part.first, part.end, sliced) <= limit_bytes:
                    part = replace(part, sliced=sliced)
                    break
        return part

    def timeline(self, ranges: Sequence[Range], chosen: dict[int, Kernel]) -> Timeline:
        """Lifetimes for ``ranges`` with the ``chosen`` kernels by position; else with those of the
        least scratch in streams, the fastest in layers.
        """
        grains = {p: part.grain for part in ranges if part.stream for p in range(*part.span)}
        sliced = {p: self.sliced[p][channels] for part in ranges for p, channels in part.sliced}
        kernels = [
            chosen.get(position) or self._default(position, grains.get(position))
            for position in range(len(self.order))
        ]
        for position, option in sliced.items():
            if position not in chosen:
                pair = min(option.kernels, key=option.scratch_bytes)
                kernels[self.expander[position]], kernels[position] = pair
        return Timeline(
            self.problem,
            self.order,
            kernels,
            {position: self.by_grain[grain][position] for position, grain in grains.items()},
            self.rows.views,
            ranges,
            self.lifetimes,
            sliced,
        )

    def _default(self, position: int, grain: Grain | None) -> Kernel:
        if grain is not None:
            return min(self.row_kernels(position, grain), key=lambda kernel: kernel.scratch_bytes)
        return self.problem.jobs[self.order[position]].kernels[0]

    def row_kernels(self, position: int, grain: Grain) -> tuple[Kernel, ...]:
        """Those of a step of a stream that computes so much in a turn, fastest first."""
        return self.rows.kernels[grain][self.order[position]]

    def fastest(self, position: int, grain: Grain, reloads: bool, room_bytes: int) -> Kernel | None:
        """Of those the one that takes least, as far as is known, with so much room for scratch."""
        known = self._row_cycles[grain, reloads][position]
        fitting = [
            (cycles, index) for index, (cycles, size) in enumerate(known) if size <= room_bytes
        ]
        return self.row_kernels(position, grain)[min(fitting)[1]] if fitting else None

    # What a range costs

    def price(self, first: int, end: int, sliced: Slices = (), grain: Grain = ROW) -> float:
        """Cycles that positions ``[first, end)`` take as one stream, estimated, at least."""
        fastest = self._fastest_row[grain, self.reloads(first, end, grain)]
        more = sum(self.slice_price(position, channels) for position, channels in sliced)
        return more + sum(fastest[position] for position in range(first, end))

    def price_within(
        self, first: int, end: int, sliced: Slices, grain: Grain, limit_bytes: int
    ) -> float:
        """The same with the fastest kernels whose scratch the limit has room for."""
        _, beside = self._stream_needs(first, end, sliced, grain)
        own = {p for position, _ in sliced for p in (position, self.expander[position])}
        regime = grain, self.reloads(first, end, grain)
        more = 0.0
        for position in set(range(first, end)) - own:
            room = limit_bytes - beside[position]
            known = self._row_cycles[regime][position]
            thriftiest, _ = min(known, key=itemgetter(1))
            cycles = min((c for c, scratch in known if scratch <= room), default=thriftiest)
            more += cycles - self._fastest_row[regime][position]
        return self.price(first, end, sliced, grain) + more

    def reloads(self, first: int, end: int, grain: Grain) -> bool:
        """Whether a stream of positions ``[first, end)`` loads its constants for every turn."""
        sizes = self._constants[grain]
        return self.rows.pricing.costs.loads.exceeds(sizes[end] - sizes[first])

    @cached_property
    def _constants(self) -> dict[Grain, list[int]]:
        """For each grain bytes of constants, at least, of the positions before each."""
        found = {}
        for grain, stages in self.by_grain.items():
            sizes = [0]
            for position in range(len(self.order)):
                kernels = self.row_kernels(position, grain) if position in stages else ()
                size = min((kernel.flash_bytes for kernel in kernels), default=0)
                sizes.append(sizes[-1] + size)
            found[grain] = sizes
        return found

    def slice_price(self, position: int, channels: int) -> float:
        """Cycles that it takes more to compute the input of ``position`` anew, in slices."""
        option, expander = self.sliced[position][channels], self.expander[position]
        cycles = min(self.rows.pricing.sliced(option, *pair) for pair in option.kernels)
        fastest = self._fastest_row[ROW, False]
        return max(0.0, cycles - fastest[expander] - fastest[position])

    def row_price(self, position: int, kernel: Kernel, grain: Grain, reloads: bool) -> float:
        """Of a step of a stream; ``reloads``: one that loads its constants for every turn."""
        cycles = self.rows.pricing.cycles(self.order[position], kernel, grain)
        return cycles + (self.reloading(position, kernel, grain) if reloads else 0.0)

    def reloading(self, position: int, kernel: Kernel, grain: Grain) -> float:
        """What of that are loads for every turn."""
        turns = self.by_grain[grain][position].stage.use.turns
        return self.rows.pricing.costs.loads.of_turns(kernel, turns)

    @cached_property
    def _row_cycles(self) -> dict[tuple[Grain, bool], dict[int, list[tuple[float, int]]]]:
        """By what a turn computes, whether constants come again for each, and the position: each
        kernel's cycles and scratch.
        """
        return {
            (grain, reloads): {
                position: [
                    (
                        self.row_price(position, kernel, grain, reloads),
                        align(kernel.scratch_bytes),
                    )
                    for kernel in self.row_kernels(position, grain)
                ]
                for position in stages
            }
            for grain, stages in self.by_grain.items()
            for reloads in (False, True)
        }

    @cached_property
    def _fastest_row(self) -> dict[tuple[Grain, bool], dict[int, float]]:
        return {
            regime: {position: min(known)[0] for position, known in found.items()}
            for regime, found in self._row_cycles.items()
        }

    @cached_property
    def _layer_cycles(self) -> list[list[float]]:
        """For each position and kernel of its job the cycles of the operator as a whole."""
        cycles, jobs = self.rows.pricing.cycles, self.problem.jobs
        return [[cycles(index, k, None) for k in jobs[index].kernels] for index in self.order]

    def layer_price(self, position: int, limit_bytes: int) -> float:
        """Cycles of an operator as a whole with a kernel within the limit; infinite without one."""
        needs, cycles = self.layer_needs[position], self._layer_cycles[position]
        fitting = (c for need, c in zip(needs, cycles, strict=True) if need <= limit_bytes)
        return min(fitting, default=inf)

    # The best sequence of ranges

    def least(self) -> int:
        """The smallest peak (nearly) that any sequence of ranges has."""
        most = range(max((min(needs) for needs in self.layer_needs), default=0))
        quick = bisect_left(most, True, key=lambda limit: self._reaches(limit, self._quickly))
        return bisect_left(
            most, True, lo=quick, key=lambda limit: self._reaches(limit, self._needs)
        )

    def _quickly(self, first: int, end: int) -> Iterator[int]:
        yield self.least_bytes(first, end)

    def _reaches(self, limit_bytes: int, needs_of: Callable[[int, int], Iterator[int]]) -> bool:
        """Whether some sequence of ranges needs no more, by what ``needs_of`` a range says."""
        reached = [True]
        for end in range(1, len(self.order) + 1):
            found = reached[end - 1] and min(self.layer_needs[end - 1]) <= limit_bytes
            for first in range(end - 1, -1, -1):
                if found or first not in self.stages:
                    break
                if end - first < 2 and self.arriving(first, end) is None:
                    continue
                if reached[first] and self.least_bytes(first, end) <= limit_bytes:
                    found = any(need <= limit_bytes for need in needs_of(first, end))
            reached.append(found)
        return reached[-1]

    def _needs(self, first: int, end: int) -> Iterator[int]:
        """What the range needs as one stream, in one thrifty way after another."""
        options: list[tuple[Slices, Grain]] = [((), grain) for grain in self._fine]
        if slices := self.thriftiest(first, end):
            options.insert(1, (slices, ROW))
        for option in options:
            if needed := self.stream_bytes(first, end, *option):
                yield needed

    def cheapest(
        self, limit_bytes: int, several: bool = True, without: Range | None = None
    ) -> Cut | None:
        """The sequence of ranges with the smallest price of which none needs more than
        ``limit_bytes``; layers next to each other are one range. ``several``: also with
        several rows in a turn. ``without`` a stream over just those operators.
        """
        grains = self.by_grain if several else self._fine
        count = len(self.order)
        best: list[tuple[float, int]] = [(0.0, 0)] + [(inf, 0)] * count
        back: list[Range] = [Range(0, 0, False)] * (count + 1)
        for end in range(1, count + 1):
            price = best[end - 1][0] + self.layer_price(end - 1, limit_bytes)
            if price < inf:
                best[end], back[end] = (price, best[end - 1][1]), Range(end - 1, end, False)
            for first in range(end - 1, -1, -1):
                if first not in self.stages:
                    break
                if without is not None and (first, end) == without.span:
                    continue
                arriving = self.arriving(first, end)
                if end - first < 2 and arriving is None:
                    continue
                for grain in grains:
                    if not self.streams(first, end, grain):
                        continue
                    before, parts = best[first]
                    rival = before + self.price(first, end, (), grain), parts + 1
                    if rival >= best[end]:
                        continue
                    if self.least_bytes(first, end) > limit_bytes:
                        break
                    slices: Slices | None = ()
                    if grain == ROW:
                        budget = best[end][0] - rival[0]
                        slices = self.fitting(first, end, limit_bytes, budget)
                    elif not self._fits(first, end, grain, limit_bytes):
                        slices = None
                    if slices is None:
                        continue
                    within = self.price_within(first, end, slices, grain, limit_bytes)
                    rival = before + within, parts + 1
                    if rival < best[end]:
                        found = Range(first, end, True, arriving, slices, grain)
                        best[end], back[end] = rival, found
        if best[count][0] == inf:
            return None
        ranges = tuple(self.widened(part, limit_bytes) for part in _joined(back, count))
        return Cut(ranges, limit_bytes, best[count][0])

    def _fits(self, first: int, end: int, grain: Grain, limit_bytes: int) -> bool:
        """Whether one stream without slices keeps within the limit; more rows need no less."""
        grains = (ROW, grain) if grain.rows > 1 else (grain,)
        return all(0 < self.stream_bytes(first, end, (), g) <= limit_bytes for g in grains)


def _joined(back: Sequence[Range], count: int) -> tuple[Range, ...]:
    """The ranges that lead to ``count``; layers next to each other are one."""
    ranges: list[Range] = []
    end = count
    while end:
        part = back[end]
        if not part.stream and ranges and not ranges[-1].stream:
            ranges[-1] = Range(part.first, ranges[-1].end, False)
        else:
            ranges.append(part)
        end = part.first
    return tuple(reversed(ranges))
