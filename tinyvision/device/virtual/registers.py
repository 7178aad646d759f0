"""A peripheral's registers: memory that remembers, with the few bits that the hardware drives."""

from __future__ import annotations

from tinyvision.target.board import Peripheral


class RegisterBlock:
    """The registers of one ``Peripheral``, as its board file describes them."""

    def __init__(self, peripheral: Peripheral) -> None:
        self.name = peripheral.name
        self.address = peripheral.address
        self.size_bytes = peripheral.size_bytes
        self._rules = {register.offset: register for register in peripheral.registers}
        self.reset()

    def reset(self) -> None:
        """As after power-on."""
        self._values = {offset: register.reset for offset, register in self._rules.items()}

    def read(self, offset: int) -> int:
        value = self._values.get(offset, 0)
        rule = self._rules.get(offset)
        if rule is not None:
            for source, target in rule.follow:
                value = value & ~(1 << target) | (value >> source & 1) << target
            value |= rule.ones
        return value

    def write(self, offset: int, value: int) -> None:
        self._values[offset] = value
