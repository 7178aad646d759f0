"""Which bank holds what: everything in the first where it fits, else what is touched most stays
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tinyvision.schedule.place import Layout, Placement
from tinyvision.schedule.select import Schedule, Selection

TRIAL_EFFORT = 60

EXACT_ITEMS = 10
EXACT_NODES = 600

Place = Callable[[Sequence[int], int, bool], Layout]
"""A layout of some items in a bank of so many bytes; whether to try all if there are few."""


@dataclass(frozen=True)
class Assignment:
    """Bank and offset of every item of a schedule (storages, then scratches)."""

    banks: tuple[int, ...]
    offsets: tuple[int, ...]


def assign(selection: Selection, capacities: Sequence[int]) -> Assignment | None:
    """Puts the items of ``selection`` into banks of ``capacities`` bytes, fastest first; None if
    they do not fit.

    An item lies in one bank as a whole.
    """
    count = len(selection.layout.offsets)
    if capacities and selection.layout.peak_bytes <= capacities[0]:
        return Assignment((0,) * count, selection.layout.offsets)
    if len(capacities) < 2:
        return None
    schedule = selection.schedule
    sizes = [item.size_bytes for item in schedule.items]
    return fill(sizes, _heat(schedule), capacities, partial(_place, schedule))


def fill(
    sizes: Sequence[int], heat: Sequence[float], capacities: Sequence[int], place: Place
) -> Assignment | None:
    """Puts items of ``sizes`` into banks: those touched most for their size first, or largest
    first, or as they come (what first fit places fits); of few items, where that fails, every
    way is tried.
    """
    count = len(sizes)
    hottest = sorted(range(count), key=lambda i: (-heat[i] / sizes[i], -sizes[i]))
    largest = sorted(range(count), key=lambda i: (-sizes[i], -heat[i]))
    for ranking in (hottest, largest, range(count)):
        found = _fill(count, ranking, capacities, place)
        if found is not None:
            return found
    return _Exact(largest, capacities, place).run() if count <= EXACT_ITEMS else None


def _heat(schedule: Schedule) -> list[float]:
    """How many bytes of each item the steps touch, roughly: a multiplication reads one of its
    input, an output is written once, scratch is read as often as the input.
    """
    problem = schedule.problem
    heat = [0.0] * len(schedule.items)
    for index in schedule.order:
        job = problem.jobs[index]
        for storage in job.read_storages:
            heat[storage] += max(problem.sizes[storage], job.macs)
        for storage in job.writes:
            heat[storage] += problem.sizes[storage]
    first = len(problem.sizes)
    for item, step in enumerate(schedule.scratches, first):
        heat[item] = max(schedule.items[item].size_bytes, problem.jobs[schedule.order[step]].macs)
    return heat


def _fill(
    count: int, ranking: Sequence[int], capacities: Sequence[int], place: Place
) -> Assignment | None:
    """Adds items in the order of ``ranking`` to the first bank that still has a layout for them."""
    held: list[list[int]] = [[] for _ in capacities]
    layouts: list[Layout] = [Layout((), 0) for _ in capacities]
    for item in ranking:
        for bank, capacity in enumerate(capacities):
            attempt = place([*held[bank], item], capacity, False)
            if attempt.peak_bytes <= capacity:
                held[bank].append(item)
                layouts[bank] = attempt
                break
        else:
            return None
    return _assignment(held, layouts)


def _assignment(held: Sequence[Sequence[int]], layouts: Sequence[Layout]) -> Assignment:
    count = sum(map(len, held))
    banks = [0] * count
    offsets = [0] * count
    for bank, items in enumerate(held):
        for item, offset in zip(items, layouts[bank].offsets, strict=True):
            banks[item], offsets[item] = bank, offset
    return Assignment(tuple(banks), tuple(offsets))


class _Exact:
    """Branch and bound over the bank of one item after the other; what does not fit with some items
    does not with more. Gives up after ``EXACT_NODES`` layouts.
    """

    def __init__(self, ranking: Sequence[int], capacities: Sequence[int], place: Place) -> None:
        self.ranking, self.capacities, self.place = ranking, capacities, place
        self.held: list[list[int]] = [[] for _ in capacities]
        self.layouts: list[Layout] = [Layout((), 0) for _ in capacities]
        self.nodes = EXACT_NODES

    def run(self) -> Assignment | None:
        return _assignment(self.held, self.layouts) if self._branch(0) else None

    def _branch(self, done: int) -> bool:
        if done == len(self.ranking):
            return True
        for bank, capacity in enumerate(self.capacities):
            self.nodes -= 1
            if self.nodes < 0:
                return False
            before = self.layouts[bank]
            self.held[bank].append(self.ranking[done])
            self.layouts[bank] = self.place(self.held[bank], capacity, True)
            if self.layouts[bank].peak_bytes <= capacity and self._branch(done + 1):
                return True
            self.held[bank].pop()
            self.layouts[bank] = before
        return False


def _place(schedule: Schedule, chosen: Sequence[int], capacity: int, exact: bool) -> Layout:
    """A layout of the ``chosen`` items alone, in their sequence."""
    position = {item: index for index, item in enumerate(chosen)}
    diagonals = {
        (position[lower], position[upper]): clearance
        for (lower, upper), clearance in schedule.diagonals.items()
        if lower in position and upper in position
    }
    placement = Placement([schedule.items[i] for i in chosen], diagonals)
    if placement.load_bytes > capacity:
        return Layout((), placement.load_bytes)
    return placement.solve(capacity, TRIAL_EFFORT, exact=exact)
