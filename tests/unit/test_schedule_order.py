"""The order of operators: exact where small, bounded where large, never worse than given."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule import order as orders
from tinyvision.schedule.order import find_order, peak_bytes
from tinyvision.schedule.problem import Job, Problem


@st.composite
def problems(draw, most: int = 6):
    """Jobs that read any earlier storages; some in place, some with scratch, some two results."""
    sizes = [8 * draw(st.integers(1, 20))]
    jobs = []
    for index in range(draw(st.integers(1, most))):
        reads = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=3, unique=True))
        writes = tuple(range(len(sizes), len(sizes) + draw(st.sampled_from([1, 1, 2]))))
        sizes.extend(8 * draw(st.integers(1, 20)) for _ in writes)
        overlap = tuple(draw(st.sampled_from([None, 0, 16])) for _ in reads)
        kernel = Kernel("k", "k", 8 * draw(st.integers(0, 4)), 0, overlap)
        jobs.append(Job(f"op{index}", tuple(reads), writes, (kernel,)))
    read = {storage for job in jobs for storage in job.reads}
    outputs = frozenset(set(range(1, len(sizes))) - read) or frozenset({len(sizes) - 1})
    names = tuple((str(index),) for index in range(len(sizes)))
    return Problem(tuple(jobs), tuple(sizes), names, frozenset({0}), outputs)


def is_valid(problem: Problem, order: tuple[int, ...]) -> bool:
    known = set(problem.inputs)
    for index in order:
        if not set(problem.jobs[index].read_storages) <= known:
            return False
        known.update(problem.jobs[index].writes)
    return sorted(order) == list(range(len(problem.jobs)))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_small_problems_get_the_best_order(problem):
    found = find_order(problem)
    assert is_valid(problem, found)
    every = [p for p in permutations(range(len(problem.jobs))) if is_valid(problem, p)]
    assert peak_bytes(problem, found) == min(peak_bytes(problem, p) for p in every)


@given(problems(most=12))
@settings(max_examples=60, deadline=None)
def test_a_narrow_beam_is_never_worse_than_the_given_order(problem):
    given_order = tuple(range(len(problem.jobs)))
    width, orders.BEAM = orders.BEAM, 2
    try:
        found = find_order(problem)
    finally:
        orders.BEAM = width
    assert is_valid(problem, found)
    assert peak_bytes(problem, found) <= peak_bytes(problem, given_order)


def test_many_parallel_branches_are_ordered_depth_first():
    """Twelve branches of wide, then narrow: far more sets of operators than are kept."""
    jobs, sizes = [], [64]
    narrow = []
    wide = []
    for branch in range(12):
        sizes.append(800)
        wide.append(len(sizes) - 1)
        jobs.append(Job(f"wide{branch}", (0,), (wide[-1],), (Kernel("k", "k"),)))
    for branch in range(12):
        sizes.append(8)
        narrow.append(len(sizes) - 1)
        jobs.append(Job(f"narrow{branch}", (wide[branch],), (narrow[-1],), (Kernel("k", "k"),)))
    sizes.append(8)
    jobs.append(Job("join", tuple(narrow), (len(sizes) - 1,), (Kernel("k", "k"),)))
    names = tuple((str(index),) for index in range(len(sizes)))
    outputs = frozenset({len(sizes) - 1})
    problem = Problem(tuple(jobs), tuple(sizes), names, frozenset({0}), outputs)
    found = find_order(problem)
    assert is_valid(problem, found)
    assert peak_bytes(problem, found) == 64 + 11 * 8 + 800
