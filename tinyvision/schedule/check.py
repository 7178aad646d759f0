"""The rules every plan obeys, as code: run after planning, and by whoever edits plans."""

from __future__ import annotations

from collections.abc import Iterable

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Reshape
from tinyvision.kernels.rows import row_use
from tinyvision.schedule.patch_jobs import tile_bytes
from tinyvision.schedule.plan import ALIGNMENT, STATE_BYTES, Buffer, Plan, Segment, Step
from tinyvision.schedule.problem import Patch
from tinyvision.schedule.replay import replay, row_bytes
from tinyvision.schedule.slicing import most_rows, slice_scratch
from tinyvision.schedule.tiling import tiling_of


def check_plan(graph: Graph, plan: Plan) -> None:
    """Raises ValueError naming the rule and the buffers where ``plan`` does not compute
    ``graph``, or where two values are kept in the same bytes at the same time.

    Bytes are shared only between a Reshape's input and output at the same place, and between an
    operator's first output and an input that nobody reads afterwards, where its kernel allows that
    distance. Inside of streams this holds row by row.
    """
    _check_steps(graph, plan)
    _check_buffers(graph, plan)
    _check_banks(plan)
    if any(segment.is_stream for segment in plan.segments):
        replay(graph, plan)
        return
    twins = _twins(graph, plan)
    for one, other in _overlapping(plan.buffers.values()):
        if twins[one.name] == twins[other.name] and one.offset == other.offset:
            continue
        if _around_tiles(plan, one, other) or _around_tiles(plan, other, one):
            continue  # replay goes through the tiles
        if not _may_share(graph, plan, one, other) and not _may_share(graph, plan, other, one):
            raise ValueError(f"{_text(one)} and {_text(other)} overlap")
    replay(graph, plan)


def _check_steps(graph: Graph, plan: Plan) -> None:
    by_name = {op.name: op for op in graph.ops}
    if sorted(step.op for step in plan.steps) != sorted(by_name):
        raise ValueError("the steps are not the graph's operators, each once")
    known = {*graph.inputs, *(n for n, t in graph.tensors.items() if t.is_constant)}
    for step in plan.steps:
        op = by_name[step.op]
        missing = [name for name in op.inputs if name not in known]
        if missing:
            raise ValueError(f"step {step.op!r} reads {missing[0]!r} before it is computed")
        known.update(op.outputs)
    reached = -1
    for segment in plan.segments:
        if segment.first_step != reached + 1 or segment.last_step < segment.first_step:
            raise ValueError("the segments do not follow each other")
        reached = segment.last_step
    if reached != len(plan.steps) - 1:
        raise ValueError("the segments do not cover the steps")


def _check_buffers(graph: Graph, plan: Plan) -> None:
    """Each tensor has memory of its size from the step that defines it to the last that reads
    it.
    """
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for first_step, last_step in plan.units:
        steps = range(first_step, last_step + 1)
        together = not plan.segment_of(first_step).is_patch
        begins.update((step, first_step if together else step) for step in steps)
        ends.update((step, last_step if together else step) for step in steps)
    first = dict.fromkeys(graph.inputs, 0 if plan.rows_arrive else -1)
    last = dict(first)
    scratch: dict[str, tuple[int, int, int]] = {}
    by_name = {op.name: op for op in graph.ops}
    for index, step in enumerate(plan.steps):
        op, span = by_name[step.op], (begins[index], ends[index])
        first.update(dict.fromkeys(op.outputs, span[0]))
        last.update(dict.fromkeys(op.outputs, span[1]))
        last.update({n: span[1] for n in op.inputs if not graph.tensor(n).is_constant})
        if step.channels:
            _check_slices(graph, plan, step, scratch, span)
        elif step.kernel.scratch_bytes:
            scratch[step.scratch] = (step.kernel.scratch_bytes, *span)
        if step.sums:
            use = row_use(graph, op)
            scratch[step.sums] = (use.accumulator_bytes if use else 0, *span)
    for segment in plan.segments:
        if segment.state:
            span = segment.first_step, segment.last_step
            scratch[segment.state] = (STATE_BYTES, *span)
    last.update(dict.fromkeys(graph.outputs, len(plan.steps)))
    tiles = {}
    for segment in plan.segments:
        if segment.is_patch:
            tiles.update(_tiles(graph, plan, segment))
            patch = Patch(segment.first_step, segment.last_step + 1, {})
            for name in first:
                first[name], last[name] = patch.lifetime(first[name], last[name])
    if set(plan.buffers) != {*first, *scratch}:
        raise ValueError("the buffers are not those of the tensors and the steps' scratch")
    for name, buffer in plan.buffers.items():
        if buffer.is_scratch:
            needed = scratch[name]
        else:
            size = graph.tensor(name).size_bytes
            if buffer.slots:
                _check_ring(graph, plan, buffer)
                size = buffer.slots * row_bytes(buffer)[1]
            if buffer.tile != tiles.get(name, (0, 0)):
                raise ValueError(f"{_text(buffer)} has memory for {buffer.tile} rows and columns")
            if name in tiles:
                size = tile_bytes(graph.tensor(name), tiles[name])
            needed = (size, first[name], last[name])
        if (buffer.size_bytes, buffer.first_step, buffer.last_step) != needed:
            raise ValueError(f"{_text(buffer)} should be {needed} (bytes, first and last step)")


