"""Thumb-2 instructions as micro-operations, by tables of mnemonics."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import lru_cache

import capstone
from capstone import arm_const as arm

from tinyvision.cycles.microop import FLAGS_BIT, FPU_BIT, NO_REGISTER, Flag, Kind, MicroOp
from tinyvision.cycles.vector import decode_vector, is_vector

_FLAGS = 1 << FLAGS_BIT
_SP, _LR, _PC = 13, 14, 15

# Loads and stores of one register, by mnemonic: bytes transferred.
_SIZES = {"": 4, "b": 1, "h": 2, "sb": 1, "sh": 2}
_LOADS = {f"ldr{size}{t}": width for size, width in _SIZES.items() for t in ("", "t")}
_LOADS |= {"ldrex": 4, "ldrexb": 1, "ldrexh": 2, "lda": 4, "ldab": 1, "ldah": 2}
_STORES = {f"str{size}{t}": _SIZES[size] for size in ("", "b", "h") for t in ("", "t")}
_STORES |= {"strex": 4, "strexb": 1, "strexh": 2, "stl": 4, "stlb": 1, "stlh": 2}

_COMPARE = frozenset(("cmp", "cmn", "tst", "teq"))
_TWO_OPERANDS = frozenset(("add", "sub", "adc", "sbc", "and", "orr", "eor", "bic", "orn"))
_MOVES = frozenset(("mov", "mvn", "movw", "movt", "adr", "rsb", "addw", "subw"))
_PLAIN_ALU = _COMPARE | _TWO_OPERANDS | _MOVES
_SHIFTS = frozenset(("lsl", "lsr", "asr", "ror", "rrx"))
_NOPS = frozenset(("nop", "yield", "sev", "wfe", "wfi", "hint", "pld", "pli"))
_BARRIERS = frozenset(("dsb", "dmb", "isb"))
_SYSTEM = frozenset(("msr", "mrs", "cps", "cpsie", "cpsid", "svc", "bkpt"))
_FP_FMA = frozenset(("vfma", "vfms", "vfnma", "vfnms"))
_FP_MLA = frozenset(("vmla", "vmls", "vnmla", "vnmls"))
_FP_DIVIDE = frozenset(("vdiv", "vsqrt"))
_FP_MOVE = frozenset(("vmov", "vmrs", "vmsr", "fmstat", "fconsts", "fconstd"))
_FP_COMPARE = frozenset(("vcmp", "vcmpe"))
_CARRY = frozenset(("adc", "sbc", "rrx"))
_EXTEND_ADD = frozenset(("sxtab", "sxtah", "uxtab", "uxtah", "sxtab16", "uxtab16"))
_EARLY_OPERAND = frozenset(("sbfx", "ubfx", "rbit", "rev", "rev16", "revsh", "ssat", "usat"))
_MULTIPLE = re.compile(r"(ldm|stm)(ia|db|ib|da)?|push|pop")
_FP_MULTIPLE = re.compile(r"v(ldm|stm)(ia|db)?|vpush|vpop")
_LONG = re.compile(r"[su]mull|smlal(bb|bt|tb|tt|dx?)?|umlal|umaal|smlsldx?")
_MAC = re.compile(r"ml[as]|smla(bb|bt|tb|tt|dx?|wb|wt)|smlsdx?|smml[as]r?")
_MULTIPLY = re.compile(r"mul|smul(bb|bt|tb|tt|wb|wt)|smu[as]dx?|smmulr?")
_BIT = re.compile(
    r"(s|u|q|sh|uh|uq)(add8|add16|sub8|sub16|asx|sax)|[su]xta?(b|h|b16)|pkh(bt|tb)|[su]sat(16)?"
    r"|qd?(add|sub)|rev(16|sh)?|rbit|clz|[su]bfx|bf[ic]|sel|usada?8"
)


@lru_cache(maxsize=1)
def _engine() -> capstone.Cs:
    modes = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    engine = capstone.Cs(capstone.CS_ARCH_ARM, modes)
    engine.detail = True
    return engine


def decode(code: bytes, address: int) -> list[MicroOp]:
    """The instructions from ``address`` on, up to one that never falls through, or to the end.

    What capstone does not know is tried as a vector instruction and else counts as one of an
    unspecified kind. An instruction that ``code`` holds but in part is left out.
    """
    ops: list[MicroOp] = []
    offset = 0
    while offset + 1 < len(code):
        for insn in _engine().disasm(code[offset:], address + offset):
            if insn.size == 4 and is_vector(*struct.unpack("<2H", insn.bytes)):
                break
            ops.append(_micro_op(insn))
            offset += insn.size
            if _never_falls_through(ops[-1]):
                return ops
        first = int.from_bytes(code[offset : offset + 2], "little")
        size = 4 if first >= 0xE800 else 2
        if offset + size > len(code):
            break
        second = int.from_bytes(code[offset + 2 : offset + 4], "little")
        ops.append(decode_vector(address + offset, first, second))
        offset += size
    return ops


def disassemble(code: bytes, address: int) -> list[tuple[int, str]]:
    """Address and text of each instruction."""
    return [
        (i.address, f"{i.mnemonic} {i.op_str}".strip()) for i in _engine().disasm(code, address)
    ]


def _never_falls_through(op: MicroOp) -> bool:
    always = (Kind.BRANCH, Kind.BRANCH_REGISTER, Kind.POP_PC, Kind.LOAD_PC, Kind.TABLE_BRANCH)
    return op.kind in always and not op.flags & Flag.CONDITIONAL and not op.results >> _LR & 1


def _bit(register: int) -> int:
    """Mask of a register of capstone's; PC has none."""
    register = int(register)
    if arm.ARM_REG_R0 <= register <= arm.ARM_REG_R12:
        return 1 << register - int(arm.ARM_REG_R0)
    if arm.ARM_REG_S0 <= register <= arm.ARM_REG_S31:
        return 1 << FPU_BIT + register - int(arm.ARM_REG_S0)
    if arm.ARM_REG_D0 <= register <= arm.ARM_REG_D15:
        return 3 << FPU_BIT + 2 * (register - int(arm.ARM_REG_D0))
    return {arm.ARM_REG_SP: 1 << _SP, arm.ARM_REG_LR: 1 << _LR}.get(register, 0)


