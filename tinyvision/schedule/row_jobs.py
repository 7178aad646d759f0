"""A problem seen row by row: which of its jobs can be stages of a stream, with which kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from operator import itemgetter

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, Op, Pad
from tinyvision.kernels import choose, depthwise, winograd
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.pieces import fold, one_piece, pieces_use, tile
from tinyvision.kernels.rows import ROW, WINDOWED, Grain, RowUse, row_use, some_rows
from tinyvision.schedule.costs import Pricing, price_list
from tinyvision.schedule.interleave import RowJob, Stage
from tinyvision.schedule.plan import align
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.slicing import Sliced, slicings
from tinyvision.target.board import Board
from tinyvision.target.core import Core

ROWS = (1, 2, 4)
"""Rows that the operators of a stream may compute in a turn."""
PIECE_PIXELS = (16, 8, 4)
"""Pixels that pieces of the widest rows have."""
MOST_PIECES = 1024
"""More of a tensor would be too many turns: the table of them takes four bytes of flash for each.
"""


@dataclass(frozen=True)
class RowProblem:
    """``views``: rows and bytes of a row of each storage; ``stages`` and ``kernels``: for each
    grain and each job that can run so in turns how, and with which kernels, fastest first: so many
    of ``ROWS``, or pieces of rows. ``pricing``: of all jobs. ``sliced``: how jobs can compute their
    input themselves, narrow slices first.
    """

    views: tuple[tuple[int, int], ...]
    stages: dict[Grain, dict[int, RowJob]]
    kernels: dict[Grain, dict[int, tuple[Kernel, ...]]]
    pricing: Pricing
    sliced: dict[int, tuple[Sliced, ...]]


def row_problem(
    graph: Graph,
    problem: Problem,
    candidates: CandidatesOf,
    board: Board,
    slices: bool = False,
    pieces: Sequence[int] = (),
) -> RowProblem:
    """``problem`` is ``graph``'s; ``candidates`` must know the kernels of operators on one row.
    ``slices``: also find which jobs can compute their input themselves, ``pieces``: which can run
    on rows cut into so many; both take less memory and more time.
    """
    core = board.core
    views = tuple(_view(graph, names[0]) for names in problem.members)
    grains = [Grain(rows) for rows in ROWS]
    stages: dict[Grain, dict[int, RowJob]] = {grain: {} for grain in grains}
    kernels: dict[Grain, dict[int, tuple[Kernel, ...]]] = {grain: {} for grain in grains}
    for index, (op, job) in enumerate(zip(graph.ops, problem.jobs, strict=True)):
        single = row_use(graph, op)
        if single is None or not _fits(graph, problem, op):
            continue
        for grain in grains:
            use = single.several(grain.rows)
            found = kernels[ROW].get(index, ())
            if grain == ROW or use.is_aligned:
                found = row_kernels(graph, op, use, job.kernels, candidates, core)
            elif isinstance(op, DepthwiseConv2D):
                found = tuple(depthwise.of_a_turn(graph, op, found, use.rows))
            elif isinstance(op, Conv2D):
                found = (*winograd.of_a_turn(graph, op, core, use.rows), *found)
            kernels[grain][index] = found
            stage = Stage(use, job.reads, job.writes)
            stages[grain][index] = RowJob(stage, _leads(op, use, found), single)

    def of_slice(alone: Graph, part: Op, index: int) -> tuple[Kernel, ...]:
        use, known = stages[ROW][index].stage.use, candidates(alone, part, core)
        found = row_kernels(alone, part, use, known, candidates, core)
        return tuple(replace(k, flash_bytes=kernels[ROW][index][0].flash_bytes) for k in found)

    sliced = slicings(graph, problem, stages[ROW], of_slice) if slices else {}
    for number in pieces:
        grain = Grain(1, number)
        stages[grain], kernels[grain] = {}, {}
        for index in stages[ROW]:
            found_use = pieces_use(graph, graph.ops[index], number)
            if found_use is None:
                continue
            op, job = graph.ops[index], problem.jobs[index]
            found = piece_kernels(graph, op, number, found_use, candidates, core)
            kernels[grain][index] = found
            stage = Stage(found_use, job.reads, job.writes)
            stages[grain][index] = RowJob(stage, _leads(op, found_use, found), found_use)
    return RowProblem(views, stages, kernels, price_list(graph, board, stages), sliced)


def numbers_of_pieces(graph: Graph) -> list[int]:
    """Into how many pieces it is worth to cut rows: such that those of the widest output of an
    operator that sees windows have as many pixels as kernels do well with, or some more.
    """
    outputs = (graph.tensor(op.outputs[0]) for op in graph.ops if isinstance(op, WINDOWED))
    shapes = [y.shape[1:3] for y in outputs if len(y.shape) == 4]
    height, width = max(shapes, key=itemgetter(1), default=(1, 1))
    found = {
        max(n for n in range(1, max(width // pixels, 1) + 1) if width % n == 0)
        for pixels in PIECE_PIXELS
    }
    return sorted(n for n in found - {1} if n * height <= MOST_PIECES)


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


def piece_kernels(
    graph: Graph, op: Op, pieces: int, use: RowUse, candidates: CandidatesOf, core: Core
) -> tuple[Kernel, ...]:
    """Of an operator that runs on pieces of rows; the tile of its input lies in its scratch."""
    found = tile(graph, op, pieces)
    if found is None:
        folded = fold(graph, op, pieces)
        assert folded is not None
        return row_kernels(*folded, use, candidates(*folded, core), candidates, core)
    alone, part = one_piece(graph, op, pieces)
    kernels = row_kernels(alone, part, use, candidates(alone, part, core), candidates, core)
    tile_bytes = align(found.size_bytes)
    return tuple(replace(k, scratch_bytes=tile_bytes + k.scratch_bytes) for k in kernels)


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
