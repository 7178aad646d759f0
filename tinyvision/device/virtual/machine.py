"""The virtual board's machine: an emulated core with the board's memory map and peripherals.

What the hardware would answer with a fault raises that fault in the firmware, and is recorded with
its program counter and symbol; see ``Finding``.
"""

from __future__ import annotations

import logging
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import unicorn as u
from unicorn import arm_const as reg

from tinyvision.cycles import (
    Cost,
    InstructionCost,
    NativeEngine,
    PythonEngine,
    make_engine,
    parameters,
)
from tinyvision.cycles.microop import Watch
from tinyvision.device.virtual import exceptions, system
from tinyvision.device.virtual.blocks import find_access
from tinyvision.device.virtual.following import follow
from tinyvision.device.virtual.image import Image
from tinyvision.device.virtual.memories import Memories
from tinyvision.device.virtual.native_tracer import NativeTracer
from tinyvision.device.virtual.native_uart import NativeUart
from tinyvision.device.virtual.registers import RegisterBlock
from tinyvision.device.virtual.tracer import NO_LIMIT, REGISTERS, Halt, PythonTracer, Tracer
from tinyvision.device.virtual.traps import (
    EXCP_EXIT,
    EXCP_FETCH,
    EXCP_SVC,
    HALT_TRAPS,
    HARD_FAULT,
    Finding,
    Trap,
    trap_of_error,
    trap_of_exception,
)
from tinyvision.device.virtual.uart import UartModel
from tinyvision.errors import BoardError
from tinyvision.native import library
from tinyvision.target.board import Board, Hardware

log = logging.getLogger(__name__)

CPU_MODELS = {
    "cortex-m0plus": reg.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": reg.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": reg.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": reg.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33": reg.UC_CPU_ARM_CORTEX_M33,
}
MAX_FINDINGS = 100
MAX_COUNTER_READS = 1 << 17
_NOWHERE = 0xFFFFFFFF
_WFI, _WFE = 0xBF30, 0xBF20
_RETRY_INSTRUCTIONS = 256
"""How soon an exception that is masked is looked at again."""


@dataclass(frozen=True)
class CounterRead:
    """The firmware has read its cycle counter: instructions executed up to then, and, where there
    is a cycle model, what they have cost. ``detail``, if asked for: the cost of each instruction
    since the read before.
    """

    instructions: int
    cost: Cost | None
    detail: tuple[InstructionCost, ...] = ()


