"""UART register families, as data, and a model that serves them from a byte stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyvision.errors import BoardError

IDLE_POLLS = 16
"""So many looks at an empty receiver, without sending, and the firmware is taken to be waiting."""


@dataclass(frozen=True)
class UartFamily:
    """Registers by offset. ``always``: status bits that never change (transmitter empty, ready);
    ``received``: the bits that say a byte is there, ``empty`` those that say the contrary.
    ``interrupt``: offset and mask of the bit that lets reception interrupt. ``fixed``: registers
    that read the same whatever is written, with their values.
    """

    status: int
    always: int
    received: int
    data_in: int
    data_out: int
    interrupt: tuple[int, int]
    empty: int = 0
    fixed: tuple[tuple[int, int], ...] = ()


FAMILIES = {
    # USART of F2 and F4 (RM0383 19.6): SR.TXE, TC, RXNE; DR; CR1.RXNEIE.
    "stm32_v1": UartFamily(0x00, 0xC0, 0x20, 0x04, 0x04, (0x0C, 0x20)),
    # USART and LPUART of F7, H7, L4, G0, U5 (RM0433 48.7): ISR.REACK, TEACK, TXE, TC, RXNE; RDR;
    # TDR.
    "stm32_v2": UartFamily(0x1C, 0x6000C0, 0x20, 0x24, 0x28, (0x00, 0x20)),
    # PL011 (DDI 0183): FR.TXFE, RXFE; DR; IMSC.RXIM.
    "pl011": UartFamily(0x18, 0x80, 0, 0x00, 0x00, (0x38, 0x10), empty=0x10),
    # UART of nRF52 (product specification): EVENTS_RXDRDY; RXD; TXD; INTENSET.RXDRDY;
    # EVENTS_TXDRDY, as every byte is out at once.
    "nrf": UartFamily(0x108, 0, 1, 0x518, 0x51C, (0x304, 0x04), fixed=((0x11C, 1),)),
}


class UartModel:
    """Registers of one UART. ``receive(wait)`` gives what has come from the host, having waited a
    little where told to; ``send(data)`` takes what goes out.
    """

    def __init__(
        self, driver: str, receive: Callable[[bool], bytes], send: Callable[[bytes], None]
    ) -> None:
        if driver not in FAMILIES:
            raise BoardError(
                f"the virtual board has no UART of the family '{driver}'",
                hint=f"It has {', '.join(FAMILIES)}; QEMU may have the board.",
            )
        self.family = FAMILIES[driver]
        self._receive, self._send = receive, send
        self._registers: dict[int, int] = dict(self.family.fixed)
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._polls = 0
        self._accesses = 0

    def reset(self) -> None:
        """As after power-on; bytes under way stay."""
        self._registers.clear()
        self._registers.update(self.family.fixed)

    def read(self, offset: int) -> int:
        """A register's 32 bits. Looking at an empty receiver again and again waits for the host."""
        family = self.family
        self._accesses += 1
        if offset == family.status:
            if not self._incoming:
                self._polls += 1
                if self._polls > IDLE_POLLS:
                    self.fetch(wait=True)
            return family.always | (family.received if self._incoming else family.empty)
        if offset == family.data_in:
            self._polls = 0
            return self._incoming.pop(0) if self._incoming else 0
        return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        self._accesses += 1
        if offset == self.family.data_out:
            self._polls = 0
            self._outgoing.append(value & 0xFF)
            if len(self._outgoing) >= 1024:
                self.flush()
        else:
            self._store(offset, value)

    def _store(self, offset: int, value: int) -> None:
        """A write to a register other than that for data."""
        if all(offset != register for register, _ in self.family.fixed):
            self._registers[offset] = value

    def fetch(self, wait: bool) -> None:
        """Takes in what the host has sent; with ``wait``, sends all first and waits a little."""
        if wait:
            self.flush()
        self._incoming += self._receive(wait)

    def flush(self) -> None:
        """Sends what the firmware has written."""
        if self._outgoing:
            data = bytes(self._outgoing)
            self._outgoing.clear()
            self._send(data)

    @property
    def accesses(self) -> int:
        """How often the firmware has read or written a register."""
        return self._accesses

    @property
    def has_byte(self) -> bool:
        """Whether a received byte waits to be read."""
        return bool(self._incoming)

    @property
    def may_interrupt(self) -> bool:
        """Whether the firmware wants an interrupt for a received byte."""
        offset, mask = self.family.interrupt
        return bool(self._registers.get(offset, 0) & mask)
