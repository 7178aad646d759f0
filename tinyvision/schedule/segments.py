"""Which ranges of operators run row by row: the best cut of the order into segments.

As in msf-CNN (Huang and Baccelli, NeurIPS 2025) every contiguous range is a candidate, and the best
sequence of ranges is a shortest path; here no range recomputes anything, so the price of one is
the overhead of its turns alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf

from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.interleave import Stage
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.row_jobs import RowProblem
from tinyvision.schedule.timeline import Range, Timeline

TURN_CYCLES = 60
"""What a turn costs beside the kernel, roughly: the call, and finding its rows."""


@dataclass(frozen=True)
class Cut:
    """Ranges one after another; ``bound_bytes``: no layout of them can be smaller, nearly."""

    ranges: tuple[Range, ...]
    bound_bytes: int
    price: float


class Search:
    """The ranges of ``order`` and what each needs. ``rows_arrive``: the network's input comes row
    by row where the first range streams it.
    """

    def __init__(
        self, problem: Problem, rows: RowProblem, order: Sequence[int], rows_arrive: bool
    ) -> None:
        self.problem, self.rows, self.order = problem, rows, tuple(order)
        self.rows_arrive = rows_arrive
        self.lifetimes = problem.lifetimes(order)
        self.stages = {p: rows.stages[job] for p, job in enumerate(order) if job in rows.stages}
        self._known: dict[tuple[int, int], int] = {}

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

    def streams(self, first: int, end: int) -> bool:
        return all(position in self.stages for position in range(first, end))

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
        total = 0
        for storage, (born, dies) in enumerate(self.lifetimes):
            if born < first and dies >= end:
                total += self.problem.sizes[storage]
            elif first <= born and dies < end and born < dies:
                total += self._window_bytes[storage]
        return total

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

    def stream_bytes(self, first: int, end: int) -> int:
        """What positions ``[first, end)`` need as one stream, nearly; 0 where they cannot be."""
        key = first, end
        if key not in self._known:
            self._known[key] = self._stream_bytes(first, end)
        return self._known[key]

    def _stream_bytes(self, first: int, end: int) -> int:
        part = Range(first, end, True, self.arriving(first, end))
        try:
            timeline = self.timeline([part], {})
        except ValueError:
            return 0
        beside = sum(
            self.problem.sizes[storage]
            for storage, (born, dies) in enumerate(self.lifetimes)
            if born < first and dies >= first and storage not in timeline.touched
        )
        return beside + timeline.load_bytes()

    def timeline(self, ranges: Sequence[Range], chosen: dict[int, Kernel]) -> Timeline:
        """Lifetimes for ``ranges`` with the ``chosen`` kernels by position; else with those of the
        least scratch in streams, the fastest in layers.
        """
        streamed = {p for part in ranges if part.stream for p in range(part.first, part.end)}
        kernels = [
            chosen.get(position) or self._default(index, position in streamed)
            for position, index in enumerate(self.order)
        ]
        return Timeline(
            self.problem, self.order, kernels, self.stages, self.rows.views, ranges, self.lifetimes
        )

    def _default(self, index: int, streamed: bool) -> Kernel:
        if streamed:
            return min(self.rows.kernels[index], key=lambda kernel: kernel.scratch_bytes)
        return self.problem.jobs[index].kernels[0]

    # What a range costs

    def price(self, first: int, end: int) -> float:
        """Cycles that a stream takes more than its operators as a whole, roughly."""
        return sum(self._prices[position] for position in range(first, end))

    @cached_property
    def _prices(self) -> dict[int, float]:
        return {p: self._price(row_job.stage) for p, row_job in self.stages.items()}

    def _price(self, stage: Stage) -> float:
        """Windows that overlap are read again for every row."""
        storage = stage.reads[0]
        reread = 0
        if storage is not None and stage.use.reads[0]:
            read = sum(end - first for first, end in stage.use.reads[0])
            reread = max(0, read - self.rows.views[storage][0]) * self.rows.views[storage][1]
        return stage.use.turns * TURN_CYCLES + 2.0 * reread

    # The best sequence of ranges

    def least(self) -> int:
        """The smallest peak (nearly) that any sequence of ranges has."""
        count = len(self.order)
        # best[i]: smallest peak of positions [0, i); ranges that cannot improve it are not tried.
        best: list[float] = [0] + [inf] * count
        for end in range(1, count + 1):
            best[end] = max(best[end - 1], min(self.layer_needs[end - 1]))
            for first in range(end - 1, -1, -1):
                if first not in self.stages:
                    break
                if end - first < 2 and self.arriving(first, end) is None:
                    continue
                if best[first] >= best[end] or self.least_bytes(first, end) >= best[end]:
                    continue
                if needed := self.stream_bytes(first, end):
                    best[end] = min(best[end], max(best[first], needed))
        return int(best[count])

    def cheapest(self, limit_bytes: int) -> Cut | None:
        """The sequence of ranges with the smallest price of which none needs more than
        ``limit_bytes``; layers next to each other are one range.
        """
        count = len(self.order)
        best: list[tuple[float, int]] = [(0.0, 0)] + [(inf, 0)] * count
        back: list[tuple[int, bool]] = [(0, False)] * (count + 1)
        for end in range(1, count + 1):
            if min(self.layer_needs[end - 1]) <= limit_bytes:
                best[end], back[end] = best[end - 1], (end - 1, False)
            for first in range(end - 1, -1, -1):
                if first not in self.stages:
                    break
                if end - first < 2 and self.arriving(first, end) is None:
                    continue
                price = best[first][0] + self.price(first, end), best[first][1] + 1
                if price >= best[end] or self.least_bytes(first, end) > limit_bytes:
                    continue
                needed = self.stream_bytes(first, end)
                if 0 < needed <= limit_bytes:
                    best[end], back[end] = price, (first, True)
        if best[count][0] == inf:
            return None
        return Cut(self._ranges(back, count), limit_bytes, best[count][0])

    def _ranges(self, back: Sequence[tuple[int, bool]], count: int) -> tuple[Range, ...]:
        ranges: list[Range] = []
        end = count
        while end:
            first, stream = back[end]
            if not stream and ranges and not ranges[-1].stream:
                ranges[-1] = Range(first, ranges[-1].end, False)
            else:
                arriving = self.arriving(first, end) if stream else None
                ranges.append(Range(first, end, stream, arriving))
            end = first
        return tuple(reversed(ranges))
