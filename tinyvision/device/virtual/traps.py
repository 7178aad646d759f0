"""Faults of the emulated core: what raised them, and what the hardware's status registers say.

Bits of CFSR: Armv7-M Architecture Reference Manual, B3.2.15, and Armv8-M's for STKOF.
"""

from __future__ import annotations

from dataclasses import dataclass

from unicorn import (
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_INSN_INVALID,
    UC_ERR_READ_UNMAPPED,
    UC_ERR_WRITE_PROT,
    UC_ERR_WRITE_UNMAPPED,
    UC_MEM_WRITE_UNMAPPED,
    UcError,
)

from tinyvision.device.virtual.tracer import Halt

HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 3, 4, 5, 6

# QEMU's exception numbers (target/arm/cpu.h), as Unicorn passes them on.
EXCP_SVC, EXCP_FETCH, EXCP_EXIT = 2, 3, 8
_EXCP_DATA, _EXCP_BKPT, _EXCP_NOCP, _EXCP_STATE, _EXCP_STKOF = 4, 7, 17, 18, 19

_IACCVIOL, _IBUSERR, _PRECISERR, _BFARVALID = 1 << 0, 1 << 8, 1 << 9, 1 << 15
_UNDEFINSTR, _INVSTATE, _NOCP, _STKOF, _UNALIGNED = 1 << 16, 1 << 17, 1 << 19, 1 << 20, 1 << 24


@dataclass(frozen=True)
class Trap:
    """A fault before it is taken: the exception and its status bits (CFSR)."""

    exception: int
    cfsr: int
    what: str
    address: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that the hardware faults on, or should."""

    what: str
    pc: int
    place: str
    address: int | None

    def __str__(self) -> str:
        where = "" if self.address is None else f" at address 0x{self.address:08x}"
        return f"{self.what}{where}, executing {self.place}"


HALT_TRAPS = {
    Halt.NOT_CODE: Trap(MEM_MANAGE, _IACCVIOL, "execution of what is no code"),
    Halt.UNALIGNED: Trap(USAGE_FAULT, _UNALIGNED, "unaligned access"),
    Halt.FPU_DISABLED: Trap(USAGE_FAULT, _NOCP, "use of the FPU, which is not enabled"),
}
"""What the tracer has stopped for."""

_EXCEPTION_TRAPS = {
    EXCP_FETCH: Trap(MEM_MANAGE, _IACCVIOL, "execution of what is no code"),
    _EXCP_DATA: Trap(USAGE_FAULT, _UNALIGNED, "unaligned access"),
    _EXCP_BKPT: Trap(HARD_FAULT, 0, "a breakpoint without debugger"),
    _EXCP_NOCP: Trap(USAGE_FAULT, _NOCP, "use of the FPU, which is not there"),
    _EXCP_STATE: Trap(USAGE_FAULT, _INVSTATE, "invalid execution state"),
    _EXCP_STKOF: Trap(USAGE_FAULT, _STKOF, "stack overflow: SP below its limit"),
}


def trap_of_exception(number: int) -> Trap:
    """For an exception that the emulator raised, by QEMU's number."""
    unknown = Trap(HARD_FAULT, 0, f"an exception of the core (QEMU's number {number})")
    return _EXCEPTION_TRAPS.get(number, unknown)


def trap_of_error(error: UcError, access: int, address: int, is_thumb: bool) -> Trap:
    """For an error that ended the emulation; ``access`` and ``address`` are of the last access that
    was refused.
    """
    if error.errno in (UC_ERR_READ_UNMAPPED, UC_ERR_WRITE_UNMAPPED):
        verb = "write to" if access == UC_MEM_WRITE_UNMAPPED else "read of"
        return Trap(BUS_FAULT, _PRECISERR | _BFARVALID, f"{verb} memory that is not there", address)
    if error.errno == UC_ERR_FETCH_UNMAPPED:
        return Trap(BUS_FAULT, _IBUSERR, "a jump to where no memory is")
    if error.errno == UC_ERR_WRITE_PROT:
        return Trap(BUS_FAULT, _PRECISERR | _BFARVALID, "write to flash", address)
    if not is_thumb:
        return Trap(USAGE_FAULT, _INVSTATE, "a jump into Arm state (an even address)")
    if error.errno == UC_ERR_INSN_INVALID:
        return Trap(USAGE_FAULT, _UNDEFINSTR, "undefined instruction")
    return Trap(HARD_FAULT, 0, str(error))
