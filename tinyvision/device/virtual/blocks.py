"""What basic blocks of Thumb code hold: instruction counts, accesses, alignment demands.

Everything is derived from the bytes, once per block. ``native/tracer.c`` has the parts that must
be fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import capstone
from capstone import arm_const as arm

Linear = tuple[tuple[int, ...], int]
"""Coefficients of r0 to r15 on entry to the block, and a constant, modulo 4."""

_STRICT = {
    arm.ARM_INS_LDRD,
    arm.ARM_INS_STRD,
    arm.ARM_INS_LDM,
    arm.ARM_INS_LDMDB,
    arm.ARM_INS_STM,
    arm.ARM_INS_STMDB,
    arm.ARM_INS_VLDR,
    arm.ARM_INS_VSTR,
    arm.ARM_INS_VLDMIA,
    arm.ARM_INS_VLDMDB,
    arm.ARM_INS_VSTMIA,
    arm.ARM_INS_VSTMDB,
}
"""Accesses that must be word-aligned on every core (Armv7-M ARM, A3.2.1)."""

_MULTIPLE = _STRICT - {arm.ARM_INS_LDRD, arm.ARM_INS_STRD, arm.ARM_INS_VLDR, arm.ARM_INS_VSTR}
_REGISTERS = {
    **{getattr(arm, f"ARM_REG_R{i}"): i for i in range(13)},
    arm.ARM_REG_SP: 13,
    arm.ARM_REG_LR: 14,
    arm.ARM_REG_PC: 15,
}
_SP = 13


@dataclass(frozen=True)
class Check:
    """The access at ``pc`` is aligned if ``coefficients`` times the registers plus ``constant`` is
    0 modulo 4, with the registers on entry to the block or, where ``at_end``, after it.
    """

    pc: int
    coefficients: tuple[int, ...]
    constant: int
    at_end: bool

    @property
    def packed(self) -> int:
        """Two bits a coefficient, r0's lowest."""
        return sum(c << 2 * i for i, c in enumerate(self.coefficients))

    def holds(self, registers: Sequence[int]) -> bool:
        pairs = zip(self.coefficients, registers, strict=True)
        return (sum(c * value for c, value in pairs) + self.constant) % 4 == 0


def halfwords(code: bytes) -> Iterator[tuple[int, int, int]]:
    """Offset, first and second halfword (0 if there is none) of every instruction."""
    offset = 0
    while offset + 1 < len(code):
        first = int.from_bytes(code[offset : offset + 2], "little")
        wide = first >= 0xE800
        second = int.from_bytes(code[offset + 2 : offset + 4], "little") if wide else 0
        yield offset, first, second
        offset += 4 if wide else 2


def instructions(code: bytes) -> int:
    """How many instructions ``code`` holds; those skipped by an IT block count as executed."""
    return sum(1 for _ in halfwords(code))


def uses_fpu(code: bytes) -> bool:
    """Whether an instruction of coprocessor 10 or 11 is in it."""
    return any(
        first & 0xEC00 == 0xEC00 and second >> 8 & 15 in (10, 11)
        for _, first, second in halfwords(code)
    )


@lru_cache(maxsize=4096)
def _disassemble(code: bytes, address: int) -> tuple[capstone.CsInsn, ...]:
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    engine.detail = True
    engine.skipdata = True
    return tuple(engine.disasm(code, address))


def alignment_checks(code: bytes, address: int) -> list[Check]:
    """Checks that find unaligned accesses of instructions that demand alignment.

    An address is followed through the block by adding and moving; where it was loaded within the
    block, the base register is checked after it, if it still is there. Conditional instructions
    and SP-relative ones (SP is aligned always) are left out.
    """
    state: list[Linear | None] = [_register(i) for i in range(16)]
    checks: list[Check] = []
    pending: dict[int, int] = {}  # base register -> pc, for checks after the block
    for insn in _disassemble(code, address):
        if insn.id == 0:  # bytes that are no instruction
            return checks
        conditional = insn.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)
        base = None
        if insn.id in _STRICT and not conditional:
            base = _base(insn)
            if base is not None and base not in (_SP, 15):
                value = state[base]
                if value is None:
                    pending[base] = insn.address
                else:
                    checks.append(Check(insn.address, *value, at_end=False))
        new = None if conditional else _effect(insn, state)
        for written in insn.regs_access()[1]:
            register = _REGISTERS.get(written)
            if register is None:
                continue
            if register == base and _writes_back(insn, base):
                continue  # by a multiple of 4
            pending.pop(register, None)
            state[register] = new
    unit = [_register(i)[0] for i in range(16)]
    checks += [Check(pc, unit[base], 0, at_end=True) for base, pc in pending.items()]
    return checks


