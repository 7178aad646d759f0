"""Placement of items in one bank: sound, never worse than first fit, exact where small."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision.native import library
from tinyvision.schedule.banks import fill
from tinyvision.schedule.place import Clearance, Item, Layout, Placement


@st.composite
def problems(draw, most: int = 12):
    """Items with lifetimes, and pairs that may lie diagonally, as outputs over dying inputs do."""
    count = draw(st.integers(1, most))
    items = []
    for _ in range(count):
        first = draw(st.integers(0, 12))
        items.append(Item(8 * draw(st.integers(1, 12)), first, first + draw(st.integers(0, 5))))
    diagonals = {}
    for upper in range(count):
        for lower in range(count):
            follows = items[lower].first == items[upper].last + 1
            if follows and draw(st.booleans()):
                least = 8 * draw(st.integers(-6, 8))
                diagonals[lower, upper] = Clearance(least, least >= 0 and draw(st.booleans()))
    return items, diagonals


def assert_sound(items, diagonals, layout: Layout) -> None:
    ends = [at + item.size_bytes for at, item in zip(layout.offsets, items, strict=True)]
    assert layout.peak_bytes == max(ends)
    assert all(at >= 0 and at % 8 == 0 for at in layout.offsets)
    for one in range(len(items)):
        for other in range(one):
            a, b = items[one], items[other]
            meet = a.first <= b.last and b.first <= a.last
            apart = layout.offsets[one] >= ends[other] or layout.offsets[other] >= ends[one]
            distance = layout.offsets[one] - layout.offsets[other]
            if meet:
                assert apart
            elif (other, one) in diagonals:
                assert apart or allows(diagonals[other, one], distance)
            elif (one, other) in diagonals:
                assert apart or allows(diagonals[one, other], -distance)


def allows(clearance: Clearance, distance: int) -> bool:
    least = clearance.least_bytes
    return distance == least if clearance.exact else distance >= least


def optimum(items, diagonals) -> int:
    """By trying every sequence of items from low to high, each as low as those before allow."""
    placement = Placement(items, diagonals)
    return min(placement.first_fit(p).peak_bytes for p in permutations(range(len(items))))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_layouts_are_sound_and_no_worse_than_first_fit(problem):
    items, diagonals = problem
    placement = Placement(items, diagonals)
    plain = placement.first_fit(range(len(items)))
    by_size = placement.first_fit(sorted(range(len(items)), key=lambda i: -items[i].size_bytes))
    assert_sound(items, diagonals, plain)
    layout = placement.solve(effort=30)
    assert_sound(items, diagonals, layout)
    assert placement.load_bytes <= layout.peak_bytes
    assert layout.peak_bytes <= min(plain.peak_bytes, by_size.peak_bytes)


@given(problems(most=6))
@settings(max_examples=100, deadline=None)
def test_small_problems_are_solved_exactly(problem):
    items, diagonals = problem
    assert Placement(items, diagonals).solve().peak_bytes == optimum(items, diagonals)


@given(problems(most=5), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_few_items_are_spread_over_banks_wherever_they_fit(problem, one, other):
    items, diagonals = problem
    capacities = (8 * one, 8 * other)

    def part(chosen):
        index = {item: i for i, item in enumerate(chosen)}
        inside = {
            (index[a], index[b]): found
            for (a, b), found in diagonals.items()
            if a in index and b in index
        }
        return [items[i] for i in chosen], inside

    def place(chosen, capacity, exact):
        return Placement(*part(chosen)).solve(capacity, 20, exact=exact)

    def fits(first):
        groups = first, [i for i in range(len(items)) if i not in first]
        return all(
            not group or optimum(*part(group)) <= capacity
            for group, capacity in zip(groups, capacities, strict=True)
        )

    count = range(len(items))
    subsets = [[i for i in count if mask >> i & 1] for mask in range(1 << len(items))]
    found = fill([item.size_bytes for item in items], [1.0] * len(items), capacities, place)
    assert (found is not None) == any(map(fits, subsets))
    for bank in range(2) if found is not None else ():
        chosen = [i for i in count if found.banks[i] == bank]
        offsets = tuple(found.offsets[i] for i in chosen)
        ends = [found.offsets[i] + items[i].size_bytes for i in chosen]
        assert max(ends, default=0) <= capacities[bank]
        if chosen:
            assert_sound(*part(chosen), Layout(offsets, max(ends)))


def test_a_chain_that_shrinks_and_grows_reaches_its_load():
    sizes = [400, 80, 320, 160, 240, 64, 480, 8]
    items = [Item(size, t, t + 1) for t, size in enumerate(sizes)]
    assert Placement(items, {}).solve().peak_bytes == 64 + 480


def test_an_output_lies_diagonally_over_the_input_it_outgrows():
    items = [Item(64, 0, 1), Item(128, 2, 3)]
    layout = Placement(items, {(1, 0): Clearance(64)}).solve()
    assert layout == Layout((64, 0), 128)


@pytest.mark.parametrize("clearance", [0, 8, 64])
def test_a_clearance_never_costs_more_than_lying_apart(clearance):
    items = [Item(64, 0, 1), Item(64, 2, 3)]
    layout = Placement(items, {(1, 0): Clearance(clearance)}).solve()
    assert layout.peak_bytes == 64 + clearance


def test_an_exact_clearance_allows_nothing_in_between():
    """The first item keeps both from the bottom; 8 above it would do but for the clearance."""
    items = [Item(32, 0, 3), Item(64, 0, 1), Item(64, 2, 3)]
    assert Placement(items, {(2, 1): Clearance(0, exact=True)}).solve().peak_bytes == 96
    assert Placement(items, {(2, 1): Clearance(24, exact=True)}).solve().peak_bytes == 120
    pinned = [Item(16, 2, 3), Item(64, 0, 1), Item(64, 2, 3)]
    exact = Placement(pinned, {(2, 1): Clearance(64, exact=True)}).solve()
    assert exact.peak_bytes == 128


def test_solving_stops_at_the_target():
    items = [Item(8 * (1 + i % 5), i, i + 3) for i in range(40)]
    placement = Placement(items, {})
    assert placement.solve(target_bytes=10_000).peak_bytes <= 10_000
    assert placement.solve() == placement.solve()


@pytest.mark.skipif(library() is None, reason="needs a C compiler")
@given(problems(most=30), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_first_fit_in_c_is_that_in_python(problem, random):
    placement = Placement(*problem)
    order = list(range(len(placement.items)))
    random.shuffle(order)
    native = placement.first_fit(order)
    placement._native = None
    assert native == placement.first_fit(order)
