"""A problem some of whose operators run tile by tile: smaller storages, kernels of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Tensor
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import row_use
from tinyvision.kernels.tiles import COLUMNS, ROWS, restricted, spans_read
from tinyvision.schedule.place import Clearance
from tinyvision.schedule.plan import align
from tinyvision.schedule.problem import Patch, Problem
from tinyvision.schedule.row_jobs import row_kernels
from tinyvision.schedule.tiling import Tiling
from tinyvision.target.core import Core


@dataclass(frozen=True)
class PatchProblem:
    """``problem`` with the jobs of ``tiling`` tile by tile, in an order that has them together.

    ``columns``: for each of those jobs and each of its kernels the kernels of every column of
    tiles, of which the job's own is the sum: most scratch, all constants.
    """

    problem: Problem
    tiling: Tiling
    columns: dict[str, dict[Kernel, tuple[Kernel, ...]]]

    @property
    def instances(self) -> int:
        """Kernels that the code has for columns of tiles beyond one for each operator, roughly."""
        count = 0
        for op in self.tiling.ops:
            widths = {
                tuple(end - first for name, (first, end) in spans.items() if name in names)
                for names in [{*op.inputs, *op.outputs}]
                for spans in self.tiling.columns
            }
            count += len(widths) - 1
        return count


def patch_problem(
    graph: Graph,
    problem: Problem,
    order: Sequence[int],
    first: int,
    tiling: Tiling,
    candidates: CandidatesOf,
    core: Core,
) -> PatchProblem:
    """``problem``, which is ``graph``'s, with the positions of ``order`` from ``first`` on that
    ``tiling`` is of.
    """
    positions = range(first, first + len(tiling.ops))
    jobs = list(problem.jobs)
    columns = {}
    for index, op in zip((order[p] for p in positions), tiling.ops, strict=True):
        found = _kernels(graph, op, tiling, candidates, core)
        columns[op.name] = found
        macs = round(jobs[index].macs * tiling.computed(graph, op))
        jobs[index] = replace(jobs[index], kernels=tuple(found), macs=macs)
    held = {name: tiling.held(name) for name in tiling.inner}
    sizes = [
        align(tile_bytes(graph.tensor(names[0]), held[names[0]])) if names[0] in held else size
        for names, size in zip(problem.members, problem.sizes, strict=True)
    ]
    patch = Patch(
        positions.start,
        positions.stop,
        held,
        _clearances(graph, problem, order, positions, tiling),
    )
    tiled = replace(problem, jobs=tuple(jobs), sizes=tuple(sizes), patch=patch)
    return PatchProblem(tiled, tiling, columns)


def _clearances(
    graph: Graph, problem: Problem, order: Sequence[int], positions: range, tiling: Tiling
) -> dict[tuple[int, int], Clearance]:
    """Where outputs may overlap inputs that nobody reads afterwards."""
    lifetimes = problem.lifetimes(order)
    storage = {name: index for index, names in enumerate(problem.members) for name in names}
    found = {}
    for source, output in product(tiling.inputs, tiling.outputs):
        if source in overlaid(problem, lifetimes, positions):
            lead = tiling.lead(graph, source, output)
            if lead is not None:
                found[storage[output], storage[source]] = Clearance(align(lead))
    return found


def overlaid(
    problem: Problem, lifetimes: Sequence[tuple[int, int]], positions: range
) -> frozenset[str]:
    """The tensors that begin before ``positions`` and end there, alone in their storage."""
    return frozenset(
        names[0]
        for names, (born, dies) in zip(problem.members, lifetimes, strict=True)
        if born < positions.start <= dies < positions.stop and len(names) == 1
    )


def tile_bytes(tensor: Tensor, held: tuple[int, int]) -> int:
    """Bytes of ``held`` rows and columns of ``tensor``."""
    return prod(held) * tensor.shape[3] * tensor.dtype.size_bytes


def _kernels(
    graph: Graph, op: Op, tiling: Tiling, candidates: CandidatesOf, core: Core
) -> dict[Kernel, tuple[Kernel, ...]]:
    """Each kernel that can compute the tiles of ``op``, fastest first, with those of the columns
    of tiles that it stands for.
    """
    known: dict[tuple[tuple[int, ...], ...], tuple[Kernel, ...]] = {}
    choices = []
    for spans in tiling.columns:
        alone, part = restricted(graph, op, COLUMNS, spans[op.outputs[0]])
        key = (*(tensor.shape for tensor in alone.tensors.values()), _padding(part))
        if key not in known:
            use = row_use(alone, part)
            assert use is not None
            whole = candidates(alone, part, core)
            known[key] = row_kernels(alone, part, use, whole, candidates, core)
        choices.append(known[key])
    found = {}
    for number in range(max(map(len, choices))):
        columns = tuple(kernels[min(number, len(kernels) - 1)] for kernels in choices)
        constants = {(kernel.template, kernel.flash_bytes) for kernel in columns}
        kernel = replace(
            max(columns, key=lambda kernel: kernel.scratch_bytes),
            flash_bytes=sum(size for _, size in constants),
            overlap=_leads(graph, op, tiling, columns),
            overlap_step=1,
        )
        found[kernel] = columns
    return found


def _padding(op: Op) -> tuple[int, ...]:
    padding = getattr(op, "padding", None)
    if padding is not None:
        return padding.left, padding.right
    return tuple(side for pad in getattr(op, "pads", ()) for side in pad)


def _leads(
    graph: Graph, op: Op, tiling: Tiling, kernels: Sequence[Kernel]
) -> tuple[int | None, ...]:
    """How far the tile of the output must lie below that of each input: both are written and read
    row by row, from where their memory begins.
    """
    output = op.outputs[0]
    if output not in tiling.inner:
        return (None,) * len(op.inputs)
    leads: list[int | None] = []
    for index, name in enumerate(op.inputs):
        if name in tiling.inner and op.inputs.count(name) == 1:
            leads.append(_lead(graph, op, tiling, kernels, index))
        else:
            leads.append(None)
    return tuple(leads)


def _lead(
    graph: Graph, op: Op, tiling: Tiling, kernels: Sequence[Kernel], index: int
) -> int | None:
    use = row_use(graph, op)
    source, output = op.inputs[index], op.outputs[0]
    if use is None or (graph.tensor(source).shape[ROWS] < use.turns and use.is_aligned):
        return None
    in_row = tile_bytes(graph.tensor(source), (1, tiling.held(source)[1]))
    out_row = tile_bytes(graph.tensor(output), (1, tiling.held(output)[1]))
    lead: int | None = None
    if use.is_aligned:
        lead = _row_lead(graph, op, tiling, kernels, index)
    least = []
    for spans in tiling.rows:
        for row in range(*spans[output]):
            read = spans_read(graph, op, ROWS, (row, row + 1))[index]
            assert read is not None
            written, kept = row - spans[output][0], read[0] - spans[source][0]
            if lead is None:
                least.append((written + 1) * out_row - kept * in_row)
            else:
                least.append(written * out_row - kept * in_row + lead)
                if row + 1 < spans[output][1]:
                    least.append((written + 1) * out_row - (kept + 1) * in_row)
    return max(least)


def _row_lead(
    graph: Graph, op: Op, tiling: Tiling, kernels: Sequence[Kernel], index: int
) -> int | None:
    """The same for one row of an operator that computes it from the row of the same number, as far
    as its kernels allow it: from where the memory of both rows begins.
    """
    source = op.inputs[index]
    pixel = tile_bytes(graph.tensor(source), (1, 1))
    leads = []
    for spans, kernel in zip(tiling.columns, kernels, strict=True):
        lead = kernel.overlap[index] if index < len(kernel.overlap) else None
        if lead is None or kernel.overlap_step != 1:
            return None
        read = spans_read(graph, op, COLUMNS, spans[op.outputs[0]])[index]
        assert read is not None
        leads.append(lead - (read[0] - spans[source][0]) * pixel)
    return max(leads)
