"""Boards: one TOML file each in ``boards/``, read into frozen dataclasses and validated."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.target.core import Core
from tinyvision.target.table import Settings
from tinyvision.target.timing import Timing


@dataclass(frozen=True)
class Bank:
    """A RAM region that may hold tensors and scratch, fastest first in ``Board.banks``.

    ``size_bytes`` is what the model may use: the region less what the firmware itself keeps there.
    """

    name: str
    address: int
    size_bytes: int


@dataclass(frozen=True)
class Memory:
    """A region of the address map. ``kind``: "flash", "tcm", "sram" or "dram"; ``aliases``: other
    addresses at which the same bytes appear.
    """

    name: str
    kind: str
    address: int
    size_bytes: int
    aliases: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """First address past the region."""
        return self.address + self.size_bytes


@dataclass(frozen=True)
class SetBit:
    """A register bit that start-up sets before something can be used (a clock gate, say)."""

    register: int
    bit: int


@dataclass(frozen=True)
class Layout:
    """What the firmware keeps where, by memory name.

    ``stack_bytes`` are taken from the low end of ``ram``, so that a stack that overflows runs out
    of the memory and faults. ``data_bytes`` are kept for variables, which follow the model's bank
    and may use what the model leaves of it.
    """

    vectors: str
    code: str
    ram: str
    stack_bytes: int
    data_bytes: int
    enables: tuple[SetBit, ...] = ()


@dataclass(frozen=True)
class Boot:
    """What the chip's boot ROM wants to find in a memory before it starts the firmware: the source
    ``boot_<driver>.S``.
    """

    driver: str
    memory: str


@dataclass(frozen=True)
class Clock:
    """How start-up brings the core to full speed: the C driver ``clock_<driver>.c`` and its
    numbers, which reach it as ``BOARD_CLOCK_<KEY>``.
    """

    driver: str
    settings: Settings = ()


@dataclass(frozen=True)
class Uart:
    """The UART that reaches the host, through the debug probe as a rule.

    ``driver``: the C driver ``uart_<driver>.c``. ``clock_hz``: its kernel clock once the clock
    driver is done. ``irq``: its interrupt number. ``usb``: the ``vid:pid`` under which the host
    sees it. ``settings``: the driver's other numbers, ``BOARD_UART_<KEY>`` in C.
    """

    driver: str
    base: int
    clock_hz: int
    baud: int
    irq: int
    enables: tuple[SetBit, ...] = ()
    usb: tuple[str, ...] = ()
    settings: Settings = ()


@dataclass(frozen=True)
class Upload:
    """One way to write the flash: ``protocol`` as the PlatformIO platform knows it and what that
    calls the target.
    """

    protocol: str
    target: str


@dataclass(frozen=True)
class Register:
    """How a peripheral register of the twin reads where plain memory would not do.

    ``reset``: the value before any write. ``follow``: pairs ``(from_bit, to_bit)``; reading gives
    ``to_bit`` the value of ``from_bit`` (an oscillator that is on is ready). ``ones``: bits that
    always read 1.
    """

    offset: int
    reset: int = 0
    follow: tuple[tuple[int, int], ...] = ()
    ones: int = 0


@dataclass(frozen=True)
class Peripheral:
    """A block of registers that exists on the board. The twin refuses accesses outside of these.

    A register that isn't in ``registers`` reads back what was written, 0 at first.
    """

    name: str
    address: int
    size_bytes: int
    registers: tuple[Register, ...] = ()


@dataclass(frozen=True)
class Twin:
    """The virtual board. ``engine``: "unicorn" (our own machine from this file) or "qemu", whose
    ``machine`` then says which.
    """

    engine: str
    machine: str = ""
    peripherals: tuple[Peripheral, ...] = ()


@dataclass(frozen=True)
class Tested:
    """In words: what of this board was tested, and how."""

    build: str
    twin: str
    hardware: str


@dataclass(frozen=True)
class Hardware:
    """What the firmware, the uploader and the virtual twin need to know of a board."""

    mcu: str
    vendor: str
    url: str
    interrupts: int
    cycle_counter: str
    memories: tuple[Memory, ...]
    layout: Layout
    clock: Clock
    uart: Uart
    uploads: tuple[Upload, ...]
    twin: Twin
    boot: Boot | None = None

    def memory(self, name: str) -> Memory:
        """The memory of that name; the loader has made sure that all names used exist."""
        return next(memory for memory in self.memories if memory.name == name)


@dataclass(frozen=True)
class Board:
    """One board. The schedule and the code generator need the first six fields only.

    ``flash_bytes``: the memory that holds code and constants. ``hardware`` is None for the host.
    ``timing``: parameters of the cycle model that belong to the board; None where it has no model.
    """

    name: str
    title: str
    core: Core
    clock_mhz: float
    banks: tuple[Bank, ...]
    flash_bytes: int
    tested: Tested | None = None
    hardware: Hardware | None = None
    timing: Timing | None = None
