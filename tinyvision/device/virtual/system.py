"""The private peripheral bus of Armv6-M to Armv8-M: SysTick, NVIC, SCB, DWT, FPU access, caches.

Addresses and bits: Armv7-M Architecture Reference Manual, B3.2 to B3.4 and C1.8. What is not named
here reads back what was written (MPU, cache maintenance, debug).
"""

from __future__ import annotations

from collections.abc import Callable

BASE = 0xE0000000
BLOCKS = ((0xE0000000, 0x3000), (0xE000E000, 0x1000), (0xE0040000, 0x3000))
"""Address and size of what answers: ITM, DWT, FPB; SCS; TPIU, ETM."""

LATENCY = 1 << 14
"""Cycles by which a SysTick interrupt may be late: the longest basic block and more."""

SVC, PENDSV, SYSTICK, FIRST_IRQ = 11, 14, 15, 16

_DWT_CTRL, DWT_CYCCNT = 0xE0001000, 0xE0001004
_ICTR, SYST_CSR, _SYST_RVR, SYST_CVR = 0xE000E004, 0xE000E010, 0xE000E014, 0xE000E018
_ISER, _ICER, _ISPR, _ICPR, _IABR = 0xE000E100, 0xE000E180, 0xE000E200, 0xE000E280, 0xE000E300
_CPUID, _ICSR, VTOR, _AIRCR = 0xE000ED00, 0xE000ED04, 0xE000ED08, 0xE000ED0C
_CCR, _SHCSR = 0xE000ED14, 0xE000ED24
CFSR, HFSR, MMFAR, BFAR = 0xE000ED28, 0xE000ED2C, 0xE000ED34, 0xE000ED38
_CLIDR, _CTR, _CCSIDR, _CSSELR, _CPACR = (
    0xE000ED78,
    0xE000ED7C,
    0xE000ED80,
    0xE000ED84,
    0xE000ED88,
)
_MPU_TYPE, _DEMCR = 0xE000ED90, 0xE000EDFC

_CPUIDS = {
    "cortex-m0plus": 0x410CC601,
    "cortex-m3": 0x412FC231,
    "cortex-m4": 0x410FC241,
    "cortex-m7": 0x411FC271,
    "cortex-m33": 0x410FD214,
}
_M7_CCSIDR = (0xF00FE019, 0xF01FE009)
"""16 KB of data cache in 4 ways, 16 KB of instruction cache in 2 (Cortex-M7 TRM, table 4-9)."""


