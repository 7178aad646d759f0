"""Cortex-M33: three stages, in order; some 16-bit instructions issue in pairs, results come a cycle
or two after issue.
"""

from __future__ import annotations

from tinyvision.cycles.clock import Step
from tinyvision.cycles.microop import Cause, Flag, Kind, MicroOp
from tinyvision.cycles.pipelines.m3 import _is_access
from tinyvision.cycles.pipelines.pipeline import REGISTERS, Pipeline, latest, registers

_LOADS_MANY = (Kind.LOAD_MULTIPLE, Kind.LOAD_DOUBLE, Kind.FP_LOAD_MULTIPLE)


class M33(Pipeline):
    """Twin of ``native/core_m33.c``."""

    def clear(self) -> None:
        self._ready = [0] * REGISTERS
        self._ready_special = [0] * REGISTERS
        self._from_load = 0
        self._fpu_free = 0
        self._was_short = self._set_flags = False

    def play(self, step: Step) -> None:
        op = step.op
        self.memory.fetch(op)
        self._wait_for_operands(op)
        cost, latency, special, loads = 1, 1, 1, False
        if not step.executed:
            pass
        elif Kind.BRANCH <= op.kind <= Kind.TABLE_BRANCH:
            cost = self._branch(step)
        elif _is_access(op.kind):
            loads = op.results != 0
            latency = 2 if loads else 1
            cost = self._transfer(step)
        else:
            cost, latency, special = self._arithmetic(op)
        last = self.clock.cycle + max(0, cost - 1)
        self._set_ready(op.results, last + latency, last + special)
        self._set_ready(op.base_result, last + 1, last + 1)
        self._from_load &= ~(op.results | op.base_result)
        self._from_load |= op.results if loads else 0
        self.clock.cycle += cost
        self._was_short = (
            op.size == 2 and not step.taken and cost > 0 and op.kind is not Kind.BRANCH_IF
        )
        self._set_flags = bool(op.flags & Flag.SETS_FLAGS)

    def _set_ready(self, mask: int, ready: int, special: int) -> None:
        for register in registers(mask):
            self._ready[register] = ready
            self._ready_special[register] = special

    def _wait_for_operands(self, op: MicroOp) -> None:
        time, last = latest(self._ready, op.sources | op.address_sources, self.clock.cycle)
        time, last = latest(self._ready_special, op.special_sources, time, last)
        if Kind.FP <= op.kind <= Kind.FP_STORE_MULTIPLE and self._fpu_free > time:
            time, last = self._fpu_free, -1
        from_load = last >= 0 and self._from_load >> last & 1
        self.clock.stall(Cause.LOAD_USE if from_load else Cause.DEPENDENCY, time - self.clock.cycle)
        self.clock.cycle = time

    def _branch(self, step: Step) -> int:
        """Cycles of a branch; one that is paired with the 16-bit instruction before it takes one
        less.
        """
        op, core = step.op, self.core
        paired = op.size == 2 and self._was_short
        paired_taken = paired and not self._set_flags
        cost, refill = 1, core.branch
        match op.kind:
            case Kind.BRANCH_IF | Kind.COMPARE_BRANCH:
                if not step.taken:
                    return 0 if paired else 1
                cost -= paired_taken
            case Kind.BRANCH:
                cost -= paired_taken
            case Kind.CALL:
                pass
            case Kind.BRANCH_REGISTER:
                refill = core.branch_register
            case _:
                refill = core.load_pc
                cost = {Kind.POP_PC: op.registers, Kind.LOAD_PC: 2}.get(op.kind, 3)
                self.clock.stall(Cause.OTHER, cost - 1)
                cost += self.memory.read_all(step)
        if step.next & 2 and step.next_wide and step.taken:
            refill += core.wide_target
        self.clock.stall(Cause.BRANCH, refill)
        return cost + refill

    def _transfer(self, step: Step) -> int:
        op = step.op
        cost = op.registers
        if op.kind in (Kind.LOAD, Kind.FP_LOAD):
            cost = 2 if op.flags & Flag.DOUBLE else 1
            waited = self.memory.read(step.address)
            if op.kind is Kind.LOAD and step.address & (op.width - 1):
                cost += self.core.unaligned_access
        elif op.kind in (Kind.STORE, Kind.FP_STORE):
            cost = 2 if op.flags & Flag.DOUBLE else 1
            waited = self.memory.write(step.address)
        elif op.kind in _LOADS_MANY:
            waited = self.memory.read_all(step)
        else:
            waited = self.memory.write_all(step)
        self.clock.stall(Cause.OTHER, cost - 1)
        return cost + waited

    def _arithmetic(self, op: MicroOp) -> tuple[int, int, int]:
        """Cycles that an instruction occupies the pipeline; latency of its result, and of the same
        where an accumulator or the like takes it.
        """
        cost, latency, special = 1, 1, 1
        match op.kind:
            case Kind.ALU | Kind.SHIFT | Kind.SYSTEM:
                if op.flags & (Flag.INLINE_SHIFT | Flag.SHIFTED_IMMEDIATE):
                    latency = 2
                    if op.flags & Flag.SETS_FLAGS and op.flags & Flag.SHIFTED_IMMEDIATE:
                        cost = 2
            case Kind.BIT:
                latency, special = 2, 1 if op.flags & Flag.EXTEND_ADD else 2
            case Kind.MULTIPLY:
                latency, cost = 2, 2 if op.flags & Flag.SETS_FLAGS else 1
            case Kind.MAC | Kind.MULTIPLY_LONG | Kind.FP:
                latency = 2
            case Kind.NOP:
                cost = 0 if op.size == 2 and self._was_short else 1
            case Kind.IT:
                cost = 0
            case Kind.DIVIDE:
                cost = self.core.divide
            case Kind.BARRIER:
                cost = self.core.barrier
            case Kind.FP_FMA | Kind.FP_MLA:
                latency, special = 4, 3
                self._fpu_free = self.clock.cycle + 3
            case Kind.FP_DIVIDE:
                cost = self.core.fp_divide
            case Kind.FP_MOVE:
                latency, cost = 2, 2 if op.registers > 1 else 1
        if cost > 1:
            self.clock.stall(Cause.OTHER, cost - 1)
        return cost, latency, special
