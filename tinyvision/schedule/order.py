"""In which order the operators run: the one whose hungriest step needs least memory.

Dynamic programming over the sets of operators already run, as in SERENITY (Ahn et al., MLSys 2020,
section 3): what is alive depends on the set alone, not on the order that led to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.schedule.problem import Job, Problem

BEAM = 400
"""Sets kept after each operator; networks with a frontier of up to eight or so are exact."""


def peak_bytes(problem: Problem, order: tuple[int, ...]) -> int:
    """Memory that the hungriest step of ``order`` needs, each with its thriftiest kernel."""
    return max(step_minima(problem, order), default=0)


def step_minima(problem: Problem, order: tuple[int, ...]) -> list[int]:
    """What every step of ``order`` needs at least, with its thriftiest kernel."""
    costs = _Costs(problem)
    lifetimes = problem.lifetimes(order)
    minima = []
    for step, index in enumerate(order):
        job = problem.jobs[index]
        dying = frozenset(s for s in job.read_storages if lifetimes[s][1] == step)
        live = sum(
            size
            for size, (first, last) in zip(problem.sizes, lifetimes, strict=True)
            if first <= step <= last
        )
        minima.append(live + costs.least(index, job, dying))
    return minima


def find_order(problem: Problem) -> tuple[int, ...]:
    """An order of all jobs with the least peak found; the given one unless another is better.

    Exact while no more than ``BEAM`` sets of operators are in question at once; beyond that the
    most promising ones are kept.
    """
    given = tuple(range(len(problem.jobs)))
    bound = peak_bytes(problem, given)
    found = _search(problem, bound)
    return given if found is None else found


@dataclass(frozen=True)
class _State:
    """Some jobs have run: ``live`` storages hold something; ``peak`` was needed so far."""

    peak: int
    live_bytes: int
    live: frozenset[int]
    last: int
    before: _State | None


class _Costs:
    """What a job adds to the bytes alive around it (less overlap, plus scratch), at its
    thriftiest.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._known: dict[tuple[int, frozenset[int]], int] = {}

    def least(self, index: int, job: Job, dying: frozenset[int]) -> int:
        key = (index, dying)
        if key not in self._known:
            self._known[key] = min(
                self._problem.step_bytes(job, kernel, 0, dying) for kernel in job.kernels
            )
        return self._known[key]


def _search(problem: Problem, bound: int) -> tuple[int, ...] | None:
    """The order of least peak below ``bound``, or None."""
    jobs = problem.jobs
    writer = {s: i for i, job in enumerate(jobs) if not job.is_alias for s in job.writes}
    needs = _predecessors(problem, writer)
    costs = _Costs(problem)
    start = frozenset(problem.inputs)
    states = {0: _State(0, sum(problem.sizes[s] for s in start), start, -1, None)}
    reads_mask = [sum(1 << user for user in users) for users in problem.readers]
    for _ in jobs:
        following: dict[int, _State] = {}
        for done, state in states.items():
            for index, job in enumerate(jobs):
                if done >> index & 1 or needs[index] & ~done:
                    continue
                after = done | 1 << index
                dying = frozenset(
                    s
                    for s in job.read_storages
                    if s not in problem.outputs and not reads_mask[s] & ~after
                )
                fresh = [s for s in dict.fromkeys(job.writes) if s not in state.live]
                live_bytes = state.live_bytes + sum(problem.sizes[s] for s in fresh)
                peak = max(state.peak, live_bytes + costs.least(index, job, dying))
                if peak >= bound:
                    continue
                dead = dying | {
                    s for s in fresh if not problem.readers[s] and s not in problem.outputs
                }
                rival = following.get(after)
                if rival is None or peak < rival.peak:
                    following[after] = _State(
                        peak,
                        live_bytes - sum(problem.sizes[s] for s in dead),
                        (state.live | set(fresh)) - dead,
                        index,
                        state,
                    )
        if len(following) > BEAM:
            kept = sorted(following.items(), key=lambda kv: (kv[1].peak, kv[1].live_bytes))[:BEAM]
            following = dict(kept)
        states = following
    if not states:
        return None
    (state,) = states.values()
    order: list[int] = []
    while state.before is not None:
        order.append(state.last)
        state = state.before
    return tuple(reversed(order))


def _predecessors(problem: Problem, writer: dict[int, int]) -> list[int]:
    """For every job the set (bit mask) of jobs that must have run before.

    An alias is written by the Reshape after its storage's writer; whoever reads the storage may
    read the Reshape's tensor, so all of it keeps the given order.
    """
    needs = []
    aliases: dict[int, list[int]] = {}
    for index, job in enumerate(problem.jobs):
        mask = 0
        for storage in job.read_storages:
            if storage in writer:
                mask |= 1 << writer[storage]
            for alias in aliases.get(storage, ()):
                mask |= 1 << alias
        if job.is_alias:
            aliases.setdefault(job.writes[0], []).append(index)
        needs.append(mask)
    return needs
