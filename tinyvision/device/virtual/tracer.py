"""Follows the emulated core from block to block; the pure-Python twin of ``native/tracer.c``.

Counts are equal to the native tracer's, at about a hundredth of its speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from unicorn import UC_HOOK_BLOCK, Uc
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_PC, UC_ARM_REG_R0, UC_ARM_REG_SP

from tinyvision.cycles import NativeEngine, PythonEngine
from tinyvision.device.virtual.blocks import Check, alignment_checks, instructions, uses_fpu

REGISTERS = (
    *range(UC_ARM_REG_R0, UC_ARM_REG_R0 + 13),
    UC_ARM_REG_SP,
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
)
"""Unicorn's numbers of r0 to r15."""

NO_LIMIT = 2**64 - 1


class Halt(IntEnum):
    """Why a tracer stopped the emulator; the block it stopped at has not run."""

    NONE = 0
    STOPPED = 1
    LIMIT_REACHED = 2
    NOT_CODE = 3
    UNALIGNED = 4
    FPU_DISABLED = 5


@dataclass(frozen=True)
class Code:
    """Executable bytes: addresses ``[address, end)``."""

    address: int
    end: int


@dataclass(frozen=True)
class Block:
    """A basic block as the emulator entered it."""

    address: int
    size_bytes: int
    instructions: int


class Tracer(Protocol):
    """Counts what runs. ``instructions`` includes all of the block being executed."""

    instructions: int
    blocks: int
    limit: int
    """The emulator is stopped at the first block entered with this many instructions run, or with
    this time on the clock of the engine that it follows.
    """
    fpu_enabled: bool

    @property
    def current(self) -> Block:
        """The block being executed."""

    @property
    def halt(self) -> tuple[Halt, int]:
        """Why the emulator was stopped, and the address concerned."""

    def follow(self, engine: NativeEngine | PythonEngine) -> None:
        """Makes ``limit`` one of the engine's clock."""

    def install(self, machine: Uc) -> None:
        """Hooks into ``machine``; once, before it runs."""

    def request_stop(self, stop: bool = True) -> None:
        """Stops the emulator at the next block; callable from any thread."""

    def resume(self) -> None:
        """Forgets the last halt and pending checks: the state of the core was changed."""


class PythonTracer:
    """A ``Tracer`` that needs no compiler. ``read``: bytes of the emulated memory."""

    def __init__(self, code: tuple[Code, ...], read: Callable[[int, int], bytes]) -> None:
        self.instructions = 0
        self.blocks = 0
        self.limit = NO_LIMIT
        self.fpu_enabled = False
        self.current = Block(0, 0, 0)
        self.halt = (Halt.NONE, 0)
        self._code = code
        self._read = read
        self._stop = False
        self._engine: NativeEngine | PythonEngine | None = None
        self._known: dict[tuple[int, int], tuple[Block, bool, list[Check]]] = {}
        self._end_checks: list[Check] = []

    def follow(self, engine: NativeEngine | PythonEngine) -> None:
        self._engine = engine

    def install(self, machine: Uc) -> None:
        machine.hook_add(UC_HOOK_BLOCK, self._enter)

    def request_stop(self, stop: bool = True) -> None:
        self._stop = stop

    def resume(self) -> None:
        self.halt = (Halt.NONE, 0)
        self._end_checks = []

    def _enter(self, machine: Uc, address: int, size: int, _: object) -> None:
        broken = self._broken(machine, self._end_checks)
        self._end_checks = []
        if broken is not None:
            return self._halt(machine, Halt.UNALIGNED, broken)
        clock = self.instructions if self._engine is None else self._engine.cycle
        if self._stop or clock >= self.limit:
            reason = Halt.STOPPED if self._stop else Halt.LIMIT_REACHED
            return self._halt(machine, reason, address)
        if not any(c.address <= address and address + size <= c.end for c in self._code):
            return self._halt(machine, Halt.NOT_CODE, address)
        if (address, size) not in self._known:
            code = self._read(address, size)
            block = Block(address, size, instructions(code))
            self._known[address, size] = block, uses_fpu(code), alignment_checks(code, address)
        block, has_fpu, checks = self._known[address, size]
        if has_fpu and not self.fpu_enabled:
            return self._halt(machine, Halt.FPU_DISABLED, address)
        broken = self._broken(machine, [check for check in checks if not check.at_end])
        if broken is not None:
            return self._halt(machine, Halt.UNALIGNED, broken)
        self.blocks += 1
        self.instructions += block.instructions
        self.current = block
        self._end_checks = [check for check in checks if check.at_end]
        return None

    def _halt(self, machine: Uc, reason: Halt, address: int) -> None:
        self.halt = (reason, address)
        machine.emu_stop()

    def _broken(self, machine: Uc, checks: list[Check]) -> int | None:
        """The address of the first access that is not aligned."""
        if not checks:
            return None
        values = [machine.reg_read(register) for register in REGISTERS]
        return next((check.pc for check in checks if not check.holds(values)), None)
