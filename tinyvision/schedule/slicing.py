"""Depthwise convolutions in streams that compute their own input: for every row, some channels
after the other, the rows under the window anew.

Of the tensor between the two only those rows of those channels exist. It costs multiplications
(each row is computed as often as windows touch it), and saves a ring of rows of the widest tensor
of an inverted residual block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import RowUse
from tinyvision.kernels.slices import channel_slice, has_slices, spans
from tinyvision.schedule.interleave import RowJob, Stage
from tinyvision.schedule.plan import align
from tinyvision.schedule.problem import Problem

WIDTHS = (4, 8, 16, 32)
"""Channels of a slice: multiples of what kernels load as one word."""

KernelsOf = Callable[[Graph, Op, int], tuple[Kernel, ...]]
"""The row kernels of an operator that stands for the job of that number, fastest first."""


@dataclass(frozen=True)
class Sliced:
    """Job ``reader`` computes its input, which is ``expander``'s output, ``channels`` at a time.

    ``kernels``: pairs of the two's, fastest first; ``part_bytes``: a slice of an output row.
    """

    expander: int
    reader: int
    channels: int
    slices: int
    expanding: RowUse
    reading: RowUse
    row: RowJob
    held: int
    row_bytes: int
    part_bytes: int
    kernels: tuple[tuple[Kernel, Kernel], ...]

    @property
    def held_rows(self) -> int:
        """Rows of the tensor between that exist at one time."""
        return most_rows(self.reading)

    @property
    def held_bytes(self) -> int:
        return self.held_rows * self.row_bytes

    @cached_property
    def factor(self) -> float:
        """How often a row of the tensor between is computed, on average."""
        return recomputed(self.expanding, self.reading)

    def scratch_bytes(self, kernels: tuple[Kernel, Kernel]) -> int:
        return slice_scratch(self.part_bytes, kernels)


def slice_scratch(part_bytes: int, kernels: Sequence[Kernel]) -> int:
    """A part of an output row, then what either of two kernels needs."""
    return align(part_bytes) + max(align(kernel.scratch_bytes) for kernel in kernels)


def most_rows(reading: RowUse) -> int:
    """Rows that a turn reads of the first input, at most."""
    rows = reading.reads[0]
    assert rows is not None
    return max(end - first for first, end in rows)


def recomputed(expanding: RowUse, reading: RowUse) -> float:
    """How often a row is computed where every turn of ``reading`` computes those that it reads."""
    rows = reading.reads[0]
    assert rows is not None
    return sum(end - first for first, end in rows) / expanding.turns


def composed(expanding: RowUse, reading: RowUse) -> RowUse:
    """The rows of ``expanding``'s input that each turn of ``reading`` needs."""
    inner, outer = expanding.reads[0], reading.reads[0]
    assert inner is not None and outer is not None
    rows = tuple((inner[first][0], inner[end - 1][1]) for first, end in outer)
    return RowUse(reading.turns, (rows,))


def slicings(
    graph: Graph, problem: Problem, rows: dict[int, RowJob], kernels_of: KernelsOf
) -> dict[int, tuple[Sliced, ...]]:
    """For each job that can compute its input by slices how, narrow ones first."""
    writer = {job.writes[0]: index for index, job in enumerate(problem.jobs) if job.writes}
    found = {}
    for index, (op, job) in enumerate(zip(graph.ops, problem.jobs, strict=True)):
        expander = writer.get(job.reads[0]) if job.reads and job.reads[0] is not None else None
        if expander is None or index not in rows or expander not in rows:
            continue
        options = _options(graph, problem, rows, kernels_of, expander, index, op)
        if options:
            found[index] = options
    return found


def _options(
    graph: Graph,
    problem: Problem,
    rows: dict[int, RowJob],
    kernels_of: KernelsOf,
    expander: int,
    reader: int,
    op: Op,
) -> tuple[Sliced, ...]:
    before = graph.ops[expander]
    (between,) = problem.jobs[reader].read_storages[:1]
    if not (
        isinstance(before, Conv2D)
        and isinstance(op, DepthwiseConv2D)
        and has_slices(graph, before)
        and has_slices(graph, op)
        and op.dilation[0] == 1
        and not rows[reader].stage.use.is_aligned
        and problem.readers[between] == (reader,)
        and between not in problem.outputs
        and problem.jobs[expander].reads[0] is not None
    ):
        return ()
    expanding, reading = rows[expander].stage.use, rows[reader].stage.use
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    stage = Stage(
        composed(expanding, reading), problem.jobs[expander].reads[:1], problem.jobs[reader].writes
    )
    whole_bytes = most_rows(reading) * x.shape[2] * x.shape[3]
    options = []
    for width in WIDTHS:
        held_bytes = most_rows(reading) * x.shape[2] * width
        if width >= x.shape[3] or held_bytes + width * y.shape[2] >= whole_bytes:
            break
        slices = spans(x.shape[3], width)
        distinct = dict.fromkeys(end - first for first, end in slices)
        pairs = [
            _pairs(
                kernels_of(*channel_slice(graph, before, (0, size)), expander),
                kernels_of(*channel_slice(graph, op, (0, size)), reader),
            )
            for size in distinct
        ]
        common = [pair for pair in pairs[0] if all(_named(pair) in map(_named, p) for p in pairs)]
        if common:
            options.append(
                Sliced(
                    expander,
                    reader,
                    width,
                    len(slices),
                    expanding,
                    reading,
                    RowJob(stage, (None,), stage.use),
                    between,
                    x.shape[2] * width,
                    y.shape[2] * width,
                    tuple(common),
                )
            )
    return tuple(options)


def _pairs(expanding: Sequence[Kernel], reading: Sequence[Kernel]) -> list[tuple[Kernel, Kernel]]:
    """For each kernel of the reader the fastest one of the expander that needs no more scratch, or
    the thriftiest.
    """
    thriftiest = min(expanding, key=lambda kernel: kernel.scratch_bytes)
    return [
        (
            next((e for e in expanding if e.scratch_bytes <= kernel.scratch_bytes), thriftiest),
            replace(kernel),
        )
        for kernel in reading
    ]


def _named(pair: tuple[Kernel, Kernel]) -> tuple[str, str]:
    return pair[0].variant, pair[1].variant
