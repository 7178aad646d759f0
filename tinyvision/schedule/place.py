"""Offsets in one memory bank: items that are alive at the same time lie apart, within as few bytes
as possible.

Some pairs may lie diagonally over each other (an operator's output over its dying input): the
``lower`` one may begin any number of bytes below the ``upper`` one, as long as it is at least their
clearance, or lie above its end.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tinyvision.schedule.plan import ALIGNMENT

EXACT_ITEMS = 12
EXACT_NODES = 20_000


@dataclass(frozen=True)
class Item:
    """``size_bytes`` (a multiple of the alignment) alive from ``first`` to ``last`` inclusive."""

    size_bytes: int
    first: int
    last: int


Diagonals = Mapping[tuple[int, int], int]
"""``(lower, upper)`` to clearance, for the pairs that may overlap; not negative, aligned."""


@dataclass(frozen=True)
class Layout:
    """``offsets`` of all items; they end at ``peak_bytes``."""

    offsets: tuple[int, ...]
    peak_bytes: int


class Placement:
    """One problem: its constraints, prepared once, and the ways to solve it."""

    def __init__(self, items: Sequence[Item], diagonals: Diagonals) -> None:
        self.items = tuple(items)
        self.sizes = [item.size_bytes for item in items]
        # For every item its neighbours: (other, how far above it, how far below it this one lies).
        self.neighbours: list[list[tuple[int, int, int]]] = [[] for _ in items]
        for one, other in self._pairs(diagonals):
            above = min(diagonals.get((other, one), self.sizes[other]), self.sizes[other])
            below = min(diagonals.get((one, other), self.sizes[one]), self.sizes[one])
            self.neighbours[one].append((other, above, below))
            self.neighbours[other].append((one, below, above))
        self.load_bytes = self._load_bytes()

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
        """Puts one item after the other where it fits lowest."""
        offsets = [-1] * len(self.items)
        peak = 0
        for index in order:
            forbidden = [
                (offsets[other] - below, offsets[other] + above)
                for other, above, below in self.neighbours[index]
                if offsets[other] >= 0
            ]
            forbidden.sort()
            offset = 0
            for low, high in forbidden:
                if offset <= low:
                    break
                offset = max(offset, high)
            offsets[index] = offset
            peak = max(peak, offset + self.sizes[index])
        return Layout(tuple(offsets), peak)

    def solve(self, target_bytes: int = 0, effort: int = 300) -> Layout:
        """The best layout found; stops at once when one ends at ``target_bytes`` or below.

        First fit in several orders, then orders improved by putting first what ended too high
        (``effort`` of them), then, for small problems, all that could still be better.
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
        if best.peak_bytes > target and len(self.items) <= EXACT_ITEMS:
            best = _Exact(self, best, target).run()
        return best

    def _orders(self) -> Iterable[list[int]]:
        """Promising orders: large, long-lived, crowded first; later first among equals, because an
        output lies below the input it overlaps.
        """
        items = self.items
        everything = range(len(items))
        crowd = [
            sum(self.sizes[other] for other, _, _ in self.neighbours[i]) + self.sizes[i]
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
                crowd = [other for other, _, _ in self.neighbours[index]]
                loud = index if not crowd or rng.random() < 0.7 else rng.choice(crowd)
                place = moved.index(loud)
                moved.insert(rng.randrange(place + 1), moved.pop(place))
            layout = self.first_fit(moved)
            if layout.peak_bytes <= current_peak or rng.random() < 0.05:
                current, current_peak = moved, layout.peak_bytes
            if layout.peak_bytes < best.peak_bytes:
                best = layout
        return best


class _Exact:
    """Branch and bound. In some optimal layout every item rests on 0 or on its clearance above a
    lower one, so placing items by rising offset, each as low as those below allow, reaches it.
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
        self._branch([-1] * count, [0] * count, count, 0, 0)
        return self.best

    def _branch(
        self, offsets: list[int], floors: list[int], left: int, level: int, peak: int
    ) -> None:
        """``floors``: the lowest offset each item may have above those placed so far."""
        if not left:
            self.best = Layout(tuple(offsets), peak)
            return
        self.nodes -= 1
        if self.nodes < 0 or self._bound(offsets, floors, level) >= self.best.peak_bytes:
            return
        sizes = self.problem.sizes
        waiting = [i for i, at in enumerate(offsets) if at < 0 and floors[i] >= level]
        for index in sorted(waiting, key=lambda i: (floors[i], -sizes[i])):
            end = max(peak, floors[index] + sizes[index])
            if end >= self.best.peak_bytes:
                continue
            offsets[index] = floors[index]
            raised = list(floors)
            for other, _, below in self.problem.neighbours[index]:
                raised[other] = max(raised[other], floors[index] + below)
            self._branch(offsets, raised, left - 1, floors[index], end)
            offsets[index] = -1
            if self.best.peak_bytes <= self.target:
                return

    def _bound(self, offsets: list[int], floors: list[int], level: int) -> int:
        """What waits at one time must stack up from the lowest of its floors."""
        sizes = self.problem.sizes
        bound = 0
        for crowd in self.alive:
            waiting = [i for i in crowd if offsets[i] < 0]
            if waiting:
                lowest = max(level, min(floors[i] for i in waiting))
                bound = max(bound, lowest + sum(sizes[i] for i in waiting))
        return bound
