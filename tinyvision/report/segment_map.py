"""The geometry of a segment's picture: every tensor it touches, to scale, and what of it there is
in memory at one time: the receptive field of a tile with its halo, or the rows of a line buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyvision.ir.graph import Graph
from tinyvision.kernels.tiles import Span
from tinyvision.report.text import TIMES, shape_text, short_name
from tinyvision.schedule.plan import Plan, Segment
from tinyvision.schedule.tiling import Spans, tiling_of

CELL, SIDE, LEFT, TOP, LABELS = 138.0, 104.0, 20.0, 62.0, 44.0
COLUMNS = 8
THINNEST = 1.5


Rectangle = tuple[Span, Span]
"""Rows and columns."""

Drawn = tuple[str, str, list[tuple[str, Rectangle]], list[Rectangle]]
"""A tensor: its name, a line of text, its areas, and how it is cut into tiles."""


@dataclass(frozen=True)
class Area:
    """A rectangle of a tensor; ``kind``: whole, field, core or rows."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Sheet:
    """One tensor: its areas, from large to small, and two lines of text below."""

    x: float
    y: float
    name: str
    text: str
    tooltip: str
    areas: tuple[Area, ...]
    cuts: tuple[Area, ...] = ()


@dataclass(frozen=True)
class SegmentMap:
    """All shapes of one segment's picture, in pixels."""

    title: str
    subtitle: str
    sheets: tuple[Sheet, ...]

    @property
    def width(self) -> float:
        return 2 * LEFT + CELL * min(COLUMNS, len(self.sheets))

    @property
    def height(self) -> float:
        return TOP + (SIDE + LABELS) * -(-len(self.sheets) // COLUMNS) + 8


def segment_maps(graph: Graph, plan: Plan) -> Iterator[SegmentMap]:
    """A picture for each segment of ``plan`` that runs as one."""
    for segment in plan.segments:
        if segment.is_patch:
            yield _patch(graph, plan, segment)
        elif segment.is_stream:
            yield _stream(graph, plan, segment)


def _patch(graph: Graph, plan: Plan, segment: Segment) -> SegmentMap:
    """The tile in the middle of the grid: what it needs, and of that what no neighbour does."""
    tiles = tiling_of(graph, plan, segment)
    at = [count // 2 for count in tiles.grid]
    down, across = tiles.rows, tiles.columns
    sheets: list[Drawn] = []
    for name in _tensors(graph, plan, segment):
        height, width = graph.tensor(name).shape[1:3]
        field = down[at[0]][name], across[at[1]][name]
        core = _own(down, at[0], name), _own(across, at[1], name)
        whole = (0, height), (0, width)
        areas: list[tuple[str, Rectangle]] = [("whole", whole), ("field", field), ("core", core)]
        rows, columns = (end - first for first, end in field)
        text = f"{rows}{TIMES}{columns} of {height}{TIMES}{width}"
        grid = [
            (spans[0][name], spans[1][name])
            for spans in ((r, c) for r in down for c in across)
            if name in tiles.outputs
        ]
        sheets.append((name, text, areas, grid))
    rows, columns = segment.grid
    title = f"Patches of {_ends(plan, segment)}: {rows}{TIMES}{columns} tiles"
    halo = TIMES.join(map(str, segment.halo))
    subtitle = (
        "The tile in the middle and all that it needs; "
        f"the halo, light in the picture, is {halo} at the input"
    )
    return SegmentMap(title, subtitle, _sheets(graph, sheets))


def _stream(graph: Graph, plan: Plan, segment: Segment) -> SegmentMap:
    """Of every tensor the rows that there is memory for; of pieces of rows so many as would fill
    a rectangle.
    """
    sheets: list[Drawn] = []
    for name in _tensors(graph, plan, segment):
        height, width = graph.tensor(name).shape[1:3]
        buffer = plan.buffers[name]
        slots, pieces = buffer.slots or height * buffer.pieces, buffer.pieces
        kept = -(-slots // pieces)
        first = (height - kept) // 2
        areas: list[tuple[str, Rectangle]] = [
            ("whole", ((0, height), (0, width))),
            ("core" if kept < height else "rows", ((first, first + kept), (0, width))),
        ]
        text = f"{slots} of {height} rows"
        if pieces > 1:
            text = f"{slots} of {height * pieces} pieces of {width // pieces} columns"
        sheets.append((name, text, areas, []))
    title = f"Stream of {_ends(plan, segment)}"
    return SegmentMap(title, "The rows of each tensor that are kept", _sheets(graph, sheets))


def _ends(plan: Plan, segment: Segment) -> str:
    first, last = plan.steps[segment.first_step], plan.steps[segment.last_step]
    return f"{short_name(first.op)} to {short_name(last.op)}"


def _tensors(graph: Graph, plan: Plan, segment: Segment) -> list[str]:
    """What the steps read and write, in that order, as far as it has rows and columns."""
    steps = plan.steps[segment.first_step : segment.last_step + 1]
    names = dict.fromkeys(name for step in steps for name in (*step.inputs, *step.outputs))
    return [name for name in names if len(graph.tensor(name).shape) == 4]


def _own(parts: tuple[Spans, ...], at: int, name: str) -> Span:
    """What the part ``at`` shares with neither neighbour, or one row of it."""
    first, end = parts[at][name]
    if at > 0:
        first = max(first, parts[at - 1][name][1])
    if at + 1 < len(parts):
        end = min(end, parts[at + 1][name][0])
    return first, max(end, first)


def _sheets(
    graph: Graph,
    found: list[Drawn],
) -> tuple[Sheet, ...]:
    """Places the tensors in rows of the picture, all to one scale."""
    scale = SIDE / max((max(graph.tensor(name).shape[1:3]) for name, *_ in found), default=1)
    sheets = []
    for index, (name, text, areas, cuts) in enumerate(found):
        x = LEFT + CELL * (index % COLUMNS)
        y = TOP + (SIDE + LABELS) * (index // COLUMNS)

        def area(kind: str, rectangle: Rectangle, x: float = x, y: float = y) -> Area:
            (top, bottom), (left, right) = rectangle
            size = max(THINNEST, (right - left) * scale), max(THINNEST, (bottom - top) * scale)
            return Area(kind, x + left * scale, y + top * scale, *size)

        shape = shape_text(graph.tensor(name).shape)
        drawn = tuple(area(kind, r) for kind, r in areas if r[0][0] < r[0][1] and r[1][0] < r[1][1])
        sheets.append(
            Sheet(
                x,
                y + SIDE,
                short_name(name, 20),
                text,
                f"{name}: {shape}",
                drawn,
                tuple(area("cut", r) for r in cuts),
            )
        )
    return tuple(sheets)