class SystemSpace:
    """Registers of the system space; ``now()`` gives the cycles that have passed.

    ``pending`` holds the numbers of exceptions that wait to be taken. ``reset_requested`` and
    ``on_fpu`` report what concerns the whole machine.
    """

    def __init__(self, cpu: str, now: Callable[[], int], on_fpu: Callable[[bool], None]) -> None:
        self._cpu = cpu
        self._now = now
        self._on_fpu = on_fpu
        self.reset(0)

    def reset(self, vectors: int) -> None:
        """As after power-on, with the vector table at ``vectors``."""
        self._registers: dict[int, int] = {
            _CPUID: _CPUIDS.get(self._cpu, 0),
            VTOR: vectors,
            _AIRCR: 0xFA050000,
            _CCR: 0x200,
            _ICTR: 7,
            _MPU_TYPE: 0x800,
            _CLIDR: 0x09000003,
            _CTR: 0x8303C003,
            _DWT_CTRL: 0x40000000,
        }
        self.pending: set[int] = set()
        self.active: list[int] = []
        self._enabled: set[int] = set()
        self._cycles_base = 0
        self._tick_base = 0
        self._tick_seen = 0  # wraps that have interrupted
        self._tick_read = 0  # wraps that COUNTFLAG has told of
        self.reset_requested = False

    def __getitem__(self, address: int) -> int:
        return self._registers.get(address, 0)

    @property
    def has_cycle_counter(self) -> bool:
        return self._cpu != "cortex-m0plus"

    def handler(self, exception: int) -> int:
        """Address of the vector of ``exception``."""
        return self[VTOR] + 4 * exception

    def report_fault(self, cfsr: int, hfsr: int, address: int | None) -> None:
        """Sets fault status bits; ``address`` goes to BFAR or MMFAR if ``cfsr`` says so."""
        if not self.has_cycle_counter:
            return  # Armv6-M has no fault status
        self._registers[CFSR] = self[CFSR] | cfsr
        self._registers[HFSR] = self[HFSR] | hfsr
        if address is not None:
            self._registers[BFAR] = self._registers[MMFAR] = address

    def fault_enabled(self, exception: int) -> bool:
        """Whether MemManage (4), BusFault (5) or UsageFault (6) has its own handler."""
        return bool(self[_SHCSR] >> (exception + 12) & 1)

    def next_exception(self) -> int | None:
        """The pending exception to take first: system ones, then interrupts by number."""
        ready = [n for n in self.pending if n < FIRST_IRQ or n - FIRST_IRQ in self._enabled]
        return min(ready, default=None)

    # SysTick counts down from its reload value to 0 in cycles, over and over.

    def ticks_until_interrupt(self) -> int | None:
        """Cycles to the next SysTick interrupt, None where it is off."""
        if self[SYST_CSR] & 3 != 3:
            return None
        period = self[_SYST_RVR] + 1
        return period - (self._now() - self._tick_base) % period

    def tick(self) -> None:
        """Makes SysTick pending if its counter has passed 0 since the last time."""
        if self[SYST_CSR] & 3 == 3 and self._wraps() > self._tick_seen:
            self._tick_seen = self._wraps()
            self.pending.add(SYSTICK)

    def restart_systick_period(self) -> None:
        """Lets the present period begin anew, now."""
        self._tick_base = self._now()
        self._tick_seen = self._tick_read = 0

    def _wraps(self) -> int:
        return (self._now() - self._tick_base) // (self[_SYST_RVR] + 1)

    def read(self, address: int) -> int:
        """A register's 32 bits; ``address`` is a multiple of 4."""
        if address == DWT_CYCCNT:
            if self[_DWT_CTRL] & 1 and self.has_cycle_counter:
                return (self._now() - self._cycles_base) & 0xFFFFFFFF
            return self[address]
        if address == SYST_CVR:
            if not self[SYST_CSR] & 1:
                return self[address]
            reload = self[_SYST_RVR]
            passed = (self._now() - self._tick_base) % (reload + 1)
            if self[SYST_CSR] & 2 and passed < LATENCY and self._wraps() > self._tick_seen:
                return 0  # the interrupt comes with the next block; time stands still till then
            return reload - passed
        if address == SYST_CSR:
            return self._read_systick_status()
        if address == _ICSR:
            active = self.active[-1] if self.active else 0
            return active | (SYSTICK in self.pending) << 26 | (PENDSV in self.pending) << 28
        if address == _CCSIDR and self._cpu == "cortex-m7":
            return _M7_CCSIDR[self[_CSSELR] & 1]
        for base in (_ISER, _ICER):
            if base <= address < base + 0x40:
                return self._bits(self._enabled, address - base)
        for base in (_ISPR, _ICPR):
            if base <= address < base + 0x40:
                return self._bits({n - FIRST_IRQ for n in self.pending}, address - base)
        if _IABR <= address < _IABR + 0x40:
            return self._bits({n - FIRST_IRQ for n in self.active}, address - _IABR)
        return self[address]

    def _read_systick_status(self) -> int:
        value = self[SYST_CSR]
        if value & 1 and self._wraps() > self._tick_read:
            self._tick_read = self._wraps()
            value |= 1 << 16  # COUNTFLAG, cleared by this read
        return value

    @staticmethod
    def _bits(numbers: set[int], offset: int) -> int:
        first = offset * 8
        return sum(1 << (n - first) for n in numbers if first <= n < first + 32)

    def write(self, address: int, value: int) -> None:
        """Writes 32 bits."""
        if address == DWT_CYCCNT:
            self._cycles_base = self._now() - value
        elif address == _DWT_CTRL:
            if value & 1 and not self[_DWT_CTRL] & 1:
                self._cycles_base = self._now() - self[DWT_CYCCNT]
            self._registers[address] = value & 0x0FFFFFFF | 0x40000000
        elif address in (SYST_CSR, SYST_CVR):
            self._write_systick(address, value)
        elif address == _ICSR:
            for bit, number, pend in ((28, PENDSV, True), (27, PENDSV, False)):
                if value >> bit & 1:
                    (self.pending.add if pend else self.pending.discard)(number)
            for bit, number, pend in ((26, SYSTICK, True), (25, SYSTICK, False)):
                if value >> bit & 1:
                    (self.pending.add if pend else self.pending.discard)(number)
        elif address in (CFSR, HFSR):
            self._registers[address] = self[address] & ~value
        elif address == _AIRCR:
            if value >> 16 == 0x05FA:
                self.reset_requested |= bool(value & 4)
        elif address == _CPACR:
            self._registers[address] = value
            self._on_fpu(value >> 20 & 0xF == 0xF)
        elif address in (_CPUID, _CCSIDR, _CTR, _CLIDR, _MPU_TYPE):
            pass
        else:
            self._write_nvic_or_store(address, value)

    def _write_systick(self, address: int, value: int) -> None:
        if address == SYST_CSR:
            starts = value & 1 and not self[SYST_CSR] & 1
            self._registers[address] = value & 7
            if not starts:
                return
        self._registers[SYST_CVR] = 0
        self._tick_base = self._now()
        self._tick_seen = self._tick_read = 0

    def _write_nvic_or_store(self, address: int, value: int) -> None:
        for base in (_ISER, _ICER, _ISPR, _ICPR):
            if base <= address < base + 0x40:
                first = (address - base) * 8
                numbers = {first + i for i in range(32) if value >> i & 1}
                if base == _ISER:
                    self._enabled |= numbers
                elif base == _ICER:
                    self._enabled -= numbers
                elif base == _ISPR:
                    self.pending |= {n + FIRST_IRQ for n in numbers}
                else:
                    self.pending -= {n + FIRST_IRQ for n in numbers}
                return
        self._registers[address] = value
