"""Goes through a plan turn by turn and watches every byte: nothing is read that another has
overwritten.

Independent of how plans are made: it knows of lifetimes only what it sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Reshape
from tinyvision.ir.types import Array
from tinyvision.kernels.pieces import pieces_use
from tinyvision.kernels.rows import RowUse, row_use
from tinyvision.kernels.tiles import COLUMNS, ROWS, spans_read
from tinyvision.schedule.plan import Buffer, Plan, Segment, Step
from tinyvision.schedule.slicing import composed
from tinyvision.schedule.tiling import Spans, tiling_of

Span = tuple[Buffer, int, int, int]
"""Bytes of a buffer's content: buffer, first byte of the bank, first byte of the content, how
many.
"""


def replay(graph: Graph, plan: Plan) -> None:
    """Raises ValueError naming step and buffer where a step would find other bytes than those it
    needs, or may not lie its output where the plan has it.
    """
    _Replay(graph, plan).run()


def row_bytes(buffer: Buffer, pieces: int = 0) -> tuple[int, int]:
    """Rows and bytes of one row of a tensor's buffer (of the channels that are there at one time);
    one row where the shape has none. Its pieces stand for rows where it has some, or those of who
    works on ``pieces`` of its rows.
    """
    assert buffer.dtype is not None
    shape = (*buffer.shape[:-1], buffer.channels) if buffer.channels else buffer.shape
    count = int(np.prod(shape)) * buffer.dtype.size_bytes
    rows = buffer.shape[1] if len(buffer.shape) == 4 and buffer.shape[0] == 1 else 1
    rows *= (pieces or buffer.pieces) if rows > 1 else 1
    return rows, count // max(rows, 1)


def rows_in_turns(graph: Graph, op: Op, step: Step) -> RowUse | None:
    """How ``step`` of a stream, which computes ``op``, runs; None where it cannot."""
    if step.pieces > 1:
        return pieces_use(graph, op, step.pieces)
    use = row_use(graph, op)
    return use if use is None or step.channels else use.several(step.rows, step.first_rows)


class _Replay:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.ops = {op.name: op for op in graph.ops}
        self.numbers = {name: index for index, name in enumerate(plan.buffers, 1)}
        for op in graph.ops:
            if isinstance(op, Reshape) and op.inputs[0] in plan.buffers:
                source, result = plan.buffers[op.inputs[0]], plan.buffers[op.outputs[0]]
                if (source.bank, source.offset) == (result.bank, result.offset):
                    self.numbers[result.name] = self.numbers[source.name]
        # Of each byte whose content it holds: the buffer's number and the place in the content.
        self.owners = {bank.name: np.zeros(bank.used_bytes, np.int64) for bank in plan.banks}

    def run(self) -> None:
        for name in self.graph.inputs:
            if not self.plan.buffers[name].slots:
                self.write(self.whole(name))
        for unit, (first, _) in enumerate(self.plan.units):
            segment = self.plan.segment_of(first)
            if segment.is_stream:
                self.stream(segment)
            elif segment.is_patch:
                self.patch(segment)
            else:
                self.layer(self.plan.steps[first])
            for name in self.plan.results(self.graph, unit):
                if name in self.plan.buffers:
                    self.require(self.whole(name), "who compares layer by layer")
        for name in self.graph.outputs:
            self.require(self.whole(name), "the reading of the outputs")

    def whole(self, name: str) -> Span:
        buffer = self.plan.buffers[name]
        return buffer, buffer.offset, 0, buffer.size_bytes

    def rows(self, name: str, first: int, end: int, pieces: int) -> Iterator[Span]:
        buffer = self.plan.buffers[name]
        count, size = row_bytes(buffer, pieces)
        slots = buffer.slots or count
        for row in range(first, end):
            at = buffer.offset + (row + buffer.phase) % slots * size
            yield buffer, at, row * size, size

    def block(self, name: str, first: int, end: int, pieces: int) -> Span:
        """Rows, or pieces, that lie one after another."""
        buffer = self.plan.buffers[name]
        count, size = row_bytes(buffer, pieces)
        slots = buffer.slots or count
        slot = (first + buffer.phase) % slots
        if slot + end - first > slots:
            raise ValueError(f"rows {first} to {end} of {name!r} do not lie one after another")
        return buffer, buffer.offset + slot * size, first * size, (end - first) * size

    def layer(self, step: Step) -> None:
        op = self.ops[step.op]
        reads = {name: [self.whole(name)] for name in step.inputs}
        writes = [self.whole(name) for name in step.outputs]
        self.call(step, op, reads, writes)

    def stream(self, segment: Segment) -> None:
        steps = self.plan.steps[segment.first_step : segment.last_step + 1]
        uses = [rows_in_turns(self.graph, self.ops[step.op], step) for step in steps]
        taken = [0] * len(steps)
        arrived = 0
        if segment.state:
            self.write(self.whole(segment.state))
        for number in segment.turns:
            if segment.state:
                self.require(self.whole(segment.state), "a turn")
            if number < 0:
                for span in self.rows(self.graph.inputs[0], arrived, arrived + 1, 0):
                    self.write(span)
                arrived += 1
                continue
            use = uses[number]
            if use is None or taken[number] >= use.turns:
                raise ValueError(f"step {steps[number].op!r} cannot take turn {taken[number]}")
            self.turn(steps[number], use, taken[number])
            taken[number] += 1

    def patch(self, segment: Segment) -> None:
        """Every tile, operator by operator, row by row."""
        tiles = tiling_of(self.graph, self.plan, segment)
        steps = self.plan.steps[segment.first_step : segment.last_step + 1]
        for rows, (number, columns) in product(tiles.rows, enumerate(tiles.columns)):
            for step in steps:
                self.tile(replace(step, kernel=step.columns[number]), rows, columns)

    def tile(self, step: Step, rows: Spans, columns: Spans) -> None:
        op = self.ops[step.op]
        use = row_use(self.graph, op)
        assert use is not None
        across = spans_read(self.graph, op, COLUMNS, columns[op.outputs[0]])
        for row in range(*rows[op.outputs[0]]):
            reads: dict[str, list[Span]] = {}
            down = spans_read(self.graph, op, ROWS, (row, row + 1))
            for name, some, part in zip(op.inputs, down, across, strict=True):
                if some is not None and part is not None:
                    found = (self.part(name, r, part, rows, columns) for r in range(*some))
                    reads.setdefault(name, []).extend(found)
            writes = [self.part(name, row, columns[name], rows, columns) for name in op.outputs]
            self.call(step, op, reads, writes, rows_alike=use.is_aligned)

    def part(self, name: str, row: int, part: tuple[int, int], rows: Spans, columns: Spans) -> Span:
        """Some columns of a row of a tensor, of which there is either all or the current tile."""
        buffer = self.plan.buffers[name]
        assert buffer.dtype is not None
        pixel = buffer.shape[3] * buffer.dtype.size_bytes
        width, top, left = buffer.shape[2], 0, 0
        if buffer.tile != (0, 0):
            width, top, left = buffer.tile[1], rows[name][0], columns[name][0]
        at = ((row - top) * width + part[0] - left) * pixel
        if at < 0 or at + (part[1] - part[0]) * pixel > buffer.size_bytes:
            raise ValueError(f"{name!r} has no memory for row {row}, columns {part}")
        content = (row * buffer.shape[2] + part[0]) * pixel
        return buffer, buffer.offset + at, content, (part[1] - part[0]) * pixel

    def turn(self, step: Step, use: RowUse, turn: int) -> None:
        op = self.ops[step.op]
        reads: dict[str, list[Span]] = {}
        inputs, held = op.inputs, None
        if step.channels:
            before = self.plan.expander_of(step)
            expanding = row_use(self.graph, self.ops[before.op]) if before is not None else None
            if before is None or expanding is None:
                raise ValueError(f"{step.op!r} computes its rows in turns of its reader")
            inputs, held = before.inputs[:1], self.whole(step.inputs[0])
            use = composed(expanding, use)
        for name, rows in zip(inputs, use.reads, strict=True):
            if rows is not None:
                parts = self.rows(name, *rows[turn], step.pieces)
                if use.is_aligned and held is None:
                    parts = iter([self.block(name, *rows[turn], step.pieces)])
                reads.setdefault(name, []).extend(parts)
        writes = []
        if held is not None:
            scratch = [self.whole(step.scratch)] if step.scratch else []
            output = [self.block(name, *use.block(turn), step.pieces) for name in step.outputs]
            for span in (*scratch, *output, *(span for spans in reads.values() for span in spans)):
                self.apart(step, held, span)
            self.write(held)
        if not use.accumulates:
            writes = [self.block(name, *use.block(turn), step.pieces) for name in step.outputs]
        elif turn == use.turns - 1:
            writes = [self.whole(name) for name in step.outputs]
        if step.sums:
            sums = self.whole(step.sums)
            if turn:
                self.require(sums, step.op)
            for span in (*writes, *(span for spans in reads.values() for span in spans)):
                self.apart(step, sums, span)
            self.write(sums)
        self.call(step, op, reads, writes, rows_alike=use.is_aligned and held is None)

    def call(
        self,
        step: Step,
        op: Op,
        reads: dict[str, list[Span]],
        writes: list[Span],
        rows_alike: bool = True,
    ) -> None:
        """One call of a kernel; its output may overlap its inputs as the kernel says, where both
        are the whole operator's or one row of it.
        """
        for spans in reads.values():
            for span in spans:
                self.require(span, step.op)
        scratch = self.whole(step.scratch) if step.scratch else None
        for number, output in enumerate(writes):
            for name, spans in reads.items():
                allowed = rows_alike and number == 0
                for span in spans:
                    if self.meet(output, span) and not (
                        self.twins(op, output, span)
                        or (allowed and self.may_share(step, op, name, span[1] - output[1]))
                    ):
                        raise ValueError(f"{step.op!r} writes {_text(output)} over {_text(span)}")
            for other in writes[:number]:
                self.apart(step, output, other)
        if scratch is not None:
            for span in (*writes, *(span for spans in reads.values() for span in spans)):
                self.apart(step, scratch, span)
            self.write(scratch)
        for output in writes:
            self.write(output)

    def may_share(self, step: Step, op: Op, name: str, difference: int) -> bool:
        return all(
            step.kernel.may_share(index, difference)
            for index, read in enumerate(op.inputs)
            if read == name
        )

    def twins(self, op: Op, output: Span, source: Span) -> bool:
        same = self.numbers[output[0].name] == self.numbers[source[0].name]
        return isinstance(op, Reshape) and same

    @staticmethod
    def meet(one: Span, other: Span) -> bool:
        return (
            one[0].bank == other[0].bank
            and one[1] < other[1] + other[3]
            and other[1] < one[1] + one[3]
        )

    def apart(self, step: Step, one: Span, other: Span) -> None:
        if self.meet(one, other):
            raise ValueError(f"in {step.op!r} {_text(one)} and {_text(other)} overlap")

    def content(self, span: Span) -> Array:
        number = self.numbers[span[0].name]
        found: Array = (number << 32) + np.arange(span[2], span[2] + span[3], dtype=np.int64)
        return found

    def write(self, span: Span) -> None:
        self.owners[span[0].bank][span[1] : span[1] + span[3]] = self.content(span)

    def require(self, span: Span, reader: str) -> None:
        held = self.owners[span[0].bank][span[1] : span[1] + span[3]]
        if not np.array_equal(held, self.content(span)):
            raise ValueError(f"{reader!r} finds {_text(span)} overwritten, or never written")


def _text(span: Span) -> str:
    buffer, at, _, count = span
    return f"{buffer.name!r} ({buffer.bank} {at} to {at + count})"
