"""When which bytes hold something, row by row, if segments run one after another.

Time counts events: an operator as a whole, or one turn of one in a stream. Every event is two
ticks, reading and writing, so that an output may take the place of what its kernel has read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm

import numpy as np

from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import ROW, Grain, RowUse
from tinyvision.schedule.interleave import ARRIVAL, RowJob, Stage, interleave
from tinyvision.schedule.place import Clearance, Spans
from tinyvision.schedule.plan import ALIGNMENT, STATE_BYTES, align
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.slicing import Sliced

BEFORE = -1
"""The tick at which inputs that are fed whole are written."""


@dataclass(frozen=True)
class Range:
    """The jobs ``[first, end)`` of an order, run one after another or (``stream``) row by row.

    ``arriving``: the storage of a network input that comes row by row, or None. ``sliced``: the
    positions that compute their input themselves (``schedule.slicing``), and channels at a time.
    ``grain``: what is computed in a turn.
    """

    first: int
    end: int
    stream: bool
    arriving: int | None = None
    sliced: tuple[tuple[int, int], ...] = ()
    grain: Grain = ROW

    @property
    def span(self) -> tuple[int, int]:
        return self.first, self.end


@dataclass(frozen=True)
class Parts:
    """Byte ranges ``[low, high)`` of an item, each in use from tick ``start`` to ``end``."""

    low: Array
    high: Array
    start: Array
    end: Array

    @cached_property
    def first(self) -> int:
        return int(self.start.min())

    @cached_property
    def last(self) -> int:
        return int(self.end.max())


def whole(size_bytes: int, start: int, end: int) -> Parts:
    """An item that is in use as a whole, once."""
    return Parts(*(np.array([value], np.int64) for value in (0, size_bytes, start, end)))


@dataclass(frozen=True)
class Item:
    """Memory for a storage, or for a job's scratch or sums. ``slots``: rows that a ring has, 0
    where every row has a place of its own, or all come and go together.
    """

    size_bytes: int
    parts: Parts
    slots: int = 0


@dataclass(frozen=True)
class RowPairs:
    """Of the first ``count`` rows of an output those of each of the ``turns`` may overlap the rows
    of the input that they are made of, the input at least ``lead`` bytes above the output.
    """

    use: RowUse
    turns: int
    count: int
    lead: int

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First row and number of rows of each turn."""
        for turn in range(self.turns):
            first, end = self.use.block(turn)
            if first < self.count:
                yield first, min(end, self.count) - first