def _register(index: int) -> Linear:
    return tuple(int(i == index) for i in range(16)), 0


def _base(insn: capstone.CsInsn) -> int | None:
    operands = insn.operands
    if insn.id in _MULTIPLE:
        return _REGISTERS.get(operands[0].reg)
    memory = next((o.mem for o in operands if o.type == arm.ARM_OP_MEM), None)
    return None if memory is None else _REGISTERS.get(memory.base)


def _writes_back(insn: capstone.CsInsn, base: int) -> bool:
    """True for an address update, false where the base is loaded over."""
    loaded = insn.operands[1:] if insn.id in _MULTIPLE else insn.operands
    is_load = insn.id in (arm.ARM_INS_LDRD, arm.ARM_INS_LDM, arm.ARM_INS_LDMDB)
    registers = [_REGISTERS.get(o.reg) for o in loaded if o.type == arm.ARM_OP_REG]
    return not (is_load and base in registers)


def _effect(insn: capstone.CsInsn, state: list[Linear | None]) -> Linear | None:
    """The value modulo 4 that an instruction leaves in its destination, where it can be told."""
    operands = insn.operands
    if insn.id in (arm.ARM_INS_MOV, arm.ARM_INS_MOVW) and len(operands) == 2:
        return _value(operands[1], state)
    if insn.id in (arm.ARM_INS_ADD, arm.ARM_INS_ADDW, arm.ARM_INS_SUB, arm.ARM_INS_SUBW):
        left, right = operands[-2:] if len(operands) == 3 else operands[:2]
        a, b = _value(left, state), _value(right, state)
        if a is None or b is None:
            return None
        sign = 1 if insn.id in (arm.ARM_INS_ADD, arm.ARM_INS_ADDW) else -1
        coefficients = tuple((x + sign * y) % 4 for x, y in zip(a[0], b[0], strict=True))
        return coefficients, (a[1] + sign * b[1]) % 4
    return None


def _value(operand: capstone.arm.ArmOp, state: list[Linear | None]) -> Linear | None:
    if operand.type == arm.ARM_OP_IMM:
        return (0,) * 16, operand.imm % 4
    if operand.type != arm.ARM_OP_REG:
        return None
    register = _REGISTERS.get(operand.reg)
    shift = operand.shift
    if shift.type == arm.ARM_SFT_LSL and shift.value >= 2:
        return (0,) * 16, 0
    value = None if register in (None, 15) else state[register]
    if value is None or shift.type == arm.ARM_SFT_INVALID:
        return value
    if shift.type == arm.ARM_SFT_LSL and shift.value == 1:
        return tuple(2 * c % 4 for c in value[0]), 2 * value[1] % 4
    return None


def find_access(
    code: bytes, address: int, target: int, ordinal: int, register: Callable[[int], int]
) -> int:
    """How many instructions of the block ran before the one that now accesses ``target``.

    ``register(i)``: the present value of ri. ``ordinal``: how many accesses to ``target`` the
    block has made before. 0 if no instruction fits.
    """
    seen = 0
    for index, insn in enumerate(_disassemble(code, address)):
        if insn.id == 0:
            break
        memory = next((o.mem for o in insn.operands if o.type == arm.ARM_OP_MEM), None)
        base = None if memory is None else _REGISTERS.get(memory.base)
        if memory is None or base is None:
            continue
        effective = (insn.address + 4) & ~3 if base == 15 else register(base)
        offset = 0 if insn.post_index else memory.disp
        if memory.index:
            offset += register(_REGISTERS[memory.index]) << memory.lshift
        if (effective + offset) & 0xFFFFFFFF == target:
            if seen == ordinal:
                return index
            seen += 1
    return 0
