"""Runs a plan in numpy: every value goes through the bytes the plan gives it, and bytes that hold
nothing hold garbage.

One operator at a time: an output is written when all of it is computed. What a kernel that writes
over its input may not do in between is the business of ``check.check_plan``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.reference import evaluate
from tinyvision.ir.types import Array
from tinyvision.schedule.plan import Buffer, Plan


def execute(
    graph: Graph, plan: Plan, inputs: Mapping[str, Array], seed: int = 0
) -> dict[str, Array]:
    """The outputs of ``graph`` by name for ``inputs`` by name, both in their tensors' own types.

    ``seed`` draws the garbage.
    """
    memory = _Memory(plan, seed)
    for name in graph.inputs:
        memory.write(plan.buffers[name], inputs[name])
    ops = {op.name: op for op in graph.ops}
    for index, step in enumerate(plan.steps):
        memory.poison(index - 1)
        op = ops[step.op]
        arrays = [_constant(graph, name) for name in op.inputs]
        values = [
            memory.read(plan.buffers[name]) if array is None else array
            for name, array in zip(op.inputs, arrays, strict=True)
        ]
        results = evaluate(graph, op, values)
        if step.scratch:
            memory.fill(plan.buffers[step.scratch])
        for name, result in zip(op.outputs, results, strict=True):
            memory.write(plan.buffers[name], result)
    memory.poison(len(plan.steps))
    return {name: memory.read(plan.buffers[name]) for name in graph.outputs}


def _constant(graph: Graph, name: str) -> Array | None:
    return graph.tensor(name).data


class _Memory:
    """The banks, as many bytes as the plan claims."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._random = np.random.default_rng(seed)
        self._banks = {bank.name: self._garbage(bank.used_bytes) for bank in plan.banks}

    def _garbage(self, count: int) -> Array:
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

    def fill(self, buffer: Buffer) -> None:
        """Writes garbage over ``buffer``."""
        self._bytes(buffer)[:] = self._garbage(buffer.size_bytes)

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
            bank[~kept] = self._garbage(int(np.count_nonzero(~kept)))
