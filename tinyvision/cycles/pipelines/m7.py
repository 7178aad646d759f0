"""Cortex-M7: in order, up to two instructions a cycle; an early and a late ALU, a multiplier behind
them, branch prediction, two banks of data memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from tinyvision.cycles.clock import Step
from tinyvision.cycles.microop import FPU_BIT, Cause, Flag, Kind, MicroOp
from tinyvision.cycles.pipelines.pipeline import REGISTERS, Pipeline, latest, registers

_NO_BANK = 2
_PREDICTORS = 4096


class _Class(IntFlag):
    """What an instruction is when it looks for a partner."""

    NONE = 0
    MULTIPLIES = 1
    STORES = 2
    LOADS = 4
    BITS = 8
    """Bit fields and SIMD: first of a pair only."""
    SHIFTS = 16
    """Uses the shifter of the early ALU."""
    BRANCHES = 32
    FLOATS = 64
    ALONE = 128
    FP_MOVES = 256
    FP_MULTIPLIES = 512


_MULTIPLICATIONS = (Kind.MULTIPLY, Kind.MAC, Kind.MULTIPLY_LONG)
_FP_MACS = (Kind.FP_FMA, Kind.FP_MLA)
_BRANCHES = (
    Kind.BRANCH,
    Kind.BRANCH_IF,
    Kind.CALL,
    Kind.BRANCH_REGISTER,
    Kind.COMPARE_BRANCH,
)
_STORES = (
    Kind.STORE,
    Kind.STORE_DOUBLE,
    Kind.STORE_MULTIPLE,
    Kind.FP_STORE,
    Kind.FP_STORE_MULTIPLE,
)
_SINGLE_LOADS = (Kind.LOAD, Kind.FP_LOAD)
_LOADS = (*_SINGLE_LOADS, Kind.LOAD_DOUBLE, Kind.LOAD_MULTIPLE, Kind.FP_LOAD_MULTIPLE)
_ALONE = (
    Kind.LOAD_MULTIPLE,
    Kind.STORE_MULTIPLE,
    Kind.LOAD_DOUBLE,
    Kind.STORE_DOUBLE,
    Kind.FP_LOAD_MULTIPLE,
    Kind.FP_STORE_MULTIPLE,
    Kind.POP_PC,
    Kind.LOAD_PC,
    Kind.TABLE_BRANCH,
    Kind.DIVIDE,
    Kind.BARRIER,
)


def _class_of(op: MicroOp) -> _Class:
    twice = bool(op.flags & Flag.DOUBLE)
    if op.kind in _MULTIPLICATIONS:
        return _Class.MULTIPLIES
    if op.kind is Kind.STORE:
        return _Class.STORES
    if op.kind is Kind.LOAD:
        return _Class.LOADS
    if op.kind is Kind.BIT:
        shifts = op.flags & (Flag.INLINE_SHIFT | Flag.EARLY_OPERAND)
        return _Class.BITS | (_Class.SHIFTS if shifts else 0)
    if op.kind in (Kind.ALU, Kind.SYSTEM):
        shifts = op.flags & (Flag.INLINE_SHIFT | Flag.SHIFTED_IMMEDIATE)
        return _Class.SHIFTS if shifts else _Class.NONE
    if op.kind in _BRANCHES:
        return _Class.BRANCHES
    if op.kind in (Kind.FP, Kind.FP_DIVIDE):
        return _Class.FLOATS | (_Class.ALONE if twice else 0)
    if op.kind in _FP_MACS:
        return _Class.FLOATS | _Class.FP_MULTIPLIES | (_Class.ALONE if twice else 0)
    if op.kind is Kind.FP_MOVE:
        return _Class.ALONE if op.registers > 1 else _Class.FP_MOVES
    if op.kind is Kind.FP_LOAD:
        return _Class.LOADS | (_Class.ALONE if twice else _Class.FP_MOVES)
    if op.kind is Kind.FP_STORE:
        return _Class.STORES | (_Class.ALONE if twice else _Class.FP_MOVES)
    return _Class.ALONE if op.kind in _ALONE else _Class.NONE


@dataclass(frozen=True)
class _Latencies:
    """Cycles until a result can be used, by the place that needs it."""

    late: int
    early: int
    accumulate: int
    multiplicand: int
    store: int

    def after(self, cycles: int) -> _Latencies:
        return _Latencies(
            self.late + cycles,
            self.early + cycles,
            self.accumulate + cycles,
            self.multiplicand + cycles,
            self.store + cycles,
        )


_AT_ONCE = _Latencies(0, 1, 0, 0, 0)  # from the early ALU
_FROM_ALU = _Latencies(1, 2, 0, 1, 0)  # from the late ALU
_FROM_BITS = _Latencies(1, 2, 1, 1, 0)
_FROM_MULTIPLIER = _Latencies(2, 3, 1, 2, 1)
_FROM_LOAD = _Latencies(1, 2, 1, 2, 0)
_FROM_NARROW_LOAD = _Latencies(2, 3, 1, 2, 0)
_FROM_DIVIDER = _Latencies(1, 2, 1, 1, 0)
_FROM_FP = _Latencies(3, 3, 3, 3, 1)
_FROM_FP_FMA = _Latencies(5, 5, 3, 5, 3)
_FROM_FP_MLA = _Latencies(6, 6, 3, 6, 4)
_FROM_FP_LOAD = _Latencies(1, 2, 3, 1, 1)
_FROM_FP_MOVE = _Latencies(2, 3, 1, 2, 1)
_FROM_FP_DIVIDER = _Latencies(1, 1, 1, 1, 0)
_FROM_ADDRESS = _Latencies(1, 1, 1, 1, 0)


class M7(Pipeline):
    """Twin of ``native/core_m7.c``."""

    def clear(self) -> None:
        self._late = [0] * REGISTERS
        self._early = [0] * REGISTERS
        self._accumulate = [0] * REGISTERS
        self._multiplicand = [0] * REGISTERS
        self._store = [0] * REGISTERS
        self._from_load = 0
        self._flags_set = self._mac_end = 0
        self._direction = [2] * _PREDICTORS
        self._target = [0] * _PREDICTORS
        self._new_group()

    def play(self, step: Step) -> None:
        op = step.op
        group = _class_of(op)
        is_single_load = op.kind in _SINGLE_LOADS
        bank = step.address >> 2 & 1 if is_single_load and step.executed else _NO_BANK
        before = self.clock.cycle
        self.memory.fetch(op)
        if self.clock.cycle != before:
            self._new_group()
        self._issue(op, group, bank)
        branch = Kind.BRANCH <= op.kind <= Kind.TABLE_BRANCH
        time = self.clock.cycle
        extra = 0
        if not step.executed:
            self._set_ready(op.results, time, _FROM_ALU)
        elif not branch:
            latencies, extra = self._execute(step)
            self._set_ready(op.results, time, latencies)
            self._set_ready(op.base_result, time, _FROM_ADDRESS)
            self._from_load &= ~(op.results | op.base_result)
            self._from_load |= op.results if op.kind in _LOADS else 0
        if branch:
            self._set_ready(op.base_result, time, _FROM_ADDRESS)
            if self._branch(step):
                return
        if extra:  # the rest of the group waits as well
            self.clock.cycle = time + extra
            self._slot = 2 if group & _Class.ALONE else 1
            self._group, self._bank = group, bank
            return
        self._slot = 2 if group & _Class.ALONE else self._slot + 1
        if self._slot == 1 or not self._group:
            self._group, self._bank = group, bank
        else:
            self._group |= group

    def _new_group(self) -> None:
        self._slot = 0
        self._group = _Class.NONE
        self._bank = _NO_BANK

    def _set_ready(self, mask: int, time: int, latencies: _Latencies) -> None:
        for register in registers(mask):
            self._late[register] = time + latencies.late
            self._early[register] = time + latencies.early
            self._accumulate[register] = time + latencies.accumulate
            self._multiplicand[register] = time + latencies.multiplicand
            self._store[register] = time + latencies.store

    # ---- issue ---------------------------------------------------------------------------------

    def _operands_ready(self, op: MicroOp) -> tuple[int, int]:
        """The first cycle in which all operands are where they are needed, and the one that comes
        last (-1: none is waited for).
        """
        time = self.clock.cycle
        if op.kind in _MULTIPLICATIONS or op.kind in _FP_MACS:
            factors = self._multiplicand if op.kind in _MULTIPLICATIONS else self._late
            time, last = latest(factors, op.sources, time)
            return latest(self._accumulate, op.special_sources, time, last)
        if op.kind in _STORES:
            time, last = latest(self._store, op.sources, time)
            return latest(self._early, op.address_sources, time, last)
        time, last = latest(self._late, op.sources, time)
        return latest(self._early, op.address_sources | op.special_sources, time, last)

    def _fpu_ready(self, op: MicroOp, time: int) -> int:
        """An FPU that has begun a multiply-accumulate keeps others waiting for three cycles."""
        blocked = op.kind in (Kind.FP, Kind.FP_LOAD_MULTIPLE, Kind.FP_STORE_MULTIPLE) or (
            op.kind in (Kind.FP_LOAD, Kind.FP_STORE) and op.flags & Flag.DOUBLE
        )
        return max(time, self._mac_end) if blocked else time

    def _pairs(self, group: _Class, bank: int) -> bool:
        """Whether an instruction of class ``group``, on ``bank``, may join the present group."""
        first, both, either = self._group, self._group & group, self._group | group
        busy = _Class.MULTIPLIES | _Class.STORES
        return not (
            self._slot >= 2
            or either & _Class.ALONE
            or group & _Class.BITS
            or both & (_Class.SHIFTS | _Class.BRANCHES | _Class.FLOATS)
            or (group & busy and first & busy)
            or (both & _Class.FP_MOVES and not either & _Class.LOADS)
            or (first & _Class.FP_MULTIPLIES and group & _Class.FP_MOVES)
            or (group & _Class.FP_MULTIPLIES and first & _Class.FP_MOVES)
            or (group & _Class.FP_MOVES and self.clock.cycle < self._mac_end)
            or (both & _Class.LOADS and bank == self._bank)
        )

    def _issue(self, op: MicroOp, group: _Class, bank: int) -> None:
        """Waits for operands and for a place in a group."""
        cycle = self.clock.cycle
        time, last = self._operands_ready(op)
        time = self._fpu_ready(op, time)
        stalled = 0
        if not self._slot:
            stalled = time - cycle
            self.clock.cycle = time
        elif time > cycle or not self._pairs(group, bank):
            time = max(time, cycle + 1)
            stalled = time - cycle - 1
            self.clock.cycle = time
            self._new_group()
        from_load = last >= 0 and self._from_load >> last & 1
        self.clock.stall(Cause.LOAD_USE if from_load else Cause.DEPENDENCY, stalled)

    # ---- execution -----------------------------------------------------------------------------

    def _alu(self, op: MicroOp) -> _Latencies:
        cycle = self.clock.cycle
        if op.flags & Flag.SETS_FLAGS:
            self._flags_set = cycle
        may = op.flags & Flag.EARLY and (self._slot == 0 or op.kind is Kind.SHIFT)
        return _AT_ONCE if may and latest(self._early, op.sources, 0)[0] <= cycle else _FROM_ALU

    def _execute(self, step: Step) -> tuple[_Latencies, int]:
        """Runs anything but a branch. Returns its result's latencies, and the cycles for which it
        keeps the whole pipeline.
        """
        op, core, memory = step.op, self.core, self.memory
        pairs_more = (op.registers + 1) // 2 - 1
        match op.kind:
            case Kind.BIT:
                return _FROM_BITS, 0
            case Kind.MULTIPLY | Kind.MAC | Kind.MULTIPLY_LONG:
                if op.flags & Flag.SETS_FLAGS:
                    self._flags_set = self.clock.cycle + 1
                return _FROM_MULTIPLIER, 0
            case Kind.LOAD | Kind.FP_LOAD:
                return self._load(step)
            case Kind.STORE | Kind.FP_STORE:
                return _FROM_ALU, memory.write(step.address)
            case Kind.LOAD_DOUBLE:
                return _FROM_LOAD, memory.read_all(step)
            case Kind.LOAD_MULTIPLE | Kind.FP_LOAD_MULTIPLE:
                self.clock.stall(Cause.OTHER, pairs_more)
                extra = pairs_more + memory.read_all(step)
                return _FROM_LOAD.after(extra), extra
            case Kind.STORE_DOUBLE:
                return _FROM_ALU, memory.write_all(step)
            case Kind.STORE_MULTIPLE | Kind.FP_STORE_MULTIPLE:
                self.clock.stall(Cause.OTHER, pairs_more)
                return _FROM_ALU, pairs_more + memory.write_all(step)
            case Kind.DIVIDE:
                self.clock.stall(Cause.OTHER, core.divide - 1)
                return _FROM_DIVIDER.after(core.divide - 1), core.divide - 1
            case Kind.FP:
                return _FROM_FP, 0
            case Kind.FP_FMA | Kind.FP_MLA:
                self._mac_end = self.clock.cycle + 4
                return _FROM_FP_FMA if op.kind is Kind.FP_FMA else _FROM_FP_MLA, 0
            case Kind.FP_MOVE:
                return _FROM_FP if op.results >> FPU_BIT else _FROM_FP_MOVE, 0
            case Kind.FP_DIVIDE:
                self.clock.stall(Cause.OTHER, core.fp_divide - 1)
                return _FROM_FP_DIVIDER.after(core.fp_divide - 1), core.fp_divide - 1
            case Kind.BARRIER:
                self.clock.stall(Cause.OTHER, core.barrier)
                return _FROM_ALU, core.barrier
        return self._alu(op), 0

    def _load(self, step: Step) -> tuple[_Latencies, int]:
        op = step.op
        extra = self.memory.read(step.address)
        if op.width <= 4 and step.address & (op.width - 1):
            extra += self.core.unaligned_access
            self.clock.stall(Cause.OTHER, self.core.unaligned_access)
        if op.kind is Kind.FP_LOAD:
            return _FROM_FP_LOAD.after(extra), extra
        narrow = op.flags & Flag.NARROW
        return (_FROM_NARROW_LOAD if narrow else _FROM_LOAD).after(extra), extra

    # ---- branches ------------------------------------------------------------------------------

    def _mispredicted(self, step: Step, taken: bool) -> int:
        """Cycles lost because a branch went elsewhere than foreseen."""
        op, core = step.op, self.core
        place = op.address >> 1 & _PREDICTORS - 1
        known = self._target[place] == step.next
        if op.kind in (Kind.BRANCH_IF, Kind.COMPARE_BRANCH):
            direction = self._direction[place]
            wrong = (direction >= 2) != taken
            if taken:
                self._direction[place] = min(3, direction + 1)
                self._target[place] = step.next
            else:
                self._direction[place] = max(0, direction - 1)
            if not wrong:
                return core.retarget if taken and not known else 0
            early = op.kind is Kind.BRANCH_IF and self.clock.cycle >= self._flags_set + 3
            return core.mispredict_early if early else core.mispredict
        if op.kind is Kind.POP_PC:  # the return stack knows
            return 0
        self._target[place] = step.next
        if op.kind in (Kind.BRANCH_REGISTER, Kind.TABLE_BRANCH, Kind.LOAD_PC):
            return 0 if known or op.flags & Flag.RETURN else core.mispredict
        return 0 if known else core.retarget

    def _branch(self, step: Step) -> bool:
        """Returns whether the group ends here: a branch was taken, or foreseen where it was not."""
        op = step.op
        taken = step.executed and step.next != op.end
        extra = 0
        if op.kind in (Kind.POP_PC, Kind.LOAD_PC, Kind.TABLE_BRANCH):
            more = (op.registers + 1) // 2 if op.kind is Kind.POP_PC else 0
            self.clock.stall(Cause.OTHER, more)
            extra = more + self.memory.read_all(step)
        penalty = self._mispredicted(step, taken)
        self.clock.stall(Cause.BRANCH, penalty)
        if not taken and not penalty:
            return False
        self.clock.cycle += 1 + penalty + (extra if taken else 0)
        self._new_group()
        return True
