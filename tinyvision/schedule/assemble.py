"""From a schedule with streams to the plan: names, lifetimes in steps, offsets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tinyvision.ir.graph import Graph
from tinyvision.schedule.plan import BankUse, Buffer, Plan, Segment, Step
from tinyvision.schedule.stream_planner import Streamed
from tinyvision.target.board import Board


def stream_plan(
    graph: Graph,
    board: Board,
    streamed: Streamed,
    macs_original: int,
    whole_input_bytes: int | None,
) -> Plan:
    """The plan of ``streamed``, which schedules ``graph`` for ``board``."""
    names = _Names(graph)
    steps = _steps(graph, streamed, names)
    segments = _segments(streamed, names)
    buffers = _buffers(graph, board, streamed, steps, segments)
    used = {bank.name: 0 for bank in board.banks}
    for buffer in buffers.values():
        used[buffer.bank] = max(used[buffer.bank], buffer.end)
    return Plan(
        model=graph.name,
        board=board.name,
        schedule="stream",
        steps=steps,
        buffers=buffers,
        segments=segments,
        banks=tuple(BankUse(b.name, used[b.name], b.size_bytes) for b in board.banks),
        macs=macs_original,
        macs_executed=sum(step.macs for step in steps) + _macs_again(streamed),
        flash_bytes=sum(step.kernel.flash_bytes for step in steps),
        inputs=graph.inputs,
        outputs=graph.outputs,
        whole_input_bytes=whole_input_bytes,
    )


def _macs_again(streamed: Streamed) -> int:
    """Multiplications for rows that were computed before."""
    jobs = streamed.timeline.problem.jobs
    found = (sliced for sliced, _ in streamed.timeline.held.values())
    return round(sum(jobs[sliced.expander].macs * (sliced.factor - 1) for sliced in found))


class _Names:
    """Names of buffers that are no tensors'."""

    def __init__(self, graph: Graph) -> None:
        self._taken = set(graph.tensors)

    def new(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _steps(graph: Graph, streamed: Streamed, names: _Names) -> tuple[Step, ...]:
    timeline = streamed.timeline
    pieces = {p: part.grain.pieces for part in timeline.ranges for p in range(*part.span)}
    channels = {}
    for found, _ in timeline.held.values():
        channels.update(dict.fromkeys((found.expander, found.reader), found.channels))
    steps = []
    for position, (index, kernel) in enumerate(zip(streamed.order, streamed.kernels, strict=True)):
        op = graph.ops[index]
        scratch = names.new(f"{op.name}.scratch") if position in timeline.scratch else ""
        sums = names.new(f"{op.name}.sums") if position in timeline.sums else ""
        inputs = tuple(name for name in op.inputs if not graph.tensor(name).is_constant)
        macs = timeline.problem.jobs[index].macs
        step = Step(op.name, kernel, macs, scratch, op.kind, inputs, op.outputs, sums)
        rows, first = timeline.rows_of(position)
        step = replace(step, rows=rows, first_rows=first, pieces=pieces[position])
        steps.append(replace(step, channels=channels.get(index, 0)))
    return tuple(steps)


def _segments(streamed: Streamed, names: _Names) -> tuple[Segment, ...]:
    timeline = streamed.timeline
    peaks = timeline.range_peaks()
    return tuple(
        Segment(
            "stream" if part.stream else "layer",
            part.first,
            part.end - 1,
            peak,
            turns,
            names.new("stream.state") if part.first in timeline.states else "",
        )
        for part, turns, peak in zip(timeline.ranges, timeline.turns, peaks, strict=True)
    )


def _buffers(
    graph: Graph,
    board: Board,
    streamed: Streamed,
    steps: tuple[Step, ...],
    segments: tuple[Segment, ...],
) -> dict[str, Buffer]:
    """Every buffer in the order of first steps; what a stream uses is alive all through it."""
    begins, ends = {}, {}
    for segment in segments:
        for index in range(segment.first_step, segment.last_step + 1):
            begins[index] = segment.first_step if segment.is_stream else index
            ends[index] = segment.last_step if segment.is_stream else index
    arriving = bool(segments) and bool(segments[0].state)
    first = dict.fromkeys(graph.inputs, 0 if arriving else -1)
    last = dict(first)
    for index, step in enumerate(steps):
        for name in step.outputs:
            first[name], last[name] = begins[index], ends[index]
        for name in step.inputs:
            last[name] = max(last[name], ends[index])
    for name in graph.outputs:
        last[name] = len(steps)

    timeline, assignment = streamed.timeline, streamed.assignment
    buffers = []
    members = timeline.problem.members
    for item, name in ((item, name) for item, group in enumerate(members) for name in group):
        tensor, slots = graph.tensor(name), timeline.slots.get(item, 0)
        held = timeline.held.get(item)
        buffers.append(
            Buffer(
                name,
                board.banks[assignment.banks[item]].name,
                assignment.offsets[item],
                timeline.size_bytes(item),
                first[name],
                last[name],
                shape=tensor.shape,
                dtype=tensor.dtype,
                slots=slots,
                channels=held[0].channels if held else 0,
                phase=timeline.phases.get(item, 0),
                pieces=timeline.pieces.get(item, 1),
            )
        )
    for item, (name, index, size_bytes) in enumerate(
        _others(streamed, steps, segments), len(members)
    ):
        bank = board.banks[assignment.banks[item]].name
        offset = assignment.offsets[item]
        buffers.append(
            Buffer(name, bank, offset, size_bytes, begins[index], ends[index], is_scratch=True)
        )
    buffers.sort(key=lambda b: (b.first_step, b.is_scratch))
    return {buffer.name: buffer for buffer in buffers}


def _others(
    streamed: Streamed, steps: tuple[Step, ...], segments: tuple[Segment, ...]
) -> Iterator[tuple[str, int, int]]:
    """Scratch, sums and states in the order of the timeline's items: name, step, bytes."""
    timeline = streamed.timeline
    for position in sorted(timeline.scratch):
        yield steps[position].scratch, position, int(timeline.scratch[position].high[0])
    for position in sorted(timeline.sums):
        yield steps[position].sums, position, int(timeline.sums[position].high[0])
    for segment in segments:
        if segment.state:
            yield segment.state, segment.first_step, int(timeline.states[0].high[0])
