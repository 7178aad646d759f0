"""Offsets in one memory bank: items that are alive at the same time lie apart, within as few bytes
as possible.

Some pairs may lie diagonally over each other: an operator's output over its dying input, at a
clearance that its kernel states.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from ctypes import CDLL, c_int64, c_void_p
from dataclasses import dataclass
from itertools import chain
from operator import add

import numpy as np

from tinyvision.native import library
from tinyvision.schedule.plan import ALIGNMENT

EXACT_ITEMS = 12
EXACT_NODES = 6_000


@dataclass(frozen=True)
class Item:
    """``size_bytes`` (a multiple of the alignment) alive from ``first`` to ``last`` inclusive."""

    size_bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Clearance:
    """``input.offset - output.offset`` with which an output may overlap its input: ``least_bytes``
    (aligned) and all above, or where ``exact`` that alone.
    """

    least_bytes: int
    exact: bool = False


Diagonals = Mapping[tuple[int, int], Clearance]
"""``(output, input)`` to clearance, for the pairs that may overlap."""

Spans = tuple[tuple[int, int], ...]
"""Open intervals."""


@dataclass(frozen=True)
class Layout:
    """``offsets`` of all items; they end at ``peak_bytes``."""

    offsets: tuple[int, ...]
    peak_bytes: int


class Placement:
    """One problem: its constraints, prepared once, and the ways to solve it."""

    def __init__(
        self,
        items: Sequence[Item],
        diagonals: Diagonals,
        spans: Mapping[tuple[int, int], Spans] | None = None,
        load_bytes: int | None = None,
    ) -> None:
        """``spans``, where given, says for each pair ``(one, other)`` that meets where ``one`` may
        not begin relative to ``other``, and ``load_bytes`` a bound of any layout; else both follow
        from the items and their ``diagonals``.
        """
        self.items = tuple(items)
        self.sizes = [item.size_bytes for item in items]
        # For every item its neighbours, and where it may not begin relative to where they do.
        self.neighbours: list[list[tuple[int, Spans]]] = [[] for _ in items]
        if spans is None:
            spans = {
                (one, other): self._forbidden(one, other, diagonals)
                for one, other in self._pairs(diagonals)
            }
        for (one, other), found in spans.items():
            self.neighbours[one].append((other, found))
            mirrored = tuple((-high, -low) for low, high in reversed(found))
            self.neighbours[other].append((one, mirrored))
        self.load_bytes = self._load_bytes() if load_bytes is None else load_bytes
        native = library()
        self._native = None if native is None else _FirstFit(native, self.neighbours)

    def _pairs(self, diagonals: Diagonals) -> Iterable[tuple[int, int]]:
        """Every constrained pair once."""
        pairs = {(min(pair), max(pair)) for pair in diagonals}
        by_start = sorted(range(len(self.items)), key=lambda i: self.items[i].first)
        alive: list[int] = []
        for index in by_start:
            item = self.items[index]
            alive = [other for other in alive if self.items[other].last >= item.first]
            pairs.update((min(index, other), max(index, other)) for other in alive)
            alive.append(index)
        return sorted(pairs)

    def _forbidden(self, one: int, other: int, diagonals: Diagonals) -> Spans:
        """Where ``one`` may not begin, relative to the start of ``other``."""
        low, high = -self.sizes[one], self.sizes[other]
        if found := diagonals.get((one, other)):
            start = max(low, -found.least_bytes)
            return ((low, start), (start, high)) if found.exact else ((start, high),)
        if found := diagonals.get((other, one)):
            end = min(high, found.least_bytes)
            return ((low, end), (end, high)) if found.exact else ((low, end),)
        return ((low, high),)

    def _load_bytes(self) -> int:
        """The most bytes that are alive at one time: a lower bound, blind to clearances."""
        changes: dict[int, int] = {}
        for item in self.items:
            changes[item.first] = changes.get(item.first, 0) + item.size_bytes
            changes[item.last + 1] = changes.get(item.last + 1, 0) - item.size_bytes
        load = most = 0
        for time in sorted(changes):
            load += changes[time]
            most = max(most, load)
        return most

    def first_fit(self, order: Iterable[int]) -> Layout:
        """Puts one item after the other, all of them, where it fits lowest."""
        if self._native is not None:
            offsets = self._native(list(order))
        else:
            offsets = [-1] * len(self.items)
            for index in order:
                offsets[index] = self._lowest(index, offsets, 0)
        return Layout(tuple(offsets), max(map(add, offsets, self.sizes), default=0))

    def _lowest(self, index: int, offsets: Sequence[int], offset: int) -> int:
        """The lowest place at ``offset`` or above for an item among those that have one."""
        forbidden = [
            (offsets[other] + low, offsets[other] + high)
            for other, spans in self.neighbours[index]
            if offsets[other] >= 0
            for low, high in spans
        ]
        forbidden.sort()
        for low, high in forbidden:
            if offset <= low:
                break
            offset = max(offset, high)
        return offset

    def solve(self, target_bytes: int = 0, effort: int = 300, exact: bool = True) -> Layout:
        """The best layout found; stops at once when one ends at ``target_bytes`` or below.

        First fit in several orders, then orders improved by putting first what ended too high
        (``effort`` of them), then, for small problems, all that could still be better (``exact``).
        """
        target = max(target_bytes, self.load_bytes)
        best: Layout | None = None
        best_order: list[int] = []
        for order in self._orders():
            layout = self.first_fit(order)
            if best is None or layout.peak_bytes < best.peak_bytes:
                best, best_order = layout, order
            if best.peak_bytes <= target:
                return best
        assert best is not None
        best = self._improve(best, best_order, target, effort)
        if exact and best.peak_bytes > target and len(self.items) <= EXACT_ITEMS:
            best = _Exact(self, best, target).run()
        return best

    def _orders(self) -> Iterable[list[int]]:
        """Promising orders: large, long-lived, crowded first; later first among equals, because an
        output lies below the input it overlaps.
        """
        items = self.items
        everything = range(len(items))
        crowd = [
            sum(self.sizes[other] for other, _ in self.neighbours[i]) + self.sizes[i]
            for i in everything
        ]
        yield list(everything)
        yield sorted(everything, key=lambda i: (-self.sizes[i], -items[i].first))
        yield sorted(everything, key=lambda i: (-crowd[i], -items[i].first))
        yield sorted(everything, key=lambda i: (-items[i].last, -items[i].first))
        yield sorted(
            everything,
            key=lambda i: (-self.sizes[i] * (items[i].last - items[i].first + 1), -items[i].first),
        )
        yield sorted(everything, key=lambda i: (items[i].first, -self.sizes[i]))

    def _improve(self, best: Layout, order: list[int], target: int, effort: int) -> Layout:
        """Squeaky wheels: items that end above the goal move ahead in the order, and again."""
        rng = random.Random(len(self.items))
        current, current_peak = order, best.peak_bytes
        layout = best
        for _ in range(effort):
            if best.peak_bytes <= target:
                break
            goal = best.peak_bytes - ALIGNMENT
            high = {i for i, at in enumerate(layout.offsets) if at + self.sizes[i] > goal}
            moved = list(current)
            for index in sorted(high):
                crowd = [other for other, _ in self.neighbours[index]]
                loud = index if not crowd or rng.random() < 0.7 else rng.choice(crowd)
                place = moved.index(loud)
                moved.insert(rng.randrange(place + 1), moved.pop(place))
            layout = self.first_fit(moved)
            if layout.peak_bytes <= current_peak or rng.random() < 0.05:
                current, current_peak = moved, layout.peak_bytes
            if layout.peak_bytes < best.peak_bytes:
                best = layout
        return best


class _FirstFit:
    """``Placement.first_fit`` in C (``native/place.c``)."""

    def __init__(self, native: CDLL, neighbours: Sequence[Sequence[tuple[int, Spans]]]) -> None:
        self.function = native.tv_first_fit
        spans = [
            [(other, low, high) for other, found in near for low, high in found]
            for near in neighbours
        ]
        first = np.cumsum([0, *map(len, spans)])
        columns = np.array(list(chain(*spans)), np.int64).reshape(-1, 3).T.copy()
        self.count = len(neighbours)
        self.offsets = np.empty(self.count, np.int64)
        room = np.empty(2 * max(map(len, spans), default=0), np.int64)
        self.arrays = (first, *columns, self.offsets, room)
        self.pointers = [c_void_p(array.ctypes.data) for array in self.arrays]

    def __call__(self, order: Sequence[int]) -> list[int]:
        """``order`` has every item once."""
        numbers = (c_int64 * self.count)(*order)
        self.function(c_int64(self.count), numbers, *self.pointers)
        found: list[int] = self.offsets.tolist()
        return found


class _Exact:
    """Branch and bound over the sequence in which items lie from low to high.

    In some optimal layout every item rests on 0 or on a lower item, so placing items by rising
    offset, each as low as those placed allow, reaches it. (Items at an exact clearance above
    another can hang from it instead; layouts in which they do are reached in part only.)
    """

    def __init__(self, problem: Placement, best: Layout, target: int) -> None:
        self.problem, self.best, self.target = problem, best, target
        self.nodes = EXACT_NODES
        self.times = sorted({item.first for item in problem.items})
        self.alive = [
            [i for i, item in enumerate(problem.items) if item.first <= time <= item.last]
            for time in self.times
        ]

    def run(self) -> Layout:
        count = len(self.problem.items)
        self._branch([-1] * count, count, 0, 0)
        return self.best

    def _branch(self, offsets: list[int], left: int, level: int, peak: int) -> None:
        """Places one more item at ``level`` (the highest offset so far) or above."""
        if not left:
            self.best = Layout(tuple(offsets), peak)
            return
        self.nodes -= 1
        if self.nodes < 0:
            return
        sizes = self.problem.sizes
        floors = {
            i: self.problem._lowest(i, offsets, level) for i, at in enumerate(offsets) if at < 0
        }
        if self._bound(floors) >= self.best.peak_bytes:
            return
        for index in sorted(floors, key=lambda i: (floors[i], -sizes[i])):
            end = max(peak, floors[index] + sizes[index])
            if end >= self.best.peak_bytes:
                continue
            offsets[index] = floors[index]
            self._branch(offsets, left - 1, floors[index], end)
            offsets[index] = -1
            if self.best.peak_bytes <= self.target:
                return

    def _bound(self, floors: Mapping[int, int]) -> int:
        """What waits at one time must stack up from the lowest of its floors."""
        sizes = self.problem.sizes
        bound = 0
        for crowd in self.alive:
            waiting = [i for i in crowd if i in floors]
            if waiting:
                lowest = min(floors[i] for i in waiting)
                bound = max(bound, lowest + sum(sizes[i] for i in waiting))
        return bound
