"""A W25Q16JV flash chip behind the RP2040's serial interface, as far as starting it needs.

Facts: RP2040 data sheet 4.10 (SSI), W25Q16JV data sheet 7.1 (status) and 8.2 (instructions).
"""

from __future__ import annotations

CTRLR0, CTRLR1, SSIENR, SER, BAUDR, SR, DR = 0x00, 0x04, 0x08, 0x10, 0x14, 0x28, 0x60
RX_SAMPLE_DLY, SPI_CTRLR0 = 0xF0, 0xF4
QUAD_ENABLE = 2


class SerialFlash:
    """Registers of the SSI by offset. ``status_2``: the chip's second status register.

    A transfer lasts until the interface is seen idle. ``trusts_mode``: the chip expects no command
    before the next read.
    """

    def __init__(self, status_2: int) -> None:
        self.status_2 = status_2
        self.trusts_mode = False
        self._registers: dict[int, int] = {}
        self._sent: list[int] = []
        self._received: list[int] = []
        self._write_enabled = False
        self._busy_polls = 0

    def read(self, offset: int) -> int:
        if offset == SR:
            self._finish()
            return 1 << 2  # TFE, not BUSY
        if offset == DR:
            return self._received.pop(0) if self._received else 0
        return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        enabled = self._registers.get(SSIENR, 0) & 1
        if offset == DR:
            assert enabled and self._registers.get(SER) == 1, "the chip is not selected"
            self._sent.append(value)
        else:
            assert not enabled or offset == SSIENR, f"set up while on: {offset:#x}"
            self._registers[offset] = value
            if offset == SSIENR:
                assert not self._sent, "switched in the middle of a transfer"
                self._received.clear()

    def _field(self, offset: int, low: int, bits: int) -> int:
        return self._registers.get(offset, 0) >> low & (1 << bits) - 1

    def _finish(self) -> None:
        sent, self._sent = self._sent, []
        if not sent:
            return
        if self._field(CTRLR0, 21, 2) == 0:
            assert self._field(CTRLR0, 16, 5) == 7 and self._field(CTRLR0, 8, 2) == 0
            self._received += self._serial(sent)
        else:
            self._quad(sent)

    def _serial(self, sent: list[int]) -> list[int]:
        assert not self.trusts_mode, "a command where the chip expects an address"
        command, answers = sent[0], [0xFF] * len(sent)
        if command == 0x06:
            self._write_enabled = True
        elif command == 0x01:
            assert self._write_enabled and len(sent) == 3
            self.status_2, self._busy_polls = sent[2], 3
        elif command == 0x05:
            answers[1:] = [int(self._busy_polls > 0)] * (len(sent) - 1)
            self._busy_polls = max(0, self._busy_polls - 1)
        else:
            assert command == 0x35
            answers[1:] = [self.status_2] * (len(sent) - 1)
        return answers

    def _quad(self, sent: list[int]) -> None:
        assert self._reads_words_on_four_lines()
        assert self._field(SPI_CTRLR0, 8, 2) == 2, "a command of 8 bits"
        assert self._field(SPI_CTRLR0, 0, 2) == 1, "command on one line, address on four"
        command, address_and_mode = sent
        assert command == 0xEB and self.status_2 & QUAD_ENABLE and not self._busy_polls
        self.trusts_mode = address_and_mode >> 4 & 3 == 2  # M5-4 = 10
        self._received.append(0)

    def _reads_words_on_four_lines(self) -> bool:
        return (
            self._field(CTRLR0, 21, 2) == 2  # quad
            and self._field(CTRLR0, 16, 5) == 31
            and self._field(CTRLR0, 8, 2) == 3  # send, then receive
            and self._registers.get(CTRLR1) == 0
            and self._field(SPI_CTRLR0, 2, 4) == 8  # 32 bits of address and mode
            and self._field(SPI_CTRLR0, 11, 5) == 4  # and 4 clocks of pause
        )

    @property
    def executes_in_place(self) -> bool:
        """Whether a read of the flash's addresses works, without commands."""
        return (
            self.trusts_mode
            and bool(self._registers.get(SSIENR, 0) & 1)
            and self._reads_words_on_four_lines()
            and self._field(SPI_CTRLR0, 8, 2) == 0  # no command
            and self._field(SPI_CTRLR0, 0, 2) == 2  # all on four lines
            and self._field(SPI_CTRLR0, 28, 2) == 2  # the mode bits again: M5-4 = 10
        )