def _mask(registers: Iterable[int]) -> int:
    mask = 0
    for register in registers:
        mask |= _bit(register)
    return mask


def _number(register: int) -> int:
    """0 to 15, or NO_REGISTER."""
    if register == arm.ARM_REG_PC:
        return _PC
    mask = _bit(register) & 0xFFFF
    return mask.bit_length() - 1 if mask else NO_REGISTER


def _name(insn: capstone.CsInsn) -> str:
    """The mnemonic without condition, size and the S of what sets flags."""
    name = str(_engine().insn_name(insn.id) or insn.mnemonic).lower()
    plain = name.removesuffix("s")
    return plain if plain in _PLAIN_ALU | _SHIFTS | {"mul"} and name not in _PLAIN_ALU else name


def _micro_op(insn: capstone.CsInsn) -> MicroOp:
    name = _name(insn)
    operands = insn.operands
    registers = [o.reg for o in operands if o.type == arm.ARM_OP_REG]
    conditional = insn.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)
    if name in _LOADS or name in _STORES:
        op = _single(insn, name, registers)
    elif name in ("ldrd", "strd"):
        op = _double(insn, name, registers)
    elif name in ("vldr", "vstr"):
        op = _fp_single(insn, name, registers)
    elif _MULTIPLE.fullmatch(name) or _FP_MULTIPLE.fullmatch(name):
        op = _multiple(insn, name, registers)
    else:
        branch = _branch(insn, name, registers, conditional)
        if branch is not None:
            return branch
        op = _arithmetic(insn, name, registers)
    if conditional:
        op |= {"flags": op["flags"] | Flag.CONDITIONAL, "sources": op["sources"] | _FLAGS}
    kind = Kind(op.pop("kind"))
    return MicroOp(insn.address, insn.size, kind, **op)


# ---- loads and stores ------------------------------------------------------------------------


