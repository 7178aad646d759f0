"""Which kernel runs each step: the fastest with which memory stays about as small as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.place import Clearance, Item, Layout, Placement
from tinyvision.schedule.plan import align
from tinyvision.schedule.problem import Problem

SLACK = 16
"""A slower kernel has to save at least this fraction of the peak."""
TRIALS = 80
"""Placements tried with other kernels when the first choice does not reach the lower bound."""
TRIAL_EFFORT = 40


@dataclass(frozen=True)
class Schedule:
    """Jobs in their order, each with a kernel; what is alive when, and what may lie over what."""

    problem: Problem
    order: tuple[int, ...]
    kernels: tuple[Kernel, ...]

    @cached_property
    def lifetimes(self) -> tuple[tuple[int, int], ...]:
        return self.problem.lifetimes(self.order)

    @cached_property
    def scratches(self) -> tuple[int, ...]:
        """The steps that have scratch; their items follow those of the storages."""
        return tuple(s for s, kernel in enumerate(self.kernels) if kernel.scratch_bytes)

    @cached_property
    def diagonals(self) -> dict[tuple[int, int], Clearance]:
        """(output, dying input) to clearance, for all pairs that may overlap."""
        patch = self.problem.patch
        return self._step_diagonals | dict(patch.clearances if patch else {})

    @cached_property
    def _step_diagonals(self) -> dict[tuple[int, int], Clearance]:
        """Those of single steps."""
        pairs = {}
        for step, (index, kernel) in enumerate(zip(self.order, self.kernels, strict=True)):
            job = self.problem.jobs[index]
            for storage in job.read_storages:
                if self.lifetimes[storage][1] == step:
                    clearance = job.clearance(kernel, storage)
                    if clearance is not None:
                        pairs[job.writes[0], storage] = clearance
        return pairs

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Storages, then scratches. Each step counts as two times, reading and writing, so that an
        output and the input it may overlap do not meet.
        """
        late = {output for output, _ in self._step_diagonals}
        early = {storage for _, storage in self._step_diagonals}
        items = [
            Item(
                self.problem.sizes[storage],
                2 * first + (storage in late),
                2 * last + (storage not in early),
            )
            for storage, (first, last) in enumerate(self.lifetimes)
        ]
        for step in self.scratches:
            items.append(Item(align(self.kernels[step].scratch_bytes), 2 * step, 2 * step + 1))
        return tuple(items)

    @property
    def step_bytes(self) -> list[int]:
        """What every step needs at least."""
        return [
            _step_bytes(self.problem, self.order, self.lifetimes, step, kernel)
            for step, kernel in enumerate(self.kernels)
        ]

    def placement(self) -> Placement:
        bound = max(self.step_bytes) if self.problem.patch_saving() else None
        return Placement(self.items, self.diagonals, load_bytes=bound)


@dataclass(frozen=True)
class Selection:
    """A schedule and its layout in one bank; no layout can be smaller than ``bound_bytes``."""

    schedule: Schedule
    layout: Layout
    bound_bytes: int


def select(problem: Problem, order: tuple[int, ...], limit_bytes: int | None = None) -> Selection:
    """The fastest kernels with which the peak stays close to the least found, or within
    ``limit_bytes`` if that is given and can be kept (0: the least found, at any price in speed).
    """
    return _Selector(problem, order).run(limit_bytes)


def _step_bytes(
    problem: Problem,
    order: Sequence[int],
    lifetimes: Sequence[tuple[int, int]],
    step: int,
    kernel: Kernel,
) -> int:
    job = problem.jobs[order[step]]
    dying = frozenset(s for s in job.read_storages if lifetimes[s][1] == step)
    live = sum(
        size
        for size, (first, last) in zip(problem.sizes, lifetimes, strict=True)
        if first <= step <= last
    )
    patch = problem.patch
    if patch is not None and patch.first <= step < patch.end:
        live -= problem.patch_saving()
    return problem.step_bytes(job, kernel, live, dying)