class Timeline:
    """Lifetimes of everything for one sequence of ranges over one order of a problem.

    ``kernels``: one for each position of the order. ``rows``: positions that can be stages.
    ``views``: rows and bytes of a row of every storage; pieces stand for its rows where a stream
    that works on them has it for itself. ``lifetimes``: those of the whole order, of which
    ``ranges`` may be a part; what lives beyond it lives until the end. ``sliced``: of the positions
    that compute their input themselves.
    Raises ValueError where an operator of a stream would have nothing to do.
    """

    def __init__(
        self,
        problem: Problem,
        order: Sequence[int],
        kernels: Sequence[Kernel],
        rows: Mapping[int, RowJob],
        views: Sequence[tuple[int, int]],
        ranges: Sequence[Range],
        lifetimes: Sequence[tuple[int, int]],
        sliced: Mapping[int, Sliced] | None = None,
    ) -> None:
        self.problem, self.order, self.kernels = problem, order, kernels
        self.rows, self.ranges = rows, ranges
        self.lifetimes, self.sliced = lifetimes, sliced or {}
        self.position = {job: position for position, job in enumerate(order)}
        self.held: dict[int, tuple[Sliced, Parts]] = {}
        self.touched: set[int] = set()
        self.turns: list[tuple[int, ...]] = []
        self.diagonals: dict[tuple[int, int], Clearance] = {}
        self.pairs: dict[tuple[int, int], list[RowPairs]] = {}
        self.scratch: dict[int, Parts] = {}
        self.sums: dict[int, Parts] = {}
        self.states: dict[int, Parts] = {}
        self.slots: dict[int, int] = {}
        self.phases: dict[int, int] = {}
        self.moving: set[int] = set()
        self.jobs: dict[int, RowJob] = {}
        self.pieces = {s: n for s, n in self._pieces(ranges).items() if views[s][0] > 1}
        self.views = [self._cut(storage, *view) for storage, view in enumerate(views)]
        self._start = [np.full(v[0], BEFORE, np.int64) for v in self.views]
        self._end = [np.full(v[0], BEFORE, np.int64) for v in self.views]
        self._event = 0
        self._begins: list[int] = []
        self._turns_of: dict[int, Array] = {}
        for part in ranges:
            self._begins.append(self._event)
            if part.stream:
                self._stream(part)
            else:
                for position in range(part.first, part.end):
                    self._layer(position)
                self.turns.append(())
        self.events = self._event
        for storage in self.touched:
            if lifetimes[storage][1] >= ranges[-1].end:
                self._end[storage][:] = 2 * self._event

    def _pieces(self, ranges: Sequence[Range]) -> dict[int, int]:
        """Of the storages that streams which work on pieces have for themselves, into how many
        each of their rows is cut.
        """
        found = {}
        for part in ranges:
            if part.grain.pieces > 1:
                arriving = () if part.arriving is None else (part.arriving,)
                found.update(dict.fromkeys((*self._internal(part), *arriving), part.grain.pieces))
        return found

    def _cut(self, storage: int, rows: int, row_bytes: int) -> tuple[int, int]:
        pieces = self.pieces.get(storage, 1)
        return rows * pieces, row_bytes // pieces

    # One operator as a whole

    def _layer(self, position: int) -> None:
        tick = 2 * self._event
        self._event += 1
        job, kernel = self.problem.jobs[self.order[position]], self.kernels[position]
        late = False
        self.touched.update(job.read_storages, job.writes)
        for storage in job.read_storages:
            end = tick + 1
            dies = self.lifetimes[storage][1] == position and storage not in self.problem.outputs
            if dies and (clearance := job.clearance(kernel, storage)) is not None:
                self.diagonals[job.writes[0], storage] = clearance
                end, late = tick, True
            self._end[storage][:] = end
        for index, storage in enumerate(job.writes):
            if storage not in job.read_storages:
                self._start[storage][:] = tick + (late and index == 0)
            self._end[storage][:] = tick + 1
        if kernel.scratch_bytes:
            self.scratch[position] = whole(kernel.scratch_bytes, tick, tick + 1)

    # Rows of several

    def _stream(self, part: Range) -> None:
        sliced = {p: self.sliced[p] for p, _ in part.sliced}
        silent = {self.position[found.expander] for found in sliced.values()}
        positions = [p for p in range(part.first, part.end) if p not in silent]
        internal = self._internal(part)
        rings = internal | ({part.arriving} if part.arriving is not None else set())
        plain = [sliced[p].row if p in sliced else self.rows[p] for p in positions]
        jobs = dict(zip(positions, in_step(plain, rings), strict=True))
        self.jobs |= jobs
        stages = [jobs[p].stage for p in positions]
        self._phase(stages, rings)
        kept = frozenset(s for stage in stages for s in stage.writes) - internal
        arriving = None
        if part.arriving is not None:
            arriving = part.arriving, self.views[part.arriving][0]
            internal |= {part.arriving}
        turns = interleave(stages, kept, arriving)
        steps = [position - part.first for position in positions]
        self.turns.append(tuple(steps[k] if k != ARRIVAL else ARRIVAL for k in turns))
        sequence = np.array(turns, np.int64)
        at = [np.flatnonzero(sequence == k) + self._event for k in range(len(stages))]
        if not all(len(events) for events in at):
            raise ValueError("nothing reads what an operator computes")
        self._turns_of.update(zip(positions, at, strict=True))
        for stage in stages:
            self.touched.update(s for s in (*stage.reads, *stage.writes) if s is not None)
        if part.arriving is not None:
            arrivals = np.flatnonzero(sequence == ARRIVAL) + self._event
            self._born(part.arriving, 2 * arrivals)
            begin, end = 2 * self._event, 2 * (self._event + len(turns)) - 1
            self.states[part.first] = whole(STATE_BYTES, begin, end)
        self._event += len(turns)
        for position, events in zip(positions, at, strict=True):
            self._births(position, jobs[position].stage, events, part.grain.pieces)
            if position in sliced:
                self._hold(sliced[position], events)
        for position, events in zip(positions, at, strict=True):
            self._deaths(jobs[position], events, part.grain.pieces)
        for position, events in zip(positions, at, strict=True):
            job = jobs[position]
            if not job.stage.use.accumulates and len(job.leads):
                self._in_place(job, events, part)
        for storage in kept:  # also rows that nobody reads: it can be compared
            self._end[storage] = np.maximum(self._end[storage], 2 * self._event - 1)
        for storage in internal - set(self.held):
            self.slots[storage] = self._ring(storage, [jobs[p].stage for p in positions])

    def _phase(self, stages: Sequence[Stage], rings: set[int]) -> None:
        for stage in stages:
            written = () if stage.use.accumulates else stage.writes
            for storage in (*written, *(s for s in stage.reads if s is not None)):
                if storage in rings and (storage in written or stage.reads_blocks(storage)):
                    self.phases[storage] = stage.use.phase

    def rows_of(self, position: int) -> tuple[int, int]:
        """Rows that a step computes in a turn, and in the first; 1 where it takes none."""
        if position not in self.jobs or position in self.sliced:
            return 1, 1
        use = self.jobs[position].stage.use
        return use.rows, use.first or use.rows

    def _hold(self, found: Sliced, events: Array) -> None:
        """The rows of some channels that turns compute for themselves."""
        zero = np.zeros(len(events), np.int64)
        parts = Parts(zero, zero + found.held_bytes, 2 * events, 2 * events + 1)
        self.held[found.held] = found, parts
        self.slots[found.held] = found.held_rows
        self.touched.add(found.held)

    def _internal(self, part: Range) -> set[int]:
        """What is written and read inside alone."""
        written = {
            storage
            for position in range(part.first, part.end)
            for storage in self.rows[position].stage.writes
        }
        return {
            storage
            for storage in written
            if part.first <= self.lifetimes[storage][0] < self.lifetimes[storage][1] < part.end
        }

    def _born(self, storage: int, ticks: Array) -> None:
        """Rows beyond those never come to be: they end before they start."""
        count = len(ticks)
        self._start[storage][:count] = ticks
        self._start[storage][count:] = ticks[-1] + 1 if count else 0
        self._end[storage][:count] = ticks + 1
        self._end[storage][count:] = self._start[storage][count:] - 1

    def _births(self, position: int, stage: Stage, events: Array, pieces: int) -> None:
        starts = events[-1:] if stage.use.accumulates else _each_row(stage, events)
        for storage in stage.writes:
            whole_rows = pieces > 1 and storage not in self.pieces
            self._born(storage, 2 * (starts[::pieces] if whole_rows else starts))
        if scratch_bytes := self.scratch_bytes(position):
            zero = np.zeros(len(events), np.int64)
            size = zero + scratch_bytes
            self.scratch[position] = Parts(zero, size, 2 * events, 2 * events + 1)
        if stage.use.accumulates:
            size_bytes = stage.use.accumulator_bytes
            first, last = 2 * int(events[0]), 2 * int(events[-1]) + 1
            self.sums[position] = whole(size_bytes, first, last)

    def scratch_bytes(self, position: int) -> int:
        """Of a step of a stream."""
        found = self.sliced.get(position)
        if found is None:
            return self.kernels[position].scratch_bytes
        expander = self.position[found.expander]
        return found.scratch_bytes((self.kernels[expander], self.kernels[position]))

    def _deaths(self, job: RowJob, events: Array, pieces: int) -> None:
        for storage, last in zip(job.stage.reads, job.last_turns(len(events)), strict=True):
            if storage is not None:
                if pieces > 1 and storage not in self.pieces and self.views[storage][0] > 1:
                    last = np.append(last, np.full(-len(last) % pieces, -1))
                    last = last.reshape(-1, pieces).max(axis=1)
                rows = np.flatnonzero(last >= 0)
                end = self._end[storage]
                end[rows] = np.maximum(end[rows], 2 * events[last[rows]] + 1)

    def _in_place(self, job: RowJob, events: Array, part: Range) -> None:
        """Output rows that may lie over the input rows they are made of, which end with them."""
        (output,) = job.stage.writes[:1]
        for index, storage in enumerate(job.stage.reads):
            lead = job.leads[index]
            if storage is None or lead is None or job.stage.reads.count(storage) > 1:
                continue
            if self.lifetimes[storage][1] >= part.end or storage in self.problem.outputs:
                continue
            if part.grain.pieces > 1 and not {storage, output} <= self.pieces.keys():
                continue
            each, use = _each_row(job.stage, events), job.stage.use
            count = min(len(each), len(self._end[storage]))
            dying = self._end[storage][:count] == 2 * each[:count] + 1
            if not dying.all():
                continue
            self._end[storage][:count] -= 1
            self._start[output][:count] = 2 * each[:count] + 1
            pairs = RowPairs(use, len(events), count, lead)
            self.pairs.setdefault((output, storage), []).append(pairs)

    def _ring(self, storage: int, stages: Sequence[Stage]) -> int:
        """Rows that it has: as many as are there at one time, and so many that the rows of a turn,
        where they are written or read by one call, lie one after another.
        """
        blocks = [s.use.rows for s in stages if storage in s.writes or s.reads_blocks(storage)]
        block, height = lcm(*blocks), self.views[storage][0]
        slots = -(-self._most_rows(storage) // block) * block
        if slots >= height:
            self.phases[storage] = 0
        if slots > block:
            self.moving.add(storage)
        return min(slots, height)

    def _most_rows(self, storage: int) -> int:
        start, end = self._start[storage], self._end[storage]
        never = np.flatnonzero(end < start)
        count = int(never[0]) if len(never) else len(start)
        rows = np.arange(count)
        # Of a row's predecessors the first that is still there when it comes.
        oldest = np.searchsorted(np.maximum.accumulate(end[:count]), start[:count])
        return int((rows - np.minimum(oldest, rows)).max(initial=0)) + 1

    # Results

    def parts(self, storage: int) -> Parts:
        """Where and when rows of ``storage`` lie."""
        if storage in self.held:
            return self.held[storage][1]
        rows, row_bytes = self.views[storage]
        start, end = self._start[storage], self._end[storage]
        if rows == 1 or (storage not in self.slots and self._uniform(storage)):
            return whole(rows * row_bytes, int(start[0]), int(end[0]))
        index = np.flatnonzero(end >= start)
        phase = self.phases.get(storage, 0)
        low = ((index + phase) % self.slots.get(storage, rows)) * row_bytes
        return Parts(low, low + row_bytes, start[index], end[index])

    def _uniform(self, storage: int) -> bool:
        start, end = self._start[storage], self._end[storage]
        return bool((start == start[0]).all() and (end == end[0]).all())

    @cached_property
    def items(self) -> list[Item]:
        """Storages, then scratches, sums and states, the latter three by position."""
        items = []
        for storage in range(len(self.views)):
            items.append(self._item(storage))
        others = (self.scratch, self.sums, self.states)
        for parts in (found[position] for found in others for position in sorted(found)):
            items.append(Item(align(int(parts.high[0])), parts))
        return items

    def _item(self, storage: int) -> Item:
        slots = self.slots[storage] if storage in self.moving else 0
        return Item(align(self.size_bytes(storage)), self.parts(storage), slots)

    def size_bytes(self, storage: int) -> int:
        """Memory for what there is of ``storage`` at one time."""
        if storage in self.held:
            return self.held[storage][0].held_bytes
        rows, row_bytes = self.views[storage]
        return (self.slots.get(storage, 0) or rows) * row_bytes

    def load_bytes(self) -> int:
        """The most that is in use at one time of what the ranges touch, at least."""
        return int(self._load.max())

    def range_peaks(self) -> list[int]:
        """The same for each range."""
        ends = [*self._begins[1:], self.events]
        return [
            int(self._load[2 * begin : 2 * end].max())
            for begin, end in zip(self._begins, ends, strict=True)
        ]

    def turn_peaks(self) -> dict[int, int]:
        """The same for the turns of each position in a stream."""
        in_turns = np.maximum(
            self._load[: 2 * self.events : 2], self._load[1 : 2 * self.events : 2]
        )
        return {p: int(in_turns[events].max()) for p, events in self._turns_of.items()}

    @cached_property
    def _load(self) -> Array:
        """Bytes in use at each tick; the slots of a ring count from their first use to their
        last.
        """
        change = np.zeros(2 * self.events + 4, np.int64)
        items = [self._item(storage) for storage in self.touched]
        for parts in [*self.scratch.values(), *self.sums.values(), *self.states.values()]:
            items.append(Item(align(int(parts.high[0])), parts))
        for item in items:
            parts = item.parts
            low, start, end = parts.low, parts.start, parts.end
            if item.slots > 1:
                low, where = np.unique(low, return_inverse=True)
                start = np.full(len(low), 2 * self.events, np.int64)
                end = np.full(len(low), BEFORE, np.int64)
                np.minimum.at(start, where, parts.start)
                np.maximum.at(end, where, parts.end)
                size = np.full(len(low), item.size_bytes // item.slots)
            else:
                size = parts.high - low
            np.add.at(change, start + 1, size)
            np.add.at(change, end + 2, -size)
        load: Array = np.cumsum(change)[1:]
        return load

    def spans(self) -> dict[tuple[int, int], Spans]:
        """For each pair of items that meet: where the first may not begin, relative to the
        second.
        """
        items = self.items
        found: dict[tuple[int, int], Spans] = {}
        order = sorted(range(len(items)), key=lambda i: items[i].parts.first)
        alive: list[int] = []
        for one in order:
            begin = items[one].parts.first
            alive = [i for i in alive if items[i].parts.last >= begin]
            for other in alive:
                spans = self._between(one, other)
                if spans:
                    found[one, other] = spans
            alive.append(one)
        for pair in [*self.diagonals, *self.pairs]:
            if pair not in found and pair[::-1] not in found:
                spans = self._between(*pair)
                if spans:
                    found[pair] = spans
        return found

    def _between(self, one: int, other: int) -> Spans:
        a, b = self.items[one].parts, self.items[other].parts
        meet = (a.start[:, None] <= b.end[None, :]) & (b.start[None, :] <= a.end[:, None])
        first, second = np.nonzero(meet)
        low, high = b.low[second] - a.high[first], b.high[second] - a.low[first]
        if clearances := self._clearances(one, other):
            more = np.array(list(clearances), np.int64)
            low, high = np.concatenate((low, more[:, 0])), np.concatenate((high, more[:, 1]))
        return _merged(low, high)

    def _row_at(self, storage: int, row: int) -> int:
        rows, row_bytes = self.views[storage]
        return (row + self.phases.get(storage, 0)) % (self.slots.get(storage) or rows) * row_bytes

    def _clearances(self, one: int, other: int) -> set[tuple[int, int]]:
        """Where outputs and the inputs they may overlap may not begin all the same."""
        spans: set[tuple[int, int]] = set()
        for output, source, sign in ((one, other, 1), (other, one, -1)):
            found = set()
            clearance = self.diagonals.get((output, source))
            if clearance is not None:
                # With the output at d, the input at 0: d <= -least is allowed.
                low, high = -self.items[output].size_bytes, self.items[source].size_bytes
                start = max(low, -clearance.least_bytes)
                found |= {(low, start), (start, high)} if clearance.exact else {(start, high)}
            for pairs in self.pairs.get((output, source), ()):
                for first, rows in pairs.blocks():
                    out_low, in_low = self._row_at(output, first), self._row_at(source, first)
                    in_end = in_low + rows * self.views[source][1]
                    # Row addresses: d + out_low <= in_low - lead, or beyond the input's end.
                    found.add((in_low - pairs.lead - out_low, in_end - out_low))
            spans |= {(low, high) if sign > 0 else (-high, -low) for low, high in found}
        return {span for span in spans if span[0] < span[1]}


def _each_row(stage: Stage, events: Array) -> Array:
    """For each row that turns at ``events`` write the event."""
    use = stage.use
    if use.rows == 1:
        return events
    blocks = (use.block(turn) for turn in range(len(events)))
    return np.repeat(events, [end - first for first, end in blocks])


def in_step(jobs: Sequence[RowJob], rings: set[int]) -> list[RowJob]:
    """``jobs`` of a stream, in their order, with the rows of their first turns such that what one
    needs for a turn is what others have just computed, as far as rows of ``rings`` that one call
    reads are those that one call writes.
    """
    if all(job.stage.use.rows == 1 for job in jobs):
        return list(jobs)
    wanted: dict[int, int] = {}
    fixed: set[int] = set()
    found = []
    for job in reversed(jobs):
        use = job.stage.use
        ends = [wanted[s] for s in job.stage.writes if s in wanted and not use.accumulates]
        job = job.beginning((ends[0] - 1) % use.rows + 1 if ends else use.rows)
        found.append(job)
        for storage, reads in zip(job.stage.reads, job.stage.use.reads, strict=True):
            if storage is None or storage not in rings or not reads or storage in fixed:
                continue
            if job.stage.use.is_aligned:
                fixed.add(storage)
                wanted[storage] = job.stage.use.first or use.rows
            elif len(reads) > 2:
                wanted[storage] = reads[1][1]
    phases = {s: job.stage.use.phase for job in found for s in job.stage.writes}
    for job in found:
        others = {phases.setdefault(s, job.stage.use.phase) for s in job.stage.reads if s in rings}
        if job.stage.use.is_aligned and others - {job.stage.use.phase}:
            return list(jobs)
    return found[::-1]


def _merged(low: Array, high: Array) -> Spans:
    """Open intervals as few as possible, widened to multiples of the alignment, which all offsets
    are.
    """
    if not len(low):
        return ()
    order = np.argsort(low)
    low = low[order] // ALIGNMENT * ALIGNMENT
    high = -(-high[order] // ALIGNMENT) * ALIGNMENT
    reached = np.maximum.accumulate(high)
    begins = np.flatnonzero(np.concatenate(([True], low[1:] >= reached[:-1])))
    ends = reached[np.concatenate((begins[1:] - 1, [-1]))]
    return tuple(zip(low[begins].tolist(), ends.tolist(), strict=True))