def _address(insn: capstone.CsInsn) -> dict[str, int]:
    """Fields of the address of a load or store's first access."""
    memory = next(o.mem for o in insn.operands if o.type == arm.ARM_OP_MEM)
    fields = {
        "flags": 0,
        "sources": 0,
        "address_sources": _bit(memory.base) | _bit(memory.index),
        "base": _number(memory.base),
        "offset": 0 if insn.post_index else memory.disp,
    }
    if memory.index:
        fields |= {
            "flags": Flag.REGISTER_OFFSET,
            "index": _number(memory.index),
            "shift": memory.lshift or _memory_shift(insn),
        }
    if memory.base == arm.ARM_REG_PC:
        literal = (insn.address + 4 & ~3) + memory.disp
        fields |= {"base": NO_REGISTER, "offset": (literal + 2**31) % 2**32 - 2**31}
    if insn.writeback:
        fields["base_result"] = _bit(memory.base)
    return fields


def _memory_shift(insn: capstone.CsInsn) -> int:
    operand = next(o for o in insn.operands if o.type == arm.ARM_OP_MEM)
    return int(operand.shift.value) if operand.shift.type == arm.ARM_SFT_LSL else 0


def _single(insn: capstone.CsInsn, name: str, registers: list[int]) -> dict[str, int]:
    fields = _address(insn) | {"transfers": 1, "registers": 1}
    if name in _LOADS:
        loads_pc = registers[0] == arm.ARM_REG_PC
        fields |= {
            "kind": Kind.LOAD_PC if loads_pc else Kind.LOAD,
            "width": _LOADS[name],
            "results": _bit(registers[0]),
        }
    else:
        exclusive = name.startswith("strex")
        fields |= {
            "kind": Kind.STORE,
            "width": _STORES[name],
            "sources": _bit(registers[1 if exclusive else 0]),
            "results": _bit(registers[0]) if exclusive else 0,
        }
    if fields["width"] < 4:
        fields["flags"] |= Flag.NARROW
    return fields


def _double(insn: capstone.CsInsn, name: str, registers: list[int]) -> dict[str, int]:
    loads = name == "ldrd"
    fields = _address(insn) | {
        "kind": Kind.LOAD_DOUBLE if loads else Kind.STORE_DOUBLE,
        "transfers": 2,
        "registers": 2,
    }
    fields["results" if loads else "sources"] = _mask(registers[:2])
    return fields


def _fp_single(insn: capstone.CsInsn, name: str, registers: list[int]) -> dict[str, int]:
    loads = name == "vldr"
    twice = _is_double(registers[0])
    fields = _address(insn) | {
        "kind": Kind.FP_LOAD if loads else Kind.FP_STORE,
        "transfers": 1,
        "registers": 1,
        "width": 8 if twice else 4,
    }
    fields["results" if loads else "sources"] = _bit(registers[0])
    if twice:
        fields["flags"] |= Flag.DOUBLE
    return fields


def _multiple(insn: capstone.CsInsn, name: str, registers: list[int]) -> dict[str, int]:
    """LDM, STM, PUSH, POP and those of the FPU."""
    floats = name.startswith("v")
    name = name.removeprefix("v")
    on_stack = name in ("push", "pop")
    base = arm.ARM_REG_SP if on_stack else registers[0]
    listed = registers if on_stack else registers[1:]
    width = 8 if floats and _is_double(listed[0]) else 4
    loads = name.startswith("ldm") or name == "pop"
    down = name == "push" or name.endswith("db")
    if loads and arm.ARM_REG_PC in listed:
        kind = Kind.POP_PC
    elif floats:
        kind = Kind.FP_LOAD_MULTIPLE if loads else Kind.FP_STORE_MULTIPLE
    else:
        kind = Kind.LOAD_MULTIPLE if loads else Kind.STORE_MULTIPLE
    return {
        "kind": kind,
        "flags": 0,
        "sources": 0 if loads else _mask(listed),
        "results": _mask(listed) if loads else 0,
        "address_sources": _bit(base),
        "base_result": _bit(base) if on_stack or insn.writeback else 0,
        "base": _number(base),
        "offset": -width * len(listed) if down else 0,
        "transfers": len(listed),
        "width": width,
        "registers": len(listed) * width // 4,
    }


def _is_double(register: int) -> bool:
    return bool(arm.ARM_REG_D0 <= register <= arm.ARM_REG_D31)


# ---- branches --------------------------------------------------------------------------------


