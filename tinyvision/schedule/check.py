"""The rules every plan obeys, as code: run after planning, and by whoever edits plans."""

from __future__ import annotations

from collections.abc import Iterable

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Reshape
from tinyvision.schedule.plan import ALIGNMENT, Buffer, Plan


def check_plan(graph: Graph, plan: Plan) -> None:
    """Raises ValueError naming the rule and the buffers where ``plan`` does not compute
    ``graph``, or where two values are kept in the same bytes at the same time.

    Bytes are shared only between a Reshape's input and output at the same place, and between an
    operator's first output and an input that nobody reads afterwards, where its kernel allows that
    distance.
    """
    _check_steps(graph, plan)
    _check_buffers(graph, plan)
    _check_banks(plan)
    twins = _twins(graph, plan)
    for one, other in _overlapping(plan.buffers.values()):
        if twins[one.name] == twins[other.name] and one.offset == other.offset:
            continue
        if not _may_share(graph, plan, one, other) and not _may_share(graph, plan, other, one):
            raise ValueError(f"{_text(one)} and {_text(other)} overlap")


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
    first = dict.fromkeys(graph.inputs, -1)
    last = dict(first)
    scratch = {}
    for index, step in enumerate(plan.steps):
        op = next(op for op in graph.ops if op.name == step.op)
        first.update(dict.fromkeys(op.outputs, index))
        last.update(dict.fromkeys(op.outputs, index))
        last.update({n: index for n in op.inputs if not graph.tensor(n).is_constant})
        if step.kernel.scratch_bytes:
            scratch[step.scratch] = (step.kernel.scratch_bytes, index)
    last.update(dict.fromkeys(graph.outputs, len(plan.steps)))
    if set(plan.buffers) != {*first, *scratch}:
        raise ValueError("the buffers are not those of the tensors and the steps' scratch")
    for name, buffer in plan.buffers.items():
        if buffer.is_scratch:
            size, index = scratch[name]
            needed = (size, index, index)
        else:
            needed = (graph.tensor(name).size_bytes, first[name], last[name])
        if (buffer.size_bytes, buffer.first_step, buffer.last_step) != needed:
            raise ValueError(f"{_text(buffer)} should be {needed} (bytes, first and last step)")


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
