"""Cortex-M3 and M4: three stages, single issue. A load is overlapped by the load or store after it
(Cortex-M3 TRM, DDI 0337, 3.3.2; Cortex-M4 TRM, DDI 0439, 3.3.2).
"""

from __future__ import annotations

from tinyvision.cycles.clock import Step
from tinyvision.cycles.microop import Cause, Flag, Kind, MicroOp
from tinyvision.cycles.pipelines.pipeline import Pipeline

_LOADS = (Kind.LOAD, Kind.FP_LOAD)
_STORES = (Kind.STORE, Kind.FP_STORE)
_WAIT_FOR_STORES = (*_LOADS, Kind.LOAD_MULTIPLE, Kind.LOAD_DOUBLE)
_LOADS_MANY = (Kind.LOAD_MULTIPLE, Kind.LOAD_DOUBLE, Kind.FP_LOAD_MULTIPLE)


def _is_access(kind: Kind) -> bool:
    return Kind.LOAD <= kind <= Kind.STORE_DOUBLE or Kind.FP_LOAD <= kind <= Kind.FP_STORE_MULTIPLE


class M3(Pipeline):
    """Twin of ``native/core_m3.c``."""

    def clear(self) -> None:
        self._was_load = self._was_store = self._was_fp = False
        self._results = 0
        self._memory_before = -1
        self._unaligned_wide = 0

    def play(self, step: Step) -> None:
        op = step.op
        self.memory.fetch(op)
        self._wait_for_previous(op)
        was_load = self._was_load
        self._was_load = self._was_store = self._was_fp = False
        if not step.executed:
            cost = 1
        elif Kind.BRANCH <= op.kind <= Kind.TABLE_BRANCH:
            cost = self._branch(step)
        elif _is_access(op.kind):
            cost = self._transfer(step, was_load)
        else:
            cost = self._arithmetic(op)
        self._results = op.results
        self.clock.cycle += cost

    def _lose(self, cause: Cause, cycles: int) -> None:
        self.clock.cycle += cycles
        self.clock.stall(cause, cycles)

    def _wait_for_previous(self, op: MicroOp) -> None:
        """Loses the cycles between the previous instruction and this one."""
        if self._was_load:
            overlaps = op.kind in _LOADS + _STORES and not self._results & op.address_sources
            if not overlaps and op.kind is not Kind.NOP:
                self._lose(Cause.LOAD_USE, self.core.load_to_use)
        if self._was_store and op.kind in _WAIT_FOR_STORES:
            self._lose(Cause.DEPENDENCY, self.core.store_to_load)
        if self._was_fp and self._results & op.sources:
            self._lose(Cause.DEPENDENCY, self.core.fp_result)
        if op.size == 4 and op.address & 2:
            self._unaligned_wide += 1
            if self._unaligned_wide == 3:
                self._lose(Cause.OTHER, self.core.unaligned_run)
        else:
            self._unaligned_wide = 0

    def _load(self, step: Step, was_load: bool) -> int:
        op = step.op
        memory = self.memory.at(step.address)
        cost = 1 + self.memory.read(step.address)
        other = 1 if op.flags & Flag.DOUBLE else 0
        if op.kind is Kind.LOAD and step.address & (op.width - 1):
            other += self.core.unaligned_access
        if was_load and memory != self._memory_before:
            other += self.core.other_memory
        self._memory_before = memory
        self.clock.stall(Cause.OTHER, other)
        return cost + other

    def _transfer(self, step: Step, was_load: bool) -> int:
        op = step.op
        if op.kind in _LOADS:
            self._was_load = True
            return self._load(step, was_load)
        if op.kind in _STORES:
            self._was_store = True
            more = 1 if op.flags & Flag.DOUBLE else 0
            self.clock.stall(Cause.OTHER, more)
            return 1 + self.memory.write(step.address) + more
        self.clock.stall(Cause.OTHER, op.registers)
        many = self.memory.read_all if op.kind in _LOADS_MANY else self.memory.write_all
        return 1 + op.registers + many(step)

    def _branch(self, step: Step) -> int:
        op, core = step.op, self.core
        if not step.taken:
            return 1
        refill, cost = core.branch, 1
        if op.kind is Kind.BRANCH_REGISTER:
            refill = core.branch_register
        elif op.kind >= Kind.POP_PC:
            refill = core.load_pc
            others = {Kind.POP_PC: op.registers, Kind.LOAD_PC: 1}.get(op.kind, 2)
            self.clock.stall(Cause.OTHER, others)
            cost += others + self.memory.read_all(step)
        if step.next & 2 and step.next_wide:
            refill += core.wide_target
        self._unaligned_wide = 0
        self.clock.stall(Cause.BRANCH, refill)
        return cost + refill

    def _arithmetic(self, op: MicroOp) -> int:
        core = self.core
        self._was_fp = Kind.FP <= op.kind <= Kind.FP_DIVIDE
        match op.kind:
            case Kind.MAC:
                return self.longer(core.mac)
            case Kind.MULTIPLY_LONG:
                accumulates = op.flags & Flag.LONG_ACCUMULATE
                return self.longer(core.mac_long if accumulates else core.multiply_long)
            case Kind.DIVIDE:
                return self.longer(core.divide)
            case Kind.BARRIER:
                return self.longer(core.barrier)
            case Kind.SYSTEM:
                return self.longer(core.system)
            case Kind.FP_FMA | Kind.FP_MLA:
                return self.longer(core.fp_mac)
            case Kind.FP_DIVIDE:
                return self.longer(core.fp_divide)
            case Kind.FP_MOVE:
                return self.longer(2 if op.registers > 1 else 1)
        return 1
