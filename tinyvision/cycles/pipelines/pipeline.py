"""What every pipeline has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from tinyvision.cycles.clock import Clock, Step
from tinyvision.cycles.cores import CoreTiming
from tinyvision.cycles.memory import MemorySystem
from tinyvision.cycles.microop import Cause

REGISTERS = 64


def registers(mask: int) -> Iterator[int]:
    """Numbers of the registers in a mask."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


class Pipeline(ABC):
    """Lets the clock run on by what each instruction takes."""

    def __init__(self, core: CoreTiming, memory: MemorySystem, clock: Clock) -> None:
        self.core = core
        self.memory = memory
        self.clock = clock
        self.clear()

    @abstractmethod
    def clear(self) -> None:
        """Forgets what came before."""

    @abstractmethod
    def play(self, step: Step) -> None:
        """Runs one instruction."""

    def longer(self, cycles: int) -> int:
        """The cycles of an instruction that takes more than one."""
        self.clock.stall(Cause.OTHER, cycles - 1)
        return cycles


def latest(ready: list[int], mask: int, time: int, last: int = -1) -> tuple[int, int]:
    """When all registers of a mask are ready, not before ``time``, and which of them is the one
    that is waited for (``last`` where none is).
    """
    for register in registers(mask):
        if ready[register] > time:
            time, last = ready[register], register
    return time, last
