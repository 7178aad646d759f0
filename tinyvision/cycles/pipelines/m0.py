"""Cortex-M0+: two stages, one instruction at a time (Cortex-M0+ TRM, DDI 0484, table 3-1)."""

from __future__ import annotations

from tinyvision.cycles.clock import Step
from tinyvision.cycles.microop import Cause, Kind
from tinyvision.cycles.pipelines.pipeline import Pipeline


class M0(Pipeline):
    """Twin of ``native/core_m0.c``."""

    def clear(self) -> None:
        pass

    def play(self, step: Step) -> None:
        op, core = step.op, self.core
        self.memory.fetch(op)
        cost, waited, refill = 1, 0, 0
        match op.kind:
            case Kind.LOAD:
                waited = self.memory.read(step.address)
                cost = 2
            case Kind.STORE:
                waited = self.memory.write(step.address)
                cost = 2
            case Kind.LOAD_MULTIPLE:
                waited = self.memory.read_all(step)
                cost = 1 + op.registers
            case Kind.STORE_MULTIPLE:
                waited = self.memory.write_all(step)
                cost = 1 + op.registers
            case Kind.POP_PC:
                waited = self.memory.read_all(step)
                refill = core.load_pc
                cost = 1 + op.registers
            case Kind.CALL:  # a 32-bit instruction: one cycle more than others
                refill = core.branch
                cost = 2
            case Kind.BRANCH | Kind.BRANCH_IF | Kind.BRANCH_REGISTER:
                refill = core.branch if step.taken else 0
            case Kind.BARRIER:
                cost = core.barrier
            case Kind.SYSTEM:
                cost = core.system
        self.clock.stall(Cause.BRANCH, refill)
        self.clock.stall(Cause.OTHER, cost - 1)
        self.clock.cycle += cost + refill + waited