class Machine:
    """Runs ``image`` as ``board`` would. One thread runs it; ``stop`` may come from any other.

    ``uart`` is the UART that leads to the host. Time is counted in instructions or, with
    ``cycles``, in the cycles of the board's model.

    The same program takes the same cycles, always. What the host does, and when, gets in through
    the UART alone; so the first read of the cycle counter after an access to that finds caches,
    buffers and predictors empty and the period of SysTick at its start.
    """

    def __init__(
        self, image: Image, board: Board, uart: UartModel, *, cycles: bool = False
    ) -> None:
        if board.hardware is None or board.core.cpu not in CPU_MODELS:
            raise BoardError(f"board '{board.name}' has no virtual twin of this kind")
        self.image = image
        self.board = board
        self.uart = uart
        self.findings: list[Finding] = []
        self.dead = ""
        """Why the core has stopped for good (lockup), empty while it runs."""
        self.counter_reads: deque[CounterRead] = deque(maxlen=MAX_COUNTER_READS)
        """The last reads of the cycle counter."""
        self.wants_detail = False
        """Whether counter reads are to have their ``detail``."""
        self.counter_cost = MAX_COUNTER_READS
        """The fewest instructions between two of them: what measuring itself costs."""
        self._hardware: Hardware = board.hardware
        self._stopping = False
        self._idle_cycles = 0
        self._irq = system.FIRST_IRQ + board.hardware.uart.irq
        self._interrupt: int | None = None
        self._invalid: tuple[int, int] = (0, 0)
        self._last_access = (0, 0, 0)
        self._uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(CPU_MODELS[board.core.cpu])
        self._memories = Memories(self._uc, self._hardware.memories)
        self._memories.load(image, board.name)
        self.tracer = self._make_tracer()
        self._engine = self._make_engine() if cycles else None
        self._exception_cycles = parameters(board).core.exception if cycles else 0
        self._uart_accesses = 0
        self._counter = system.DWT_CYCCNT
        if board.hardware.cycle_counter == "systick":
            self._counter = system.SYST_CVR
        self.system = system.SystemSpace(board.core.cpu, self.now, self._set_fpu)
        self._blocks = [RegisterBlock(p) for p in self._hardware.twin.peripherals]
        self._map_registers()
        self.tracer.install(self._uc)
        if self._engine is not None:
            self.tracer.follow(self._engine)
            follow(self._engine, self._uc)
        self._uc.hook_add(u.UC_HOOK_INTR, self._on_interrupt)
        self._uc.hook_add(u.UC_HOOK_MEM_INVALID, self._on_invalid)

    def read_memory(self, address: int, size_bytes: int) -> bytes:
        """Bytes as the core sees them; UcError where there is no memory."""
        return bytes(self._uc.mem_read(address, size_bytes))

    def _make_tracer(self) -> Tracer:
        native = library()
        if native is None:
            return PythonTracer(self.image.code, self.read_memory)
        return NativeTracer(native, self.image.code, self._memories.regions, self.read_memory)

    def _make_engine(self) -> NativeEngine | PythonEngine:
        return make_engine(parameters(self.board), self._read_code)

    def _read_code(self, address: int, size_bytes: int) -> bytes:
        """Fewer bytes where the memory ends."""
        try:
            return self.read_memory(address, size_bytes)
        except u.UcError:
            return self.read_memory(address, (address | 0xFFF) + 1 - address)

    # ---- registers -----------------------------------------------------------------------------

    def _map_registers(self) -> None:
        for block in self._blocks:
            is_uart = block.address == self._hardware.uart.base
            if is_uart and isinstance(self.uart, NativeUart):
                self.uart.map(self._uc, block.address, block.size_bytes)
                continue
            read = self.uart.read if is_uart else block.read
            write = self.uart.write if is_uart else block.write
            self._map_io(block.address, block.size_bytes, read, write)
        for address, size in system.BLOCKS:
            self._map_io(
                address,
                size,
                partial(self._read_system, address),
                partial(self._write_system, address),
            )

    def _map_io(
        self,
        address: int,
        size: int,
        read: Callable[[int], int],
        write: Callable[[int, int], None],
    ) -> None:
        """Maps registers of 32 bits; narrower accesses are widened."""

        def on_read(_: u.Uc, offset: int, width: int, __: object) -> int:
            shift = 8 * (offset & 3)
            return read(offset & ~3) >> shift & (1 << 8 * width) - 1

        def on_write(_: u.Uc, offset: int, width: int, value: int, __: object) -> None:
            shift = 8 * (offset & 3)
            mask = (1 << 8 * width) - 1 << shift & 0xFFFFFFFF
            if mask != 0xFFFFFFFF:
                value = value << shift & mask | read(offset & ~3) & ~mask
            write(offset & ~3, value & 0xFFFFFFFF)

        self._uc.mmio_map(address, size, on_read, None, on_write, None)

    def _read_system(self, base: int, offset: int) -> int:
        address = base + offset
        self._last_access = self._count_access(address)
        if address == self._counter:
            self._note_counter_read()
        return self.system.read(address)

    def _write_system(self, base: int, offset: int, value: int) -> None:
        address = base + offset
        self._last_access = self._count_access(address)
        self.system.write(address, value)
        if self.system.pending or self.system.reset_requested or address == system.SYST_CSR:
            self.tracer.request_stop()

    def _count_access(self, address: int) -> tuple[int, int, int]:
        """Entry of the block, address, and how often the block has accessed it before."""
        serial, last, ordinal = self._last_access
        if (serial, last) == (self.tracer.blocks, address):
            return serial, address, ordinal + 1
        return self.tracer.blocks, address, 0

    def _set_fpu(self, enabled: bool) -> None:
        self.tracer.fpu_enabled = enabled and bool(self.board.core.fpu)

    # ---- time ----------------------------------------------------------------------------------

    def now(self) -> int:
        """Cycles since power-on: what was executed, and time slept.

        Exact within a block as well, for an access to a system register.
        """
        ran = self.instructions() if self._engine is None else self._engine.cycle
        return ran + self._idle_cycles

    def instructions(self) -> int:
        """Instructions executed; those skipped by an IT block count."""
        if self._engine is not None:
            return self._engine.total.executions
        block = self.tracer.current
        serial, address, ordinal = self._last_access
        done = block.instructions
        if address and serial == self.tracer.blocks:
            code = self.read_memory(block.address, block.size_bytes)
            done = find_access(code, block.address, address, ordinal, self._register)
        return self.tracer.instructions - block.instructions + done

    def _note_counter_read(self) -> None:
        if self._uart_accesses != self.uart.accesses:
            self._uart_accesses = self.uart.accesses
            self.system.restart_systick_period()
            if self._engine is not None:
                self._engine.clear()
        reads = self.counter_reads
        reads.append(self._counter_read())
        if len(reads) > 1:
            between = reads[-1].instructions - reads[-2].instructions
            self.counter_cost = min(self.counter_cost, between)

    def _counter_read(self) -> CounterRead:
        if self._engine is None:
            return CounterRead(self.instructions(), None)
        cost, detail = self._engine.total, tuple[InstructionCost, ...]()
        if self.wants_detail:
            detail = tuple(self._engine.costs())
            self._engine.clear_costs()
        return CounterRead(cost.executions, cost, detail)

    def _register(self, index: int) -> int:
        return int(self._uc.reg_read(REGISTERS[index]))

    def pass_time(self, seconds: float) -> None:
        """Lets the clock run on by the time that the core slept."""
        self._idle_cycles += int(seconds * self.board.clock_mhz * 1e6)

    # ---- running -------------------------------------------------------------------------------

    def watch(self, address: int, size_bytes: int, on_access: Watch) -> None:
        """Tells of every access there, from the core's thread. Takes the cycle model."""
        if self._engine is None:
            raise ValueError("accesses are seen by the cycle model only")
        self._engine.watch(address, size_bytes, on_access)

    def stop(self) -> None:
        """Makes ``run`` return soon."""
        self._stopping = True
        self.tracer.request_stop()

    def wake(self) -> None:
        """Tells that bytes have come for the UART; callable from any thread."""
        self.tracer.request_stop()

    def run(self) -> None:
        """Runs from reset until ``stop``, or until the core locks up (see ``dead``)."""
        self._reset()
        while not self.dead:
            self.tracer.request_stop(False)
            if self._stopping:
                break
            self._deliver()
            self._set_limit()
            self.tracer.resume()
            self._interrupt = None
            error = None
            try:
                self._uc.emu_start(self._uc.reg_read(reg.UC_ARM_REG_PC) | 1, _NOWHERE)
            except u.UcError as caught:
                error = caught
            self._last_access = (0, 0, 0)
            self._after(error)
            if self.system.reset_requested:
                self._reset()
        self.uart.flush()

    def _reset(self) -> None:
        vectors = self._hardware.memory(self._hardware.layout.vectors).address
        stack, start = struct.unpack("<2I", self.read_memory(vectors, 8))
        self.system.reset(vectors)
        self._set_fpu(False)
        self.uart.reset()
        for block in self._blocks:
            block.reset()
        self._uc.reg_write(reg.UC_ARM_REG_IPSR, 0)
        self._uc.reg_write(reg.UC_ARM_REG_CONTROL, 0)
        self._uc.reg_write(reg.UC_ARM_REG_PRIMASK, 0)
        self._uc.reg_write(reg.UC_ARM_REG_XPSR, 1 << 24)
        self._uc.reg_write(reg.UC_ARM_REG_SP, stack & ~3)
        self._uc.reg_write(reg.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._uc.reg_write(reg.UC_ARM_REG_PC, start | 1)

    def _set_limit(self) -> None:
        until = self.system.ticks_until_interrupt()
        if self.system.next_exception() is not None and not self.system.active:
            until = min(until or _RETRY_INSTRUCTIONS, _RETRY_INSTRUCTIONS)
        clock = self.tracer.instructions if self._engine is None else self._engine.cycle
        self.tracer.limit = NO_LIMIT if until is None else clock + until

    def _after(self, error: u.UcError | None) -> None:
        """Deals with whatever made the emulator return."""
        pc = self._uc.reg_read(reg.UC_ARM_REG_PC)
        halt, halt_pc = self.tracer.halt
        if self._interrupt is not None:
            self._after_interrupt(self._interrupt, pc)
        elif error is not None:
            if pc >= exceptions.EXC_RETURN and self.system.active:
                self._leave(pc)  # the emulator's Cortex-M0 does not know these addresses
            elif not self._slept(pc):
                is_thumb = bool(self._uc.reg_read(reg.UC_ARM_REG_XPSR) >> 24 & 1)
                self._take(trap_of_error(error, *self._invalid, is_thumb), pc)
        elif halt in HALT_TRAPS:
            self._take(HALT_TRAPS[halt], halt_pc)
        elif halt is Halt.NONE and self._slept(pc):
            self._sleep()

    def _slept(self, pc: int) -> bool:
        """Whether the block just run ended with WFI or WFE."""
        block = self.tracer.current
        if pc != block.address + block.size_bytes or block.size_bytes < 2:
            return False
        return int.from_bytes(self.read_memory(pc - 2, 2), "little") in (_WFI, _WFE)

    def _sleep(self) -> None:
        """Until an interrupt is pending: SysTick's by letting time pass, the UART's by waiting."""
        until = self.system.ticks_until_interrupt()
        self.uart.fetch(wait=not self.system.pending and until is None)
        if until is not None and not (self.uart.may_interrupt and self.uart.has_byte):
            self._idle_cycles += until

    def _deliver(self) -> None:
        """Takes a pending exception, if none is active and they are not masked.

        Priorities are not modelled: interrupts do not preempt each other.
        """
        self.system.tick()
        self.system.pending.discard(self._irq)
        if self.uart.may_interrupt:
            self.uart.fetch(wait=False)
            if self.uart.has_byte:
                self.system.pending.add(self._irq)
        number = self.system.next_exception()
        masked = self._uc.reg_read(reg.UC_ARM_REG_PRIMASK) & 1
        if number is not None and not self.system.active and not masked and not self.dead:
            self.system.pending.discard(number)
            self._enter(number, self._uc.reg_read(reg.UC_ARM_REG_PC))

    # ---- exceptions ----------------------------------------------------------------------------

    def _on_interrupt(self, uc: u.Uc, number: int, _: object) -> None:
        self._interrupt = number
        uc.emu_stop()

    def _on_invalid(
        self, _: u.Uc, access: int, address: int, __: int, ___: int, ____: object
    ) -> bool:
        self._invalid = access, address
        return False

    def _after_interrupt(self, number: int, pc: int) -> None:
        if number in (EXCP_EXIT, EXCP_FETCH) and pc >= exceptions.EXC_RETURN:
            self._leave(pc)
        elif number == EXCP_SVC:
            self._enter(system.SVC, pc)
        else:
            self._take(trap_of_exception(number), pc)

    def _take(self, trap: Trap, pc: int) -> None:
        """Records a fault and lets the firmware's handler have it, HardFault where it has none."""
        place = self.image.symbols.describe(pc)
        symbol = self.image.symbols.at(pc)
        if symbol is None or not symbol.is_function:
            caller = self._uc.reg_read(reg.UC_ARM_REG_LR)
            place += f", called from {self.image.symbols.describe(caller)}"
        finding = Finding(trap.what, pc, place, trap.address)
        log.info("%s: %s", self.board.name, finding)
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        own = trap.exception != HARD_FAULT and self.system.fault_enabled(trap.exception)
        hard = HARD_FAULT in self.system.active
        if hard or (own and trap.exception in self.system.active):
            self.dead = f"lockup: a fault in the fault handler: {finding}"
            return
        self.system.report_fault(trap.cfsr, 0 if own else 1 << 30, trap.address)
        self._enter(trap.exception if own else HARD_FAULT, pc)

    def _enter(self, exception: int, return_address: int) -> None:
        try:
            try:
                exceptions.enter(self._uc, exception, return_address)
            except u.UcError:
                if exception == HARD_FAULT:
                    raise
                # B1.5.11: a bus fault while stacking. Its frame is lost; the handler is entered.
                exception = HARD_FAULT
                self.system.report_fault(exceptions.STKERR, 1 << 30, None)
                exceptions.enter(self._uc, exception, return_address, can_stack=False)
            vector = self.read_memory(self.system.handler(exception), 4)
        except u.UcError:
            sp = self._uc.reg_read(reg.UC_ARM_REG_SP)
            self.dead = (
                f"lockup: no stack for exception {exception} (SP is 0x{sp:08x}), executing "
                + self.image.symbols.describe(return_address)
            )
            return
        self.system.active.append(exception)
        handler = int.from_bytes(vector, "little") | 1
        self._change_context(handler)
        self._uc.reg_write(reg.UC_ARM_REG_PC, handler)

    def _change_context(self, pc: int) -> None:
        """The core takes an exception or returns from one, and goes on at ``pc``."""
        if self._engine is not None:
            self._engine.finish(pc & ~1)
            self._engine.pass_time(self._exception_cycles)

    def _leave(self, exc_return: int) -> None:
        if not self.system.active:
            self.dead = "lockup: return from an exception outside of one"
            return
        self.system.active.pop()
        try:
            self._change_context(exceptions.leave(self._uc, exc_return))
        except u.UcError:
            self.dead = "lockup: return from an exception with a broken stack"