def _branch(
    insn: capstone.CsInsn, name: str, registers: list[int], conditional: bool
) -> MicroOp | None:
    fields: dict[str, int] = {}
    flags = Flag.CONDITIONAL if conditional else 0
    if name == "b":
        kind = Kind.BRANCH_IF if conditional else Kind.BRANCH
        fields["sources"] = _FLAGS if conditional else 0
        flags = 0
    elif name in ("bl", "blx") and not registers:
        kind = Kind.CALL
        fields["results"] = 1 << _LR
    elif name in ("bx", "blx", "bxns", "blxns"):
        kind = Kind.BRANCH_REGISTER
        fields["sources"] = _mask(registers)
        fields["results"] = 1 << _LR if name.startswith("blx") else 0
        flags |= Flag.RETURN if registers == [arm.ARM_REG_LR] else 0
    elif name in ("cbz", "cbnz"):
        kind = Kind.COMPARE_BRANCH
        fields["sources"] = _bit(registers[0])
    elif name in ("tbb", "tbh"):
        kind = Kind.TABLE_BRANCH
        fields = _table_branch(insn, name)
        flags = fields.pop("flags")
    elif name in _PLAIN_ALU - _COMPARE and registers[:1] == [arm.ARM_REG_PC]:
        kind = Kind.BRANCH_REGISTER
        fields["sources"] = _mask(registers)
    else:
        return None
    return MicroOp(insn.address, insn.size, kind, flags, **fields)


def _table_branch(insn: capstone.CsInsn, name: str) -> dict[str, int]:
    fields = _address(insn) | {"transfers": 1, "width": 1 if name == "tbb" else 2, "registers": 1}
    fields["shift"] = int(name == "tbh")
    if fields["base"] == NO_REGISTER:  # PC as base is not rounded down to a word
        fields["offset"] = (insn.address + 4 + 2**31) % 2**32 - 2**31
    return fields


# ---- everything else -------------------------------------------------------------------------


def _kind(name: str, shifted: bool) -> Kind:
    for kind, names in _BY_NAME.items():
        if name in names:
            return kind
    for pattern, kind in _BY_PATTERN:
        if pattern.fullmatch(name):
            return kind
    if name.startswith("it") and len(name) <= 5:
        return Kind.IT
    if name == "mov" and shifted:
        return Kind.SHIFT
    return Kind.FP if name.startswith("v") else Kind.ALU


_BY_NAME = {
    Kind.SHIFT: _SHIFTS,
    Kind.NOP: _NOPS,
    Kind.BARRIER: _BARRIERS,
    Kind.SYSTEM: _SYSTEM,
    Kind.DIVIDE: frozenset(("sdiv", "udiv")),
    Kind.FP_FMA: _FP_FMA,
    Kind.FP_MLA: _FP_MLA,
    Kind.FP_DIVIDE: _FP_DIVIDE,
    Kind.FP_MOVE: _FP_MOVE,
}
_BY_PATTERN = (
    (_LONG, Kind.MULTIPLY_LONG),
    (_MAC, Kind.MAC),
    (_MULTIPLY, Kind.MULTIPLY),
    (_BIT, Kind.BIT),
)
_WITHOUT_OPERANDS = (Kind.NOP, Kind.IT, Kind.BARRIER, Kind.SYSTEM)


def _arithmetic(insn: capstone.CsInsn, name: str, registers: list[int]) -> dict[str, int]:
    shifted = _is_shifted(insn)
    kind = _kind(name, shifted)
    fields = {"kind": kind, "flags": 0, "sources": 0}
    if kind in _WITHOUT_OPERANDS:
        return fields
    if kind is Kind.MAC:
        fields |= {
            "sources": _mask(registers[1:3]),
            "special_sources": _mask(registers[3:4]),
            "results": _bit(registers[0]),
        }
    elif kind is Kind.MULTIPLY_LONG:
        accumulates = not name.endswith("mull")
        fields |= {"sources": _mask(registers[2:4]), "results": _mask(registers[:2])}
        if accumulates:
            fields |= {"special_sources": fields["results"], "flags": Flag.LONG_ACCUMULATE}
    elif kind in (Kind.FP_FMA, Kind.FP_MLA):
        fields |= {
            "sources": _mask(registers[1:3]),
            "special_sources": _bit(registers[0]),
            "results": _bit(registers[0]),
        }
    else:
        _general(insn, name, registers, kind, fields)
    if kind is Kind.FP_MOVE:
        fields["registers"] = max(1, sum(bool(_bit(r) & 0xFFFF) for r in registers))
    if kind >= Kind.FP and registers and _is_double(registers[0]):
        fields["flags"] |= Flag.DOUBLE
    _special_operands(insn, name, registers, kind, shifted, fields)
    if kind is Kind.SHIFT or (name in _EARLY and not shifted):
        fields["flags"] |= Flag.EARLY
    if insn.update_flags or name in _COMPARE:
        fields["flags"] |= Flag.SETS_FLAGS
        fields["results"] |= _FLAGS
    return fields