def _check_slices(
    graph: Graph,
    plan: Plan,
    step: Step,
    scratch: dict[str, tuple[int, int, int]],
    span: tuple[int, int],
) -> None:
    """A step that computes its input some channels at a time has memory for them, and for a part of
    its output and what either kernel needs.
    """
    before = plan.expander_of(step)
    if before is None:
        return
    held, y = plan.buffers[step.inputs[0]], graph.tensor(step.outputs[0])
    if not (held.channels == before.channels == step.channels) or before.scratch:
        raise ValueError(f"{step.op!r} and {before.op!r} do not take the same channels")
    by_name = {op.name: op for op in graph.ops}
    use = row_use(graph, by_name[step.op])
    if use is None or held.slots < most_rows(use):
        raise ValueError(f"{_text(held)} has no room for the rows of a turn")
    part_bytes = step.channels * y.shape[2]
    scratch[step.scratch] = (slice_scratch(part_bytes, (before.kernel, step.kernel)), *span)


def _tiles(graph: Graph, plan: Plan, segment: Segment) -> dict[str, tuple[int, int]]:
    """The rows and columns of a patch segment's inner tensors that there must be memory for."""
    tiles = tiling_of(graph, plan, segment)
    return {name: tiles.held(name) for name in tiles.inner}


def _check_ring(graph: Graph, plan: Plan, buffer: Buffer) -> None:
    """Only what one stream alone reads and writes may be kept in part."""
    outside = buffer.name in graph.outputs
    outside |= buffer.name in graph.inputs and not plan.rows_arrive
    if outside or not plan.segment_of(buffer.first_step).is_stream:
        raise ValueError(f"{_text(buffer)} keeps some rows of a tensor that is needed whole")


def _check_banks(plan: Plan) -> None:
    banks = {bank.name: bank for bank in plan.banks}
    used = dict.fromkeys(banks, 0)
    for buffer in plan.buffers.values():
        if buffer.bank not in banks:
            raise ValueError(f"{_text(buffer)} lies in no bank of the board")
        if buffer.offset < 0 or buffer.offset % ALIGNMENT:
            raise ValueError(f"{_text(buffer)} is not aligned to {ALIGNMENT} bytes")
        if buffer.end > banks[buffer.bank].size_bytes:
            raise ValueError(f"{_text(buffer)} lies outside its bank")
        used[buffer.bank] = max(used[buffer.bank], buffer.end)
    for bank in plan.banks:
        if bank.used_bytes != used[bank.name]:
            raise ValueError(f"bank {bank.name} uses {used[bank.name]} bytes, stated otherwise")


def _twins(graph: Graph, plan: Plan) -> dict[str, str]:
    """Every buffer's first ancestor through Reshapes: equal for buffers with the same bytes in
    them.
    """
    origin = {name: name for name in plan.buffers}
    for op in graph.ops:
        if isinstance(op, Reshape) and op.inputs[0] in origin:
            origin[op.outputs[0]] = origin[op.inputs[0]]
    return origin


def _overlapping(buffers: Iterable[Buffer]) -> Iterable[tuple[Buffer, Buffer]]:
    """Pairs that hold something at the same step and have bytes in common."""
    alive: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: b.first_step):
        alive = [b for b in alive if b.last_step >= buffer.first_step]
        for other in alive:
            if (
                other.bank == buffer.bank
                and other.offset < buffer.end
                and buffer.offset < other.end
            ):
                yield other, buffer
        alive.append(buffer)


def _around_tiles(plan: Plan, source: Buffer, output: Buffer) -> bool:
    """Whether a patch writes ``output`` as a whole and ``source`` as a whole ends with it."""
    whole = source.tile == output.tile == (0, 0) and not source.is_scratch | output.is_scratch
    return whole and any(
        s.is_patch
        and source.first_step < s.first_step == output.first_step
        and source.last_step == s.last_step
        for s in plan.segments
    )


def _may_share(graph: Graph, plan: Plan, source: Buffer, output: Buffer) -> bool:
    """``output`` is written by a step that may write it over its dying input ``source``."""
    if not 0 <= output.first_step < len(plan.steps) or source.last_step != output.first_step:
        return False
    step = plan.steps[output.first_step]
    op = next(op for op in graph.ops if op.name == step.op)
    if op.outputs[0] != output.name or source.name not in op.inputs:
        return False
    difference = source.offset - output.offset
    return all(
        step.kernel.may_share(index, difference)
        for index, name in enumerate(op.inputs)
        if name == source.name
    )


def _text(buffer: Buffer) -> str:
    return (
        f"{buffer.name!r} ({buffer.bank} {buffer.offset} to {buffer.end}, "
        f"steps {buffer.first_step} to {buffer.last_step})"
    )
