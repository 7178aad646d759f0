"""A problem seen row by row: which of its jobs can be stages of a stream, with which kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, Op, Pad
from tinyvision.kernels import choose, depthwise, winograd
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import WINDOWED, RowUse, row_use, some_rows
from tinyvision.schedule.costs import Pricing, price_list
from tinyvision.schedule.interleave import RowJob, Stage
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.slicing import Sliced, slicings
from tinyvision.target.board import Board
from tinyvision.target.core import Core

ROWS = (1, 2, 4)
"""Rows that the operators of a stream may compute in a turn."""


@dataclass(frozen=True)
class RowProblem:
    """``views``: rows and bytes of a row of each storage; ``stages`` and ``kernels``: for each of
    ``ROWS`` and each job that can run row by row, so many in a turn, how and with which kernels,
    fastest first. ``pricing``: of all jobs. ``sliced``: how jobs can compute their input
    themselves, narrow slices first.
    """

    views: tuple[tuple[int, int], ...]
    stages: dict[int, dict[int, RowJob]]
    kernels: dict[int, dict[int, tuple[Kernel, ...]]]
    pricing: Pricing
    sliced: dict[int, tuple[Sliced, ...]]


def row_problem(
    graph: Graph,
    problem: Problem,
    candidates: CandidatesOf,
    board: Board,
    recompute: bool = False,
) -> RowProblem:
    """``problem`` is ``graph``'s; ``candidates`` must know the kernels of operators on one row.
    ``recompute``: also find which jobs can compute their input themselves.
    """
    core = board.core
    views = tuple(_view(graph, names[0]) for names in problem.members)
    stages: dict[int, dict[int, RowJob]] = {rows: {} for rows in ROWS}
    kernels: dict[int, dict[int, tuple[Kernel, ...]]] = {rows: {} for rows in ROWS}
    for index, (op, job) in enumerate(zip(graph.ops, problem.jobs, strict=True)):
        single = row_use(graph, op)
        if single is None or not _fits(graph, problem, op):
            continue
        for rows in ROWS:
            use = single.several(rows)
            found = kernels[1].get(index, ())
            if rows == 1 or use.is_aligned:
                found = row_kernels(graph, op, use, job.kernels, candidates, core)
            elif isinstance(op, DepthwiseConv2D):
                found = tuple(depthwise.of_a_turn(graph, op, found, use.rows))
            elif isinstance(op, Conv2D):
                found = (*winograd.of_a_turn(graph, op, core, use.rows), *found)
            kernels[rows][index] = found
            stage = Stage(use, job.reads, job.writes)
            stages[rows][index] = RowJob(stage, _leads(op, use, found), single)

    def of_slice(alone: Graph, part: Op, index: int) -> tuple[Kernel, ...]:
        use, known = stages[1][index].stage.use, candidates(alone, part, core)
        found = row_kernels(alone, part, use, known, candidates, core)
        return tuple(replace(k, flash_bytes=kernels[1][index][0].flash_bytes) for k in found)

    sliced = slicings(graph, problem, stages[1], of_slice) if recompute else {}
    return RowProblem(views, stages, kernels, price_list(graph, board, ROWS), sliced)


def _view(graph: Graph, name: str) -> tuple[int, int]:
    tensor = graph.tensor(name)
    if len(tensor.shape) == 4 and tensor.shape[0] == 1:
        return tensor.shape[1], prod(tensor.shape[2:]) * tensor.dtype.size_bytes
    return 1, tensor.size_bytes


def _fits(graph: Graph, problem: Problem, op: Op) -> bool:
    """Whether every tensor of ``op`` is the one after which the rows of its storage are named."""
    first = {name: names[0] for names in problem.members for name in names}
    return all(
        _view(graph, name) == _view(graph, first[name])
        for name in op.inputs + op.outputs
        if name in first
    )


def row_kernels(
    graph: Graph,
    op: Op,
    use: RowUse,
    whole: tuple[Kernel, ...],
    candidates: CandidatesOf,
    core: Core,
) -> tuple[Kernel, ...]:
    """Sums over rows have a kernel of their own, windows those of the ``whole`` operator, the
    others those of an operator on the rows of a turn.
    """
    if use.accumulates:
        return choose.summing_candidates(graph, op, core)
    alone, single = graph, op
    kernels = whole
    if use.is_aligned or not isinstance(op, WINDOWED):
        alone, single = some_rows(graph, op, use.rows if use.is_aligned else 1)
        flash_bytes = whole[0].flash_bytes
        kernels = tuple(
            replace(kernel, flash_bytes=flash_bytes) for kernel in candidates(alone, single, core)
        )
    kernels = tuple(kernel for kernel in kernels if kernel.by_rows)
    if not isinstance(op, Conv2D):
        kernels = kernels[:1]
    return (*kernels, *choose.thrifty_candidates(alone, single, core))


def _leads(op: Op, use: RowUse, kernels: tuple[Kernel, ...]) -> tuple[int | None, ...]:
    """For each read how far an output row must lie below the input row that it may overlap,
    whichever of ``kernels`` runs.
    """
    if isinstance(op, Pad) and use.rows > 1:  # row by row in its turn
        return tuple(None for _ in use.reads)
    leads: list[int | None] = []
    for index in range(len(use.reads)):
        found = [k.overlap[index] for k in kernels if index < len(k.overlap)]
        known = [lead for lead in found if lead is not None]
        sure = use.is_aligned and len(known) == len(kernels)
        alike = all(kernel.overlap_step == 1 for kernel in kernels)
        lead = max(known) if sure and alike else None
        # Of several rows those of a first or last turn may come one by one.
        leads.append(lead if lead is None or use.rows == 1 or lead <= 0 else None)
    return tuple(leads)