class _Selector:
    def __init__(self, problem: Problem, order: tuple[int, ...]) -> None:
        self.problem, self.order = problem, order
        lifetimes = problem.lifetimes(order)
        self.kernels = [problem.jobs[index].kernels for index in order]
        self.needs = [
            [_step_bytes(problem, order, lifetimes, step, kernel) for kernel in kernels]
            for step, kernels in enumerate(self.kernels)
        ]
        edges = [
            sum(s for s, span in zip(problem.sizes, lifetimes, strict=True) if edge in span)
            for edge in (-1, len(order))
        ]
        self.floor = max([*edges, *(min(needs) for needs in self.needs)])

    def run(self, limit_bytes: int | None) -> Selection:
        choice = self._fastest(self.floor)
        layout = self._solve(choice, self.floor)
        if layout.peak_bytes > self.floor:
            choice, layout = self._thriftier(choice, layout)
        if limit_bytes is None:
            limit_bytes = layout.peak_bytes + layout.peak_bytes // SLACK
        budget = max(layout.peak_bytes, limit_bytes)
        choice, layout = self._faster(choice, layout, budget)
        return Selection(self._schedule(choice), layout, self.floor)

    def _schedule(self, choice: Sequence[int]) -> Schedule:
        kernels = tuple(ks[k] for ks, k in zip(self.kernels, choice, strict=True))
        return Schedule(self.problem, self.order, kernels)

    def _solve(self, choice: Sequence[int], target: int) -> Layout:
        return self._schedule(choice).placement().solve(target)

    def _try(self, choice: Sequence[int], target: int) -> Layout:
        """As ``_solve``, with less effort, because it is done for many choices."""
        return self._schedule(choice).placement().solve(target, TRIAL_EFFORT, exact=False)

    def _fastest(self, budget: int) -> list[int]:
        """For each step the fastest kernel that needs at most ``budget``, or the thriftiest."""
        return [
            next((k for k, need in enumerate(needs) if need <= budget), needs.index(min(needs)))
            for needs in self.needs
        ]

    def _closest(self) -> list[int]:
        """For each step the kernel whose output may lie closest to the start of its input: rows
        of those stay in place instead of drifting downwards.
        """
        choice = []
        for step, needs in enumerate(self.needs):
            fitting = [k for k, need in enumerate(needs) if need <= self.floor]
            choice.append(min(fitting or range(len(needs)), key=partial(self._drift, step)))
        return choice

    def _drift(self, step: int, k: int) -> tuple[int, int]:
        """How far the output of ``step`` must lie below an input it overlaps; then its memory."""
        job = self.problem.jobs[self.order[step]]
        found = [job.clearance(job.kernels[k], storage) for storage in job.read_storages]
        nowhere = sum(self.problem.sizes)
        return min((c.least_bytes for c in found if c is not None), default=nowhere), self.needs[
            step
        ][k]

    def _thriftier(self, choice: list[int], layout: Layout) -> tuple[list[int], Layout]:
        """Other kernels where the placement did not reach the bound: memory that is not needed at
        any one step may still keep buffers from lying where they should.
        """
        for start in ([needs.index(min(needs)) for needs in self.needs], self._closest()):
            other = self._solve(start, self.floor)
            if other.peak_bytes < layout.peak_bytes:
                choice, layout = start, other
        trials = TRIALS
        improved = True
        while improved and layout.peak_bytes > self.floor:
            improved = False
            for step in sorted(range(len(choice)), key=lambda s: -self.needs[s][choice[s]]):
                for k, need in enumerate(self.needs[step]):
                    if k == choice[step] or need >= layout.peak_bytes or not trials:
                        continue
                    trials -= 1
                    changed = [*choice[:step], k, *choice[step + 1 :]]
                    other = self._try(changed, self.floor)
                    if other.peak_bytes < layout.peak_bytes:
                        choice, layout, improved = changed, other, True
        return choice, layout

    def _faster(self, choice: list[int], layout: Layout, budget: int) -> tuple[list[int], Layout]:
        """Faster kernels as far as ``budget`` allows, those with most work first."""
        wanted = self._fastest(budget)
        if wanted == choice:
            return choice, layout
        attempt = self._solve(wanted, budget)
        if attempt.peak_bytes <= budget:
            return wanted, attempt
        work = [self.problem.jobs[index].macs for index in self.order]
        for step in sorted(range(len(choice)), key=lambda s: -work[s]):
            for k in range(wanted[step], choice[step]):
                changed = [*choice[:step], k, *choice[step + 1 :]]
                attempt = self._try(changed, budget)
                if self.needs[step][k] <= budget and attempt.peak_bytes <= budget:
                    choice, layout = changed, attempt
                    break
        return choice, layout
