"""The cycle model's engine: what it is asked and what it answers, whoever computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tinyvision.cycles.costs import Cost, InstructionCost
from tinyvision.cycles.decode import decode
from tinyvision.cycles.microop import MicroOp, Watch
from tinyvision.cycles.native_engine import NativeEngine
from tinyvision.cycles.parameters import Parameters
from tinyvision.cycles.python_engine import PythonEngine
from tinyvision.native import library

_WINDOW_BYTES = 128
"""How far ahead code is decoded at a time."""


class Engine(Protocol):
    """Plays instructions, one by one in the order in which they run, and counts cycles."""

    @property
    def cycle(self) -> int:
        """Now. An instruction that has begun but is not finished is not in it."""

    @property
    def total(self) -> Cost:
        """Of all instructions played."""

    def clear(self) -> None:
        """Empties caches, buffers and predictors, as after power-on. The time goes on."""

    def pass_time(self, cycles: int) -> None:
        """Lets time go by in which nothing runs."""

    def finish(self, next_address: int) -> None:
        """The instruction that has begun is followed by the one at ``next_address``."""

    def play(
        self, address: int, access: int, executed: bool, next_address: int, next_wide: bool
    ) -> None:
        """Plays the instruction at ``address``: ``access`` is the address of its first load or
        store, ``executed`` false if its condition failed, ``next_wide`` true if the instruction
        that runs next, at ``next_address``, has 32 bits.
        """

    def watch(self, address: int, size_bytes: int, on_access: Watch) -> None:
        """Tells of every access that begins in ``[address, address + size_bytes)``, once it has
        happened.
        """

    def costs(self) -> list[InstructionCost]:
        """Of all instructions executed since ``clear_costs``, by address."""

    def clear_costs(self) -> None:
        """Begins to count anew."""


def make_engine(
    parameters: Parameters, read: Callable[[int, int], bytes], native: bool = True
) -> NativeEngine | PythonEngine:
    """An engine; ``read`` gives bytes of memory at an address, fewer where the memory ends.

    It is the native one where there is a compiler (or one was at installation).
    """

    def instructions(address: int) -> list[MicroOp]:
        return decode(read(address, _WINDOW_BYTES), address)

    shared = library() if native else None
    if shared is None:
        return PythonEngine(parameters, instructions)
    return NativeEngine(shared, parameters, instructions)
