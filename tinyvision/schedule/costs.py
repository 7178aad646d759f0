"""What kernels take on a core, in cycles: a few coefficients for each kernel, fitted on the virtual
boards.

``bench/calibrate_costs.py`` fits them; ``costs.json`` holds them, with their errors. An estimate,
good enough to choose by; what a network takes says ``profile``.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import macs
from tinyvision.ir.ops import Conv2D, Op
from tinyvision.kernels.conv2d import BLOCK_PIXELS
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.pieces import fold, one_piece, tile
from tinyvision.kernels.rows import ROW, Grain, row_use
from tinyvision.kernels.window import window
from tinyvision.schedule.plan import Plan, Step
from tinyvision.schedule.slicing import Sliced, recomputed
from tinyvision.schedule.tiling import covered, tiling_of
from tinyvision.target.board import Board
from tinyvision.target.core import Core

TABLE = Path(__file__).with_name("costs.json")
BY_ROWS = "/rows"
"""Ends the name of a kernel where a stream calls it row by row."""
ANY = "any"
"""The coefficients of kernels that are not in the table."""
ROUGHLY = (1.0, 0.0, 0.0, 8.0, 1.0, 300.0, 100.0)
"""Those where there is no table to speak of."""
FOUR_TILES = 16
"""Pixels of a row that four tiles of Winograd's filtering have (``kernels.winograd_rows``)."""
DOUBT = 1.05
"""Schedules are compared as if rows took so much longer: where memory does not ask for a stream,
one has to be faster by more than estimates are off.
"""
COPY_CYCLES = 1.5
"""For each byte of a slice that is put into its row, or of a tile that is put together."""


