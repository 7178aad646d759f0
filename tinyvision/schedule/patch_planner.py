"""Plans that run their first operators tile by tile: where to cut, and into how many tiles.

Deeper cuts and more tiles take less memory and compute more of the halos twice; the memory of what
follows, operator by operator, is the bound below which neither helps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from tinyvision.errors import FitError, UserError
from tinyvision.ir.graph import Graph
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.tiles import COLUMNS, ROWS, has_tiles
from tinyvision.schedule.order import find_order, step_minima
from tinyvision.schedule.patch_jobs import PatchProblem, overlaid, patch_problem, tile_bytes
from tinyvision.schedule.plan import Plan, Segment, Step
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.tiling import Spans, borders, covered, lead, longest, spans_along, tiling
from tinyvision.target.core import Core

log = logging.getLogger(__name__)

MOST_PARTS = 8
"""Rows and columns of a grid, at most, where none is asked for."""
SLACK = 32
"""Fewer operations may cost this fraction of the least peak."""
TRIALS = 8
"""Cuts and grids that are placed."""
HOPELESS = 1.2
"""What is estimated at this multiple of the best found is not."""

Place = Callable[[Problem, tuple[int, ...], int], Plan]
"""The plan of a problem's jobs in an order, with so many kernels beyond one for each; FitError
where there is no room.
"""


@dataclass(frozen=True)
class Choice:
    """The positions ``[first, end)`` in ``grid``; ``estimate_bytes``: about what that, and the
    layers around it, need.
    """

    first: int
    end: int
    grid: tuple[int, int]
    macs: float
    estimate_bytes: int


def patch_plan(
    graph: Graph,
    core: Core,
    problem: Problem,
    candidates: CandidatesOf,
    place: Place,
    limit_bytes: int | None = None,
    grid: tuple[int, int] | None = None,
) -> Plan | None:
    """The plan of ``graph`` with patches that needs about the least memory found, or, with
    ``limit_bytes``, executes least within that; without patches where they bring nothing. None
    where there is none. With ``grid`` (rows, columns) only such patches will do: UserError where
    no operators can run in them, FitError where they do not fit.
    """
    search = _Search(graph, core, problem, candidates, place)
    choices = sorted(search.choices(grid), key=lambda c: (c.estimate_bytes, c.macs))
    found = _best(search, choices, limit_bytes, grid is None)
    if found is not None or grid is None:
        return found
    tiles = f"in {grid[0]}x{grid[1]} patches"
    if not choices:
        raise UserError(
            f"its first operators cannot run {tiles}",
            graph.name,
            hint="Take fewer patches, or leave --patches out.",
        )
    room = "the board's memory" if limit_bytes is None else f"{limit_bytes:,} bytes"
    raise FitError(
        f"does not fit {room} {tiles}",
        graph.name,
        f"about {choices[0].estimate_bytes:,} bytes are needed",
        "Leave --patches out for what needs least, or take --schedule stream.",
    )


def _best(
    search: _Search, choices: Sequence[Choice], limit_bytes: int | None, or_layers: bool
) -> Plan | None:
    layers = search.layers() if or_layers else None
    if limit_bytes is not None:
        if layers is not None:
            return layers
        cheapest = sorted(choices, key=lambda c: (c.macs, c.estimate_bytes))
        within = [c for c in cheapest if c.estimate_bytes <= limit_bytes]
        return search.first([*within[:TRIALS], *choices[:TRIALS]], limit_bytes)
    planned: list[Plan] = []
    for choice in choices[:TRIALS]:
        least = min((plan.sram_bytes for plan in planned), default=choice.estimate_bytes)
        if choice.estimate_bytes <= HOPELESS * least and (plan := search.plan(choice)) is not None:
            planned.append(plan)
    if not planned:
        return None
    best = min(planned, key=lambda plan: (plan.sram_bytes, plan.macs_executed))
    budget = best.sram_bytes + best.sram_bytes // SLACK
    if layers is not None:
        planned.append(layers)
    cheapest = sorted(choices, key=lambda c: c.macs)
    for choice in [c for c in cheapest if c.estimate_bytes <= budget][:TRIALS]:
        if (plan := search.plan(choice)) is not None:
            planned.append(plan)
    fitting = [plan for plan in planned if plan.sram_bytes <= budget]
    return min(fitting, key=lambda plan: (plan.macs_executed, plan.sram_bytes))


class _Search:
    def __init__(
        self,
        graph: Graph,
        core: Core,
        problem: Problem,
        candidates: CandidatesOf,
        place: Place,
    ) -> None:
        self.graph, self.core, self.problem = graph, core, problem
        self.candidates, self.place = candidates, place
        self.order = find_order(problem)
        self.ops = [graph.ops[index] for index in self.order]
        self._known: dict[Choice, Plan | None] = {}

    def layers(self) -> Plan | None:
        try:
            return self.place(self.problem, self.order, 0)
        except FitError:
            return None

    def first(self, choices: Sequence[Choice], limit_bytes: int) -> Plan | None:
        """The plan of the first of ``choices`` that keeps within the limit."""
        plans = (self.plan(choice) for choice in choices)
        return next((p for p in plans if p is not None and p.sram_bytes <= limit_bytes), None)

    def plan(self, choice: Choice) -> Plan | None:
        """None where there is no room."""
        if choice not in self._known:
            self._known[choice] = self._plan(choice)
        return self._known[choice]

    def _plan(self, choice: Choice) -> Plan | None:
        tiles = tiling(self.graph, self.ops[choice.first : choice.end], choice.grid)
        assert tiles is not None
        patches = patch_problem(
            self.graph,
            self.problem,
            self.order,
            choice.first,
            tiles,
            self.candidates,
            self.core,
        )
        try:
            planned = self.place(patches.problem, self.order, patches.instances)
        except FitError:
            return None
        log.info("%s: %d bytes of RAM", choice, planned.sram_bytes)
        return with_patches(planned, self.problem, patches)

    # What there is to choose from

    def choices(self, grid: tuple[int, int] | None) -> Iterator[Choice]:
        """Every cut with every grid."""
        first = next((p for p, op in enumerate(self.ops) if has_tiles(self.graph, op)), 0)
        minima = step_minima(self.problem, self.order)
        for end in range(first + 1, len(self.ops) + 1):
            if not has_tiles(self.graph, self.ops[end - 1]):
                return
            if end - first < 2:
                continue
            around = max([*minima[:first], *minima[end:]], default=0)
            yield from self._grids(first, end, grid, around)

    def _grids(
        self, first: int, end: int, grid: tuple[int, int] | None, around: int
    ) -> Iterator[Choice]:
        ops = self.ops[first:end]
        inputs, outputs = borders(self.graph, ops)
        if not outputs:
            return
        rows, columns = (
            {
                count: spans
                for count in ((grid[axis - 1],) if grid else range(1, MOST_PARTS + 1))
                if (spans := spans_along(self.graph, ops, outputs, axis, count)) is not None
            }
            for axis in (ROWS, COLUMNS)
        )
        for parts in product(rows, columns):
            if parts == (1, 1) and grid is None:
                continue
            bands, strips = rows[parts[0]], columns[parts[1]]
            needed = self._estimate(first, end, {*inputs, *outputs}, bands, strips)
            macs = self._macs(first, end, bands, strips)
            yield Choice(first, end, parts, macs, max(around, needed))

    def _estimate(
        self,
        first: int,
        end: int,
        whole: set[str],
        rows: Sequence[Spans],
        columns: Sequence[Spans],
    ) -> int:
        """The most that is alive in a step from ``first`` to ``end``, without scratch and without
        overlap.
        """
        lifetimes = self.problem.lifetimes(self.order)
        beside = 0
        tiles: list[tuple[int, int, int]] = []
        for names, size, (born, dies) in zip(
            self.problem.members, self.problem.sizes, lifetimes, strict=True
        ):
            if first <= born and dies < end and not whole.intersection(names):
                held = longest(rows, names[0]), longest(columns, names[0])
                tiles.append((tile_bytes(self.graph.tensor(names[0]), held), born, dies))
            elif born < end and dies >= first:
                beside += size
        alive = (
            sum(size for size, born, dies in tiles if born <= position <= dies)
            for position in range(first, end)
        )
        return beside + max(alive) - self._saving(first, end, whole, rows, columns)

    def _saving(
        self,
        first: int,
        end: int,
        whole: set[str],
        rows: Sequence[Spans],
        columns: Sequence[Spans],
    ) -> int:
        """Bytes that an output may share with an input that is not needed afterwards."""
        inside = range(first, end)
        sources = whole & overlaid(self.problem, self.problem.lifetimes(self.order), inside)
        written = {name for op in self.ops[first:end] for name in op.outputs}
        savings = [0]
        for source, output in product(sources, whole & written):
            least = max(0, lead(self.graph, rows, columns, source, output))
            sizes = [self.graph.tensor(name).size_bytes for name in (source, output)]
            savings.append(sum(sizes) - max(sizes[1], least + sizes[0]))
        return max(savings)

    def _macs(self, first: int, end: int, rows: Sequence[Spans], columns: Sequence[Spans]) -> float:
        """Multiplications that the tiles execute more than once."""
        more = 0.0
        for position in range(first, end):
            output = self.ops[position].outputs[0]
            height, width = self.graph.tensor(output).shape[1:3]
            share = covered(rows, output) * covered(columns, output) / (height * width)
            more += self.problem.jobs[self.order[position]].macs * (share - 1)
        return more


def with_patches(planned: Plan, problem: Problem, patches: PatchProblem) -> Plan:
    """``planned``, which is the plan of ``patches.problem`` step by step, as what it stands for."""
    patch = patches.problem.patch
    assert patch is not None
    macs = {job.name: job.macs for job in problem.jobs}
    steps = tuple(
        replace(step, macs=macs[step.op], columns=_columns(patches, step)) for step in planned.steps
    )
    tiles = patches.tiling

    def layers(first: int, last: int) -> Segment:
        peak = max(planned.live_bytes[first + 1 : last + 2])
        return Segment("layer", first, last, peak)

    first, last = patch.first, patch.end - 1
    segments = [
        replace(
            layers(first, last),
            kind="patch",
            grid=tiles.grid,
            halo=tiles.halo(tiles.inputs[0]),
            macs_executed=sum(step.macs for step in planned.steps[first : last + 1]),
        )
    ]
    if first:
        segments.insert(0, layers(0, first - 1))
    if patch.end < len(steps):
        segments.append(layers(patch.end, len(steps) - 1))
    return replace(planned, steps=steps, segments=tuple(segments))


def _columns(patches: PatchProblem, step: Step) -> tuple[Kernel, ...]:
    return patches.columns[step.op][step.kernel] if step.op in patches.columns else ()
