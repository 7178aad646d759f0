"""A plan without a scheduler: every buffer alone in a bank of its own, nothing shared.

A sanitizer then sees each access outside a buffer, reads included.
"""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.choose import candidates
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.plan import BankUse, Buffer, Plan, Segment, Step
from tinyvision.target.core import Core

Choice = Callable[[Op, tuple[Kernel, ...]], Kernel]


def fastest(op: Op, kernels: tuple[Kernel, ...]) -> Kernel:
    return kernels[0]


def last(op: Op, kernels: tuple[Kernel, ...]) -> Kernel:
    """The slowest candidate: the portable one where there are several."""
    return kernels[-1]


def simple_plan(graph: Graph, core: Core, choice: Choice = fastest) -> Plan:
    """Every tensor and scratch buffer disjoint, one bank each; ``choice`` picks the kernels."""
    steps: list[Step] = []
    buffers: dict[str, Buffer] = {}
    end = len(graph.ops)

    def place(name: str, size_bytes: int, first_step: int, last_step: int, scratch: bool) -> None:
        buffers[name] = Buffer(
            name, f"bank{len(buffers)}", 0, size_bytes, first_step, last_step, scratch
        )

    for name in graph.inputs:
        place(name, graph.tensor(name).size_bytes, -1, end, False)
    for index, op in enumerate(graph.ops):
        kernel = choice(op, candidates(graph, op, core))
        for name in op.outputs:
            place(name, graph.tensor(name).size_bytes, index, end, False)
        scratch = f"scratch {index}" if kernel.scratch_bytes else ""
        if scratch:
            place(scratch, kernel.scratch_bytes, index, index, True)
        steps.append(Step(op.name, kernel, 0, scratch))
    banks = tuple(BankUse(b.bank, b.size_bytes, b.size_bytes) for b in buffers.values())
    sram = sum(bank.used_bytes for bank in banks)
    return Plan(
        model=graph.name,
        board="test",
        schedule="layer",
        steps=tuple(steps),
        buffers=buffers,
        segments=(Segment("layer", 0, len(steps) - 1, sram),),
        banks=banks,
        macs=0,
        macs_executed=0,
        flash_bytes=sum(step.kernel.flash_bytes for step in steps),
    )