_EARLY = frozenset(("add", "sub", "mov", "movw", "movt", "adr", "addw", "subw"))


def _general(
    insn: capstone.CsInsn, name: str, registers: list[int], kind: Kind, fields: dict[str, int]
) -> None:
    """Sources and results of what has its destination first."""
    read, written = (_mask(group) for group in insn.regs_access())
    if name in _COMPARE or name in _FP_COMPARE:
        sources, results = _mask(registers), 0
    elif kind not in (Kind.ALU, Kind.SHIFT, Kind.BIT, Kind.MULTIPLY) or name in _KEEPS_REST:
        sources, results = read, written | _mask(registers[:1])
    else:
        sources, results = _mask(registers[1:]), written | _mask(registers[:1])
        if len(insn.operands) == 2 and name in _TWO_OPERANDS | _SHIFTS - {"rrx"}:
            sources |= _bit(registers[0])
    if name in _CARRY:
        sources |= _FLAGS
    fields |= {"sources": sources, "results": results}


_KEEPS_REST = frozenset(("movt", "bfi", "bfc"))


def _is_shifted(insn: capstone.CsInsn) -> bool:
    return any(
        o.type == arm.ARM_OP_REG and o.shift.type != arm.ARM_SFT_INVALID and o.shift.value != 0
        for o in insn.operands
    )


def _special_operands(
    insn: capstone.CsInsn,
    name: str,
    registers: list[int],
    kind: Kind,
    shifted: bool,
    fields: dict[str, int],
) -> None:
    """Moves operands that go through a shifter first to ``special_sources``."""
    last = _mask(registers[-1:])
    if kind is Kind.ALU and shifted:
        fields["flags"] |= Flag.INLINE_SHIFT
        fields |= {"special_sources": last, "sources": fields["sources"] & ~last}
    elif name in _EXTEND_ADD:
        fields["flags"] |= Flag.EXTEND_ADD | Flag.INLINE_SHIFT
        fields |= {
            "special_sources": last,
            "sources": _bit(registers[1] if len(registers) > 2 else registers[0]),
        }
    elif name.startswith("pkh"):
        fields["flags"] |= Flag.INLINE_SHIFT
        fields |= {"special_sources": last, "sources": fields["sources"] & ~last}
    elif name in _EARLY_OPERAND:
        fields["flags"] |= Flag.EARLY_OPERAND
        fields |= {"special_sources": fields["sources"], "sources": 0}
    elif name == "bfi":
        fields["flags"] |= Flag.INLINE_SHIFT
        fields |= {"special_sources": _bit(registers[1]), "sources": _bit(registers[0])}
    elif kind is Kind.ALU and _has_shifted_immediate(insn, name):
        fields["flags"] |= Flag.SHIFTED_IMMEDIATE


def _has_shifted_immediate(insn: capstone.CsInsn, name: str) -> bool:
    """Whether a constant is made of 8 bits by rotating, rather than repeating, them."""
    immediates = [o.imm & 0xFFFFFFFF for o in insn.operands if o.type == arm.ARM_OP_IMM]
    if insn.size != 4 or not immediates or name in ("movw", "movt", "addw", "subw", "adr"):
        return False
    value = immediates[-1]
    low, high = value & 0xFF, value >> 8 & 0xFF
    repeated = (low * 0x01010101, low * 0x00010001, high * 0x01000100)
    plain_12_bits = name in ("add", "sub") and value < 4096 and insn.bytes[1] & 2
    return value > 255 and value not in repeated and not plain_12_bits