@dataclass(frozen=True)
class Work:
    """What there is to do: multiplications, those of them for pixels that fill no block of four
    (the last of a row), those for pixels that the last sixteen of a row are short of (which four
    tiles of Winograd's filtering compute all the same), elements to write and (largest of the
    inputs) to read, output rows (turns, where rows are added up), calls. ``height`` and ``width``
    are those of the output, of which a call computes ``together`` rows, unless its kernel says how
    many. ``copied``: bytes of tiles.
    """

    macs: float
    tail_macs: float
    spare_macs: float
    outputs: float
    inputs: float
    rows: float
    calls: float = 1.0
    height: int = 1
    width: int = 1
    together: int = 1
    copied: float = 0.0

    def passes(self, kernel: Kernel) -> int:
        """How often ``kernel`` goes through its constants."""
        together = kernel.rows or self.together
        pixels = together * self.width
        return -(-self.height // together) * -(-pixels // (kernel.pixels or pixels))

    @property
    def amounts(self) -> tuple[float, ...]:
        macs = self.macs, self.tail_macs, self.spare_macs
        return *macs, self.outputs, self.inputs, self.rows, self.calls

    def times(self, factor: float, calls: float) -> Work:
        """All of it ``factor`` times, every row in so many ``calls``."""
        return replace(
            self,
            macs=factor * self.macs,
            tail_macs=factor * self.tail_macs,
            spare_macs=factor * self.spare_macs,
            outputs=factor * self.outputs,
            inputs=factor * calls * self.inputs,
            rows=factor * calls * self.rows,
            calls=calls,
        )


def work(graph: Graph, op: Op, grain: Grain | None) -> Work:
    """One run of the whole operator (None), or in turns of a stream."""
    if grain is not None and grain.pieces > 1:
        return _work_of_pieces(graph, op, grain.pieces)
    by_rows = grain.rows if grain is not None else 0
    outputs = graph.output_tensors(op)
    largest = max((x.elements for x in graph.input_tensors(op) if not x.is_constant), default=0)
    use = row_use(graph, op)
    count, shape = macs(graph, op), outputs[0].shape
    height, width = shape[1:3] if len(shape) == 4 else (1, 1)
    turns = use.turns if use is not None else 1
    together, pixels = 1 if by_rows else height, width
    if isinstance(op, Conv2D) and not by_rows and window(graph, op).is_pointwise:
        pixels *= height
    if use is not None and by_rows > 1 and use.is_aligned:
        turns, together = use.several(by_rows).turns, min(by_rows, height)
        pixels *= together
    return Work(
        count,
        count * (pixels % BLOCK_PIXELS) / pixels,
        count * (-pixels % FOUR_TILES) / pixels,
        sum(y.elements for y in outputs),
        largest,
        turns,
        height=height,
        width=width,
        together=together,
    )


def _work_of_pieces(graph: Graph, op: Op, pieces: int) -> Work:
    """With pieces for rows."""
    found, folded = tile(graph, op, pieces), fold(graph, op, pieces)
    if folded is not None:
        return work(*folded, ROW)
    assert found is not None
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    turns = y.shape[1] * pieces
    alone, part = one_piece(graph, op, pieces)
    each = work(alone, part, None).times(turns, 1.0)
    return replace(
        each, inputs=x.elements, rows=turns, height=turns, copied=turns * found.size_bytes
    )


@dataclass(frozen=True)
class Refill:
    """What constants cost that do not stay in a board's level-one data cache: those of a kernel
    that are larger than it come again each time it goes through them, those of a stream with more
    than fits for every turn.
    """

    cache_bytes: int
    cycles_per_byte: float

    def of_kernel(self, kernel: Kernel, amount: Work) -> float:
        """Cycles that ``kernel`` waits for constants by itself."""
        if kernel.flash_bytes <= self.cache_bytes:
            return 0.0
        return self.cycles_per_byte * kernel.flash_bytes * amount.passes(kernel)

    def of_turns(self, kernel: Kernel, turns: int) -> float:
        """Besides those, cycles for ``turns`` of a stream of which ``exceeds`` is true."""
        if kernel.flash_bytes > self.cache_bytes:
            return 0.0
        return self.cycles_per_byte * kernel.flash_bytes * turns

    def exceeds(self, constant_bytes: int) -> bool:
        """Whether a stream of that many bytes of constants loads them again for every turn."""
        return constant_bytes > self.cache_bytes


FREE = Refill(0, 0.0)


@dataclass(frozen=True)
class Costs:
    """``coefficients``: for each kernel (see ``key``) the cycles of each of ``Work.amounts``;
    ``loads``: what comes on top on a board.
    """

    coefficients: Mapping[str, tuple[float, ...]]
    loads: Refill = FREE

    def cycles(self, kernel: Kernel, amount: Work, by_rows: bool = False) -> float:
        """``by_rows``: in a stream, turns included. A kernel that is not in the table costs what
        the operator's other kernels do, or what any does.
        """
        found = self.coefficients.get(key(kernel.variant, by_rows))
        found = found or self.coefficients.get(key(kernel.template, by_rows))
        found = found or self.coefficients.get(key(ANY, by_rows), ROUGHLY)
        waits = self.loads.of_kernel(kernel, amount) + COPY_CYCLES * amount.copied
        return waits + sum(c * n for c, n in zip(found, amount.amounts, strict=True))


def key(variant: str, by_rows: bool) -> str:
    """The name of a kernel in the table."""
    return variant + BY_ROWS if by_rows else variant


@lru_cache
def load_costs(core: Core) -> Costs:
    """The table of ``core``, or of the one in the table that is most like it."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))["cores"]

    def likeness(name: str) -> tuple[bool, ...]:
        known = table[name]
        return name == core.name, known["dsp"] == core.dsp, known["mve"] == core.mve

    kernels = table[max(table, key=likeness)]["kernels"] if table else {}
    return Costs({name: tuple(entry["cycles"]) for name, entry in kernels.items()})


def refill(board: Board) -> Refill:
    """That of ``board``: free where it has no such cache, because kernels' costs have the flash's
    waits in them then.
    """
    timing = board.timing
    if timing is None or timing.data_cache is None or not timing.flash.line_fill:
        return FREE
    flash, cache = timing.flash, timing.data_cache
    cycles = max(flash.line_fill, flash.line_busy)
    return Refill(cache.size_bytes, cycles / cache.line_bytes)


def costs_on(board: Board) -> Costs:
    """Those of the board's core, with its cache."""
    return replace(load_costs(board.core), loads=refill(board))


@dataclass(frozen=True)
class Pricing:
    """What the operators of one graph take on one board, to choose schedules by."""

    costs: Costs
    works: tuple[Mapping[Grain | None, Work], ...]
    """By what a turn computes; as a whole those of None."""

    def cycles(self, index: int, kernel: Kernel, grain: Grain | None) -> float:
        """As a whole (None) or in turns of a stream."""
        cycles = self.costs.cycles(kernel, self.works[index][grain], grain is not None)
        return DOUBT * cycles if grain is not None else cycles

    def sliced(self, found: Sliced, expanding: Kernel, reading: Kernel) -> float:
        """Of a job of a stream that computes its input itself, both kernels."""
        before = self.works[found.expander][ROW].times(found.factor, found.slices)
        after = self.works[found.reader][ROW].times(1.0, found.slices)
        cycles = self.costs.cycles(expanding, before, True)
        cycles += self.costs.cycles(reading, after, True) + COPY_CYCLES * after.outputs
        return DOUBT * cycles


def price_list(graph: Graph, board: Board, grains: Mapping[Grain, Container[int]]) -> Pricing:
    """For each operator as a whole, and for all of ``grains`` that have it, by its number."""
    works: list[Mapping[Grain | None, Work]] = []
    for index, op in enumerate(graph.ops):
        known = [grain for grain, found in grains.items() if grain == ROW or index in found]
        works.append({grain: work(graph, op, grain) for grain in (None, *known)})
    return Pricing(costs_on(board), tuple(works))


def estimate(graph: Graph, plan: Plan, board: Board) -> tuple[float, ...]:
    """Cycles of each step of ``plan``, which is of ``graph``, on ``board``."""
    costs = costs_on(board)
    ops = {op.name: op for op in graph.ops}
    cycles = []
    for index, step in enumerate(plan.steps):
        segment = plan.segment_of(index)
        by_rows = segment.is_one
        amount = work(graph, ops[step.op], step.grain if by_rows else None)
        more = 0.0
        if segment.is_patch:
            tiles = tiling_of(graph, plan, segment)
            rows = covered(tiles.rows, step.outputs[0]) * len(tiles.columns)
            amount = amount.times(tiles.computed(graph, ops[step.op]), 1.0)
            amount = replace(amount, rows=rows)
        if step.channels:
            slices = -(-graph.tensor(step.outputs[0]).shape[3] // step.channels)
            amount = amount.times(_again(graph, plan, ops, step), slices)
            more = COPY_CYCLES * amount.outputs if plan.expander_of(step) else 0.0
        if segment.is_stream:
            together = plan.steps[segment.first_step : segment.last_step + 1]
            if costs.loads.exceeds(sum(s.kernel.flash_bytes for s in together)):
                turns = segment.turns.count(index - segment.first_step)
                again = round(amount.rows) if step.channels else turns
                more += costs.loads.of_turns(step.kernel, again)
        cycles.append(costs.cycles(step.kernel, amount, by_rows) + more)
    return tuple(cycles)


def _again(graph: Graph, plan: Plan, ops: Mapping[str, Op], step: Step) -> float:
    """How often the rows of a step with slices are computed."""
    reader = next((s for s in plan.steps if plan.expander_of(s) == step), None)
    expanding = row_use(graph, ops[step.op])
    reading = row_use(graph, ops[reader.op]) if reader is not None else None
    return recomputed(expanding, reading) if expanding and reading else 1.0
