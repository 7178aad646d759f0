"""Runs a plan in numpy: every value goes through the bytes the plan gives it, and bytes that hold
nothing hold garbage.

Operators of layers one at a time, those of streams one row at a time, those of patches one tile
at a time. An output is written when
all of it is computed; what a kernel that writes over its input may not do in between is the
business of ``check.check_plan``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import AveragePool2D, FullyConnected, Mean, Op, Pad
from tinyvision.ir.reference import evaluate
from tinyvision.ir.reference.convolution import dense_of_sums, dense_sums
from tinyvision.ir.reference.spatial import mean_of_sums
from tinyvision.ir.types import Array
from tinyvision.kernels.pieces import Tile, fold, one_piece, tile
from tinyvision.kernels.rows import RESIZED, RowUse, one_row, row_use, some_rows, window_at
from tinyvision.kernels.slices import channel_slice, spans
from tinyvision.kernels.tiles import COLUMNS, ROWS, Span, restricted, spans_read
from tinyvision.schedule.plan import Buffer, Plan, Segment, Step
from tinyvision.schedule.replay import row_bytes, rows_in_turns
from tinyvision.schedule.tiling import Spans, tiling_of


def execute(
    graph: Graph, plan: Plan, inputs: Mapping[str, Array], seed: int = 0
) -> dict[str, Array]:
    """The outputs of ``graph`` by name for ``inputs`` by name, both in their tensors' own types.

    ``seed`` draws the garbage.
    """
    memory = _Memory(plan, seed)
    for name in graph.inputs:
        if not plan.buffers[name].slots:
            memory.write(plan.buffers[name], inputs[name])
    ops = {op.name: op for op in graph.ops}
    for first, _ in plan.units:
        memory.poison(first - 1)
        segment = plan.segment_of(first)
        if segment.is_stream:
            _Stream(graph, plan, segment, memory).run(inputs)
            continue
        if segment.is_patch:
            _patch(graph, plan, segment, memory)
            continue
        step = plan.steps[first]
        op = ops[step.op]
        values = [
            memory.read(plan.buffers[name]) if array is None else array
            for name, array in zip(op.inputs, _constants(graph, op), strict=True)
        ]
        results = evaluate(graph, op, values)
        if step.scratch:
            memory.fill(plan.buffers[step.scratch])
        for name, result in zip(op.outputs, results, strict=True):
            memory.write(plan.buffers[name], result)
    memory.poison(len(plan.steps))
    return {name: memory.read(plan.buffers[name]) for name in graph.outputs}


def _constants(graph: Graph, op: Op) -> list[Array | None]:
    return [graph.tensor(name).data for name in op.inputs]


def _patch(graph: Graph, plan: Plan, segment: Segment, memory: _Memory) -> None:
    """All tiles of one segment."""
    tiles = tiling_of(graph, plan, segment)
    for rows, columns in product(tiles.rows, tiles.columns):
        for index, op in enumerate(tiles.ops, segment.first_step):
            _tile(graph, plan, op, plan.steps[index], memory, rows, columns)
            if index < segment.last_step:
                memory.poison(index)


def _tile(
    graph: Graph, plan: Plan, op: Op, step: Step, memory: _Memory, rows: Spans, columns: Spans
) -> None:
    """One operator for one tile."""
    output = op.outputs[0]
    reads = zip(
        op.inputs,
        _constants(graph, op),
        spans_read(graph, op, ROWS, rows[output]),
        spans_read(graph, op, COLUMNS, columns[output]),
        strict=True,
    )
    corner = {name: (rows[name][0], columns[name][0]) for name in rows}
    values = []
    for name, constant, down, across in reads:
        if down is None or across is None:
            assert constant is not None
            values.append(constant)
        else:
            values.append(memory.rectangle(plan.buffers[name], corner[name], down, across).copy())
    alone, part = restricted(*restricted(graph, op, ROWS, rows[output]), COLUMNS, columns[output])
    if step.scratch:
        memory.fill(plan.buffers[step.scratch])
    for name, result in zip(op.outputs, evaluate(alone, part, values), strict=True):
        buffer = plan.buffers[name]
        memory.rectangle(buffer, corner[name], rows[name], columns[name])[:] = result


class _Stream:
    """The turns of one segment."""

    def __init__(self, graph: Graph, plan: Plan, segment: Segment, memory: _Memory) -> None:
        self.graph, self.plan, self.memory = graph, plan, memory
        self.steps = plan.steps[segment.first_step : segment.last_step + 1]
        self.turns = segment.turns
        self.ops = {op.name: op for op in graph.ops}

    def run(self, inputs: Mapping[str, Array]) -> None:
        uses = [rows_in_turns(self.graph, self.ops[step.op], step) for step in self.steps]
        taken = [0] * len(self.steps)
        arrived = 0
        for number in self.turns:
            if number < 0:
                (name,) = self.graph.inputs
                buffer = self.plan.buffers[name]
                rows = inputs[name].reshape(row_bytes(buffer)[0], -1)
                self.memory.write_row(buffer, arrived, rows[arrived])
                arrived += 1
                continue
            step, use = self.steps[number], uses[number]
            assert use is not None
            self._turn(step, self.ops[step.op], use, taken[number])
            taken[number] += 1

    def _turn(self, step: Step, op: Op, use: RowUse, turn: int) -> None:
        if step.channels:
            self._sliced(step, op, use, turn)
            return
        found = tile(self.graph, op, step.pieces) if step.pieces > 1 else None
        if found is not None:
            self._tiled(step, op, found, turn)
            return
        graph = self.graph
        if step.pieces > 1:
            folded = fold(graph, op, step.pieces)
            assert folded is not None
            graph, op = folded
        if use.rows > 1 and not use.is_aligned:
            single = row_use(self.graph, op)
            assert single is not None
            for row in range(*use.block(turn)):
                self._turn(step, op, single, row)
            return
        values = [
            self.memory.read_rows(self.plan.buffers[name], *rows[turn], pieces=step.pieces)
            if rows is not None
            else constant
            for name, rows, constant in zip(
                op.inputs, use.reads, _constants(graph, op), strict=True
            )
        ]
        if step.scratch:
            self.memory.fill(self.plan.buffers[step.scratch])
        if use.accumulates:
            self._add_up(graph, step, op, use, turn, values[0])
            return
        results = self._row(graph, op, use, turn, values)
        for name, result in zip(op.outputs, results, strict=True):
            for at, row in enumerate(range(*use.block(turn))):
                written = result[:, at : at + 1]
                self.memory.write_row(self.plan.buffers[name], row, written, step.pieces)

    def _tiled(self, step: Step, op: Op, found: Tile, turn: int) -> None:
        """One piece, from a tile of the pieces under its windows."""
        source, output = (self.plan.buffers[name] for name in (op.inputs[0], op.outputs[0]))
        (_, height, width, _), pieces = source.shape, step.pieces
        row, piece = divmod(turn, pieces)
        columns = piece * found.step - found.left + np.arange(found.columns)
        inside = (columns >= 0) & (columns < width)
        value = np.full((1, found.rows, found.columns, found.depth), found.fill, np.int8)
        for at in range(found.rows):
            y = row * found.stride - found.top + at * found.dilation
            if 0 <= y < height:
                under = columns[inside]
                first, end = under[0] * pieces // width, under[-1] * pieces // width + 1
                known = self.memory.read_rows(
                    source, y * pieces + first, y * pieces + end, pieces=pieces
                ).reshape(-1, found.depth)
                value[0, at, inside] = known[under - first * width // pieces]
        if step.scratch:
            self.memory.fill(self.plan.buffers[step.scratch])
        alone, part = one_piece(self.graph, op, pieces)
        constants = [array for array in _constants(self.graph, op) if array is not None]
        (result,) = evaluate(alone, part, [value, *constants])
        self.memory.write_row(output, turn, result, pieces)

    def _sliced(self, step: Step, op: Op, use: RowUse, turn: int) -> None:
        """A row of a step that computes its input, some channels after the other."""
        before_step = self.plan.expander_of(step)
        assert before_step is not None and use.reads[0] is not None
        before = self.ops[before_step.op]
        expanding = row_use(self.graph, before)
        assert expanding is not None and expanding.reads[0] is not None
        source, held, output = (
            self.plan.buffers[name] for name in (before.inputs[0], op.inputs[0], op.outputs[0])
        )
        first, end = use.reads[0][turn]
        for span in spans(output.shape[3], step.channels):
            self.memory.fill(held)
            if step.scratch:
                self.memory.fill(self.plan.buffers[step.scratch])
            alone, part = channel_slice(self.graph, before, span)
            width = span[1] - span[0]
            for row in range(first, end):
                values: list[Array | None] = [
                    self.memory.read_rows(source, *expanding.reads[0][row])
                ]
                values += [alone.tensor(name).data for name in part.inputs[1:]]
                (result,) = self._row(alone, part, expanding, row, values)
                self.memory.write_row(held, row, result)
            alone, part = channel_slice(self.graph, op, span)
            rows = self.memory.read_rows(held, first, end, width)
            values = [rows, *(alone.tensor(name).data for name in part.inputs[1:])]
            (result,) = self._row(alone, part, use, turn, values)
            self.memory.write_channels(output, turn, span[0], result)

    def _row(
        self, graph: Graph, op: Op, use: RowUse, turn: int, values: Sequence[Array | None]
    ) -> tuple[Array, ...]:
        rows = use.reads[0]
        if isinstance(op, Pad) and rows is not None and rows[turn][0] == rows[turn][1]:
            y = graph.tensor(op.outputs[0])
            return (np.full((1, 1, *y.shape[2:]), op.value, y.dtype.numpy),)
        if use.is_aligned:
            first, end = use.block(turn)
            graph, op = some_rows(graph, op, end - first)
        elif isinstance(op, Pad):
            graph, op = one_row(graph, op)
        elif isinstance(op, RESIZED):
            return self._resized(graph, op, use, turn, values)
        else:
            assert rows is not None
            graph, op = window_at(graph, op, turn, rows[turn])
        return evaluate(graph, op, [value for value in values if value is not None])

    def _resized(
        self, graph: Graph, op: Op, use: RowUse, turn: int, values: Sequence[Array | None]
    ) -> tuple[Array, ...]:
        """A row of the operator on an input of which all other rows are garbage."""
        x, (rows,) = graph.tensor(op.inputs[0]), use.reads
        assert rows is not None and values[0] is not None
        whole = self.memory.garbage(x.size_bytes).view(x.dtype.numpy).reshape(x.shape)
        whole[:, slice(*rows[turn])] = values[0]
        (result,) = evaluate(graph, op, [whole])
        return (result[:, turn : turn + 1],)

    def _add_up(
        self, graph: Graph, step: Step, op: Op, use: RowUse, turn: int, row: Array | None
    ) -> None:
        assert isinstance(op, (Mean, AveragePool2D, FullyConnected)) and row is not None
        buffer = self.plan.buffers[step.sums]
        sums = self.memory.read_as(buffer, np.dtype(np.int32)) if turn else np.int32(0)
        if isinstance(op, FullyConnected):
            sums = sums + dense_sums(graph, op, row, turn)
        else:
            along = (1,) if isinstance(op, Mean) and op.axes == (1,) else (1, 2)
            sums = sums + row.astype(np.int32).sum(axis=along, dtype=np.int32).reshape(-1)
        self.memory.write(buffer, sums)
        if turn < use.turns - 1:
            return
        if isinstance(op, FullyConnected):
            result = dense_of_sums(graph, op, sums)
        else:
            result = mean_of_sums(graph, op, sums)
        self.memory.write(self.plan.buffers[op.outputs[0]], result)


class _Memory:
    """The banks, as many bytes as the plan claims."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._random = np.random.default_rng(seed)
        self._banks = {bank.name: self.garbage(bank.used_bytes) for bank in plan.banks}

    def garbage(self, count: int) -> Array:
        return self._random.integers(0, 256, count, dtype=np.uint8)

    def _bytes(self, buffer: Buffer) -> Array:
        bank = self._banks[buffer.bank]
        if buffer.offset < 0 or buffer.end > bank.size:
            raise ValueError(f"{buffer.name!r} lies outside bank {buffer.bank}")
        view: Array = bank[buffer.offset : buffer.end]
        return view

    def write(self, buffer: Buffer, value: Array) -> None:
        self._bytes(buffer)[:] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)

    def read(self, buffer: Buffer) -> Array:
        if buffer.dtype is None:
            raise ValueError(f"{buffer.name!r} is scratch")
        copy: Array = self._bytes(buffer).copy().view(buffer.dtype.numpy).reshape(buffer.shape)
        return copy

    def read_as(self, buffer: Buffer, dtype: np.dtype[np.int32]) -> Array:
        copy: Array = self._bytes(buffer).copy().view(dtype)
        return copy

    def _row(self, buffer: Buffer, row: int, pieces: int = 0) -> Array:
        rows, size = row_bytes(buffer, pieces)
        start = (row + buffer.phase) % (buffer.slots or rows) * size
        view: Array = self._bytes(buffer)[start : start + size]
        return view

    def write_row(self, buffer: Buffer, row: int, value: Array, pieces: int = 0) -> None:
        """A row, or a piece of one, or some channels of it at the beginning of its place."""
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        if not buffer.channels:
            assert content.size == row_bytes(buffer, pieces)[1]
        self._row(buffer, row, pieces)[: content.size] = content

    def write_channels(self, buffer: Buffer, row: int, first: int, value: Array) -> None:
        """Channels from ``first`` on of a row."""
        assert buffer.dtype is not None
        pixels = self._row(buffer, row).view(buffer.dtype.numpy).reshape(-1, buffer.shape[-1])
        pixels[:, first : first + value.shape[-1]] = value.reshape(-1, value.shape[-1])

    def read_rows(
        self, buffer: Buffer, first: int, end: int, channels: int = 0, pieces: int = 0
    ) -> Array:
        """Rows ``[first, end)`` of a tensor, or pieces of them, whichever of them are there, or of
        the channels that are.
        """
        assert buffer.dtype is not None
        shape = (*buffer.shape[2:-1], channels) if channels else buffer.shape[2:]
        if pieces > 1 and row_bytes(buffer)[0] > 1:
            shape = (shape[0] // pieces, *shape[1:])
        count = int(np.prod(shape)) * buffer.dtype.size_bytes
        rows = [self._row(buffer, row, pieces)[:count] for row in range(first, end)]
        joined = np.concatenate(rows) if rows else np.zeros(0, np.uint8)
        value: Array = joined.view(buffer.dtype.numpy)
        return value.reshape(1, end - first, *shape)

    def rectangle(
        self, buffer: Buffer, corner: tuple[int, int], rows: Span, columns: Span
    ) -> Array:
        """A view of some rows and columns of a tensor, of which there is either all or a tile that
        begins at ``corner``.
        """
        assert buffer.dtype is not None
        extents, (top, left) = buffer.tile, corner
        if extents == (0, 0):
            extents, top, left = (buffer.shape[1], buffer.shape[2]), 0, 0
        content = self._bytes(buffer).view(buffer.dtype.numpy)
        whole = content.reshape(1, *extents, buffer.shape[3])
        view: Array = whole[:, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
        return view

    def fill(self, buffer: Buffer) -> None:
        """Writes garbage over ``buffer``."""
        self._bytes(buffer)[:] = self.garbage(buffer.size_bytes)

    def poison(self, step: int) -> None:
        """Writes garbage over all that need not be kept once ``step`` is done."""
        for name, bank in self._banks.items():
            kept = np.zeros(bank.size, bool)
            for buffer in self._plan.buffers.values():
                if (
                    buffer.bank == name
                    and buffer.first_step <= step
                    and (buffer.last_step > step or buffer.last_step == len(self._plan.steps))
                ):
                    kept[buffer.offset : buffer.end] = True
            bank[~kept] = self.garbage(int(np.count_nonzero(~kept)))
