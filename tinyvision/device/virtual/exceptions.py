"""Taking and leaving exceptions the way Armv7-M hardware does (Architecture Reference Manual,
B1.5.6 to B1.5.8), on an emulator that leaves this to its user.
"""

from __future__ import annotations

import struct

from unicorn import Uc
from unicorn.arm_const import (
    UC_ARM_REG_CONTROL,
    UC_ARM_REG_FPSCR,
    UC_ARM_REG_IPSR,
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_R12,
    UC_ARM_REG_S0,
    UC_ARM_REG_SP,
    UC_ARM_REG_XPSR,
)

EXC_RETURN = 0xFF000000
"""Branching to an address from here on returns from an exception."""

_STACKED = (
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_R12,
    UC_ARM_REG_LR,
)
_FPU_REGISTERS = tuple(range(UC_ARM_REG_S0, UC_ARM_REG_S0 + 16))
_SPSEL, _FPCA = 2, 4
_PADDED = 1 << 9  # in the stacked xPSR
STKERR = 1 << 12
"""In CFSR: a bus fault while stacking."""
_BASIC_BYTES, _FPU_BYTES = 0x20, 0x48


def enter(uc: Uc, exception: int, return_address: int, can_stack: bool = True) -> None:
    """Stacks the state, sets LR to EXC_RETURN and IPSR to ``exception``, switches to the main
    stack. PC is left to the caller. UcError where the stack is not in memory, unless ``can_stack``
    says that this is known: then SP moves and nothing is written.
    """
    sp = uc.reg_read(UC_ARM_REG_SP)
    control = uc.reg_read(UC_ARM_REG_CONTROL)
    xpsr = uc.reg_read(UC_ARM_REG_XPSR)
    in_handler = bool(xpsr & 0x1FF)
    has_fpu_state = bool(control & _FPCA)
    frame = sp - _BASIC_BYTES - (_FPU_BYTES if has_fpu_state else 0)
    padded = bool(frame & 4)
    frame = frame & ~7 & 0xFFFFFFFF
    if can_stack:
        registers = [uc.reg_read(register) for register in _STACKED]
        stacked = xpsr & ~_PADDED | (_PADDED if padded else 0)
        uc.mem_write(frame, struct.pack("<8I", *registers, return_address & ~1, stacked))
        if has_fpu_state:
            values = [uc.reg_read(register) for register in _FPU_REGISTERS]
            values += [uc.reg_read(UC_ARM_REG_FPSCR), 0]
            uc.mem_write(frame + _BASIC_BYTES, struct.pack("<18I", *values))
    on_process_stack = bool(control & _SPSEL) and not in_handler
    uc.reg_write(UC_ARM_REG_SP, frame)
    uc.reg_write(UC_ARM_REG_XPSR, xpsr & 0xF80F0000 | 1 << 24)  # no IT block in the handler
    uc.reg_write(UC_ARM_REG_IPSR, exception)
    uc.reg_write(UC_ARM_REG_CONTROL, control & ~(_FPCA | _SPSEL))
    value = 0xFFFFFFE1 | (not in_handler) << 3 | on_process_stack << 2 | (not has_fpu_state) << 4
    uc.reg_write(UC_ARM_REG_LR, value)


def leave(uc: Uc, exc_return: int) -> int:
    """Unstacks what ``enter`` has stacked; returns the address to go on at."""
    to_thread, from_process = exc_return >> 3 & 1, exc_return >> 2 & 1
    has_fpu_state = not exc_return >> 4 & 1
    if to_thread:
        uc.reg_write(UC_ARM_REG_IPSR, 0)
    control = uc.reg_read(UC_ARM_REG_CONTROL) & ~(_SPSEL | _FPCA)
    control |= _SPSEL if from_process else 0
    uc.reg_write(UC_ARM_REG_CONTROL, control | (_FPCA if has_fpu_state else 0))
    frame = uc.reg_read(UC_ARM_REG_SP)
    *registers, pc, xpsr = struct.unpack("<8I", uc.mem_read(frame, _BASIC_BYTES))
    for register, value in zip(_STACKED, registers, strict=True):
        uc.reg_write(register, value)
    end = frame + _BASIC_BYTES
    if has_fpu_state:
        values = struct.unpack("<18I", uc.mem_read(end, _FPU_BYTES))
        for register, value in zip(_FPU_REGISTERS, values, strict=False):
            uc.reg_write(register, value)
        uc.reg_write(UC_ARM_REG_FPSCR, values[16])
        end += _FPU_BYTES
    uc.reg_write(UC_ARM_REG_SP, end + (4 if xpsr & _PADDED else 0))
    uc.reg_write(UC_ARM_REG_XPSR, xpsr & ~_PADDED)
    uc.reg_write(UC_ARM_REG_PC, pc | 1)
    return int(pc)
