"""The geometry of a patch segment: which rows and columns of every tensor each tile works on.

As in MCUNetV2 (Lin et al., NeurIPS 2021) the outputs of a range of operators are cut into a grid of
tiles, and each tile computes for itself what lies under it: rectangles that grow towards the input
by the halo of the windows, and so overlap those of their neighbours. A rectangle is the product of
rows, which depend on the row of the grid alone, and columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.tiles import COLUMNS, ROWS, Span, has_tiles, spans_read
from tinyvision.schedule.plan import Plan, Segment

Spans = Mapping[str, Span]
"""For each tensor that a segment touches its rows, or its columns."""


@dataclass(frozen=True)
class Tiling:
    """``rows`` and ``columns``: for each row, and each column, of the grid those of every tensor.

    ``inputs`` and ``outputs``: the tensors that lie in memory whole, because others write or read
    them; of ``inner`` ones there is only what the current tile needs.
    """

    ops: tuple[Op, ...]
    rows: tuple[Spans, ...]
    columns: tuple[Spans, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def inner(self) -> tuple[str, ...]:
        return tuple(n for op in self.ops for n in op.outputs if n not in self.outputs)

    @property
    def grid(self) -> tuple[int, int]:
        return len(self.rows), len(self.columns)

    def held(self, name: str) -> tuple[int, int]:
        """Rows and columns of an inner tensor of which there is memory for."""
        return longest(self.rows, name), longest(self.columns, name)

    def halo(self, name: str) -> tuple[int, int]:
        """Rows and columns of a tensor that neighbouring tiles both work on, at most."""
        return _shared(self.rows, name), _shared(self.columns, name)

    def lead(self, graph: Graph, source: str, output: str) -> int | None:
        """How many bytes ``output`` must begin below ``source``, which nobody else needs, to lie
        over what no later tile reads of it; None where a tile may read it after it has written.
        """
        readers = [at for at, op in enumerate(self.ops) if source in op.inputs]
        writer = next(at for at, op in enumerate(self.ops) if output in op.outputs)
        if readers[-1] >= writer:
            return None
        return lead(graph, self.rows, self.columns, source, output)

    def computed(self, graph: Graph, op: Op) -> float:
        """How often an element of ``op``'s output is computed on average."""
        name = op.outputs[0]
        height, width = graph.tensor(name).shape[1:3]
        return covered(self.rows, name) * covered(self.columns, name) / (height * width)


def longest(parts: Sequence[Spans], name: str) -> int:
    return max(end - first for first, end in (spans[name] for spans in parts))


def covered(parts: Sequence[Spans], name: str) -> int:
    """Rows (or columns) of a tensor, counted once for each part."""
    return sum(end - first for first, end in (spans[name] for spans in parts))


def _shared(parts: Sequence[Spans], name: str) -> int:
    neighbours = pairwise(part[name] for part in parts)
    return max((max(this[1] - after[0], 0) for this, after in neighbours), default=0)


def lead(
    graph: Graph, rows: Sequence[Spans], columns: Sequence[Spans], source: str, output: str
) -> int:
    """``Tiling.lead`` where every tile reads before it writes."""

    def at(name: str, row: int, column: int) -> int:
        tensor = graph.tensor(name)
        return (row * tensor.shape[2] + column) * tensor.shape[3] * tensor.dtype.size_bytes

    found = []
    for number, spans in enumerate(rows):
        below = [at(source, s[source][0], 0) for s in rows[number + 1 :]]
        for place, strip in enumerate(columns):
            written = at(output, spans[output][1] - 1, strip[output][1])
            beside = [at(source, spans[source][0], s[source][0]) for s in columns[place + 1 :]]
            if needed := [*beside[:1], *below[:1]]:
                found.append(written - min(needed))
    return max(found, default=-graph.tensor(source).size_bytes)


def borders(graph: Graph, ops: Sequence[Op]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tensors that ``ops`` read and others write, and those that they write for others."""
    written = {name for op in ops for name in op.outputs}
    read = dict.fromkeys(
        name for op in ops for name in op.inputs if not graph.tensor(name).is_constant
    )
    names = {op.name for op in ops}
    wanted = {n for op in graph.ops if op.name not in names for n in op.inputs}
    wanted.update(graph.outputs)
    outputs = dict.fromkeys(n for op in ops for n in op.outputs if n in wanted)
    return tuple(n for n in read if n not in written), tuple(outputs)


def tiling(graph: Graph, ops: Sequence[Op], grid: tuple[int, int]) -> Tiling | None:
    """How ``ops``, all of which have tiles, compute their outputs in ``grid`` (rows, columns), or
    None where some tile has nothing to compute, or to read.
    """
    inputs, outputs = borders(graph, ops)
    rows = spans_along(graph, ops, outputs, ROWS, grid[0])
    columns = spans_along(graph, ops, outputs, COLUMNS, grid[1])
    if rows is None or columns is None or not inputs:
        return None
    return Tiling(tuple(ops), rows, columns, inputs, outputs)


def tiling_of(graph: Graph, plan: Plan, segment: Segment) -> Tiling:
    """The tiles of a patch segment of ``plan``; ValueError where its operators have none."""
    by_name = {op.name: op for op in graph.ops}
    steps = plan.steps[segment.first_step : segment.last_step + 1]
    ops = [by_name[step.op] for step in steps]
    found = tiling(graph, ops, segment.grid) if all(has_tiles(graph, op) for op in ops) else None
    if found is None:
        raise ValueError(f"steps {steps[0].op!r} to {steps[-1].op!r} cannot run in {segment.grid}")
    return found


def spans_along(
    graph: Graph, ops: Sequence[Op], outputs: Sequence[str], axis: int, parts: int
) -> tuple[Spans, ...] | None:
    """The spans of every tensor for each of ``parts`` parts of the outputs along one axis. None
    where some part has none.
    """
    cuts = {name: _cuts(graph.tensor(name).shape[axis], parts) for name in outputs}
    found = []
    for part in range(parts):
        wanted = {name: (cut[part], cut[part + 1]) for name, cut in cuts.items()}
        spans = _needed(graph, ops, axis, wanted)
        if not spans or any(first >= end for first, end in spans.values()):
            return None
        found.append(spans)
    return tuple(found)


def _cuts(extent: int, parts: int) -> list[int]:
    """Where parts begin and end: all of one size but the last, or else of two sizes."""
    size = -(-extent // parts)
    if (parts - 1) * size < extent:
        return [min(part * size, extent) for part in range(parts + 1)]
    return [part * extent // parts for part in range(parts + 1)]


def _needed(graph: Graph, ops: Sequence[Op], axis: int, wanted: dict[str, Span]) -> dict[str, Span]:
    """``wanted`` and all that it needs. The outputs of an operator come together; a result that
    nobody wants has no rows.
    """
    spans = dict(wanted)

    def widen(name: str, span: Span) -> None:
        known = spans.get(name, span)
        spans[name] = min(known[0], span[0]), max(known[1], span[1])

    for op in reversed(ops):
        mine = [spans[name] for name in op.outputs if name in spans]
        if not mine:
            return {}
        span = min(first for first, _ in mine), max(end for _, end in mine)
        if span[0] >= span[1]:
            return {}
        for name in op.outputs:
            spans[name] = span
        for name, read in zip(op.inputs, spans_read(graph, op, axis, span), strict=True):
            if read is not None:
                widen(name, read)
    return spans
