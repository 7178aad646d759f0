"""Cortex-M55: in order, single issue; vectors of 128 bits in two beats of 64 bits each, so that a
vector instruction takes its unit for two cycles while the next one, for another unit, may begin a
cycle after it. From Arm's public descriptions of the core; never compared with hardware.
"""

from __future__ import annotations

from tinyvision.cycles.clock import Step
from tinyvision.cycles.microop import Cause, Kind, MicroOp
from tinyvision.cycles.pipelines.pipeline import REGISTERS, Pipeline, latest, registers

_BEATS = 2
_LOAD_STORE, _INTEGER, _FLOAT = range(3)


def _is_vector(kind: Kind) -> bool:
    return Kind.VECTOR <= kind <= Kind.VECTOR_GATHER


def _unit(kind: Kind) -> int:
    if kind is Kind.VECTOR_FLOAT:
        return _FLOAT
    return _INTEGER if kind in (Kind.VECTOR, Kind.VECTOR_MULTIPLY) else _LOAD_STORE


class M55(Pipeline):
    """Twin of ``native/core_m55.c``."""

    def clear(self) -> None:
        self._ready = [0] * REGISTERS
        self._from_load = 0
        self._vector_free = [0, 0, 0]

    def play(self, step: Step) -> None:
        op = step.op
        self.memory.fetch(op)
        self._wait(op)
        cost, latency = 1, 1
        if not step.executed:
            pass
        elif _is_vector(op.kind):
            cost, latency = self._vector(step)
        elif Kind.BRANCH <= op.kind <= Kind.LOOP_END:
            cost = self._branch(step)
        else:
            cost, latency = self._scalar(step)
        for register in registers(op.results):
            self._ready[register] = self.clock.cycle + cost - 1 + latency
        for register in registers(op.base_result):
            self._ready[register] = self.clock.cycle + cost
        self._from_load &= ~(op.results | op.base_result)
        if op.kind in (Kind.LOAD, Kind.FP_LOAD, Kind.VECTOR_LOAD):
            self._from_load |= op.results
        self.clock.cycle += cost

    def _wait(self, op: MicroOp) -> None:
        needed = op.sources | op.address_sources | op.special_sources
        time, _ = latest(self._ready, needed, self.clock.cycle)
        from_load = self._from_load & needed
        self.clock.stall(Cause.LOAD_USE if from_load else Cause.DEPENDENCY, time - self.clock.cycle)
        self.clock.cycle = time
        # Its unit may still be busy with another vector's second beat; a scalar instruction does
        # not overlap with vectors at all.
        free = self._vector_free
        time = free[_unit(op.kind)] if _is_vector(op.kind) else max(free)
        if time > self.clock.cycle:
            self.clock.stall(Cause.OTHER, time - self.clock.cycle)
            self.clock.cycle = time

    def _vector(self, step: Step) -> tuple[int, int]:
        op = step.op
        cost, waited, latency = 1, 0, _BEATS
        match op.kind:
            case Kind.VECTOR_LOAD:
                waited = self.memory.read_all(step)
            case Kind.VECTOR_STORE:
                waited = self.memory.write_all(step)
                latency = 1
            case Kind.VECTOR_GATHER:  # element by element, two a cycle
                cost = (op.registers + 1) // 2
                latency = cost + _BEATS
            case Kind.VECTOR_FLOAT:
                latency = _BEATS + 1
        self.clock.stall(Cause.OTHER, cost - 1)
        self._vector_free[_unit(op.kind)] = self.clock.cycle + cost + waited + _BEATS - 1
        return cost + waited, latency

    def _branch(self, step: Step) -> int:
        op, cost = step.op, 1
        if op.kind in (Kind.LOOP_START, Kind.LOOP_END):
            return cost  # the loop cache knows where it goes on
        if Kind.POP_PC <= op.kind <= Kind.TABLE_BRANCH:
            more = op.registers - 1 if op.kind is Kind.POP_PC else 1
            self.clock.stall(Cause.OTHER, more)
            cost += more + self.memory.read_all(step)
        if step.taken:
            self.clock.stall(Cause.BRANCH, self.core.branch)
            cost += self.core.branch
        return cost

    def _scalar(self, step: Step) -> tuple[int, int]:
        op = step.op
        match op.kind:
            case Kind.LOAD | Kind.FP_LOAD:
                return 1 + self.memory.read(step.address), 2
            case Kind.STORE | Kind.FP_STORE:
                return 1 + self.memory.write(step.address), 1
            case Kind.LOAD_MULTIPLE | Kind.LOAD_DOUBLE | Kind.FP_LOAD_MULTIPLE:
                return self.longer((op.registers + 1) // 2) + self.memory.read_all(step), 2
            case Kind.STORE_MULTIPLE | Kind.STORE_DOUBLE | Kind.FP_STORE_MULTIPLE:
                return self.longer((op.registers + 1) // 2) + self.memory.write_all(step), 1
            case Kind.MULTIPLY | Kind.MAC | Kind.MULTIPLY_LONG | Kind.FP:
                return 1, 2
            case Kind.FP_FMA | Kind.FP_MLA:
                return 1, 4
            case Kind.DIVIDE:
                return self.longer(self.core.divide), 1
            case Kind.FP_DIVIDE:
                return self.longer(self.core.fp_divide), 1
            case Kind.BARRIER:
                return self.longer(self.core.barrier), 1
        return 1, 1
