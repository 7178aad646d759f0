"""A problem seen row by row: which of its jobs can be stages of a stream, with which kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import WINDOWED, RowUse, one_row, row_use
from tinyvision.schedule.interleave import Stage
from tinyvision.schedule.problem import Job, Problem
from tinyvision.schedule.timeline import RowJob
from tinyvision.target.core import Core

CandidatesOf = Callable[[Graph, Op, Core], tuple[Kernel, ...]]


@dataclass(frozen=True)
class RowProblem:
    """``views``: rows and bytes of a row of each storage; ``stages`` and ``kernels``: for each job
    that can run row by row, how and with which kernel.
    """

    views: tuple[tuple[int, int], ...]
    stages: dict[int, RowJob]
    kernels: dict[int, Kernel]


def row_problem(graph: Graph, problem: Problem, candidates: CandidatesOf, core: Core) -> RowProblem:
    """``problem`` is ``graph``'s; ``candidates`` must know the kernels of operators on one row."""
    views = tuple(_view(graph, names[0]) for names in problem.members)
    stages, kernels = {}, {}
    for index, (op, job) in enumerate(zip(graph.ops, problem.jobs, strict=True)):
        use = row_use(graph, op)
        if use is None or not _fits(graph, problem, op):
            continue
        kernel = _kernel(graph, op, use, job, candidates, core)
        leads = kernel.overlap if use.is_aligned and kernel.overlap_step == 1 else ()
        leads = (*leads, *(None for _ in range(len(job.reads) - len(leads))))
        stages[index] = RowJob(Stage(use, job.reads, job.writes), leads)
        kernels[index] = kernel
    return RowProblem(views, stages, kernels)


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


def _kernel(
    graph: Graph, op: Op, use: RowUse, job: Job, candidates: CandidatesOf, core: Core
) -> Kernel:
    """Sums over rows have kernels of their own, windows those of the whole operator, the others
    that of an operator on one row.
    """
    if use.accumulates:
        return Kernel("mean_rows", "mean_rows")
    if not use.is_aligned and isinstance(op, WINDOWED):
        return job.kernels[0]
    alone, single = one_row(graph, op)
    kernel = candidates(alone, single, core)[0]
    return replace(kernel, flash_bytes=job.kernels[0].flash_bytes)
