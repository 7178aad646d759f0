"""Code beside what it costs: the functions that a stretch of execution spent its cycles in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinyvision.cycles.costs import Cost, InstructionCost, by_function
from tinyvision.cycles.decode import disassemble
from tinyvision.cycles.microop import Cause

WIDEST_INSTRUCTION = 4
OFTEN = 0.05
"""Stalls an execution from which on they are worth telling."""


@dataclass(frozen=True)
class Line:
    """An instruction. ``cost`` is that of all its executions."""

    address: int
    text: str
    cost: Cost

    @property
    def waits_for(self) -> str:
        """The cause of most of its stalls, "" where it seldom has any."""
        worst = max(Cause, key=lambda cause: self.cost.stalls[cause])
        often = self.cost.stalls[worst] >= OFTEN * self.cost.executions
        return worst.name.lower() if often and self.cost.stalls[worst] else ""


@dataclass(frozen=True)
class HotFunction:
    """A function and its instructions by address; ``share`` of all cycles."""

    name: str
    share: float
    cost: Cost
    lines: tuple[Line, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "share": self.share,
            "cycles": self.cost.cycles,
            "instructions": self.cost.executions,
            "stalls": self.cost.by_cause(),
            "lines": [
                {
                    "address": line.address,
                    "text": line.text,
                    "executions": line.cost.executions,
                    "cycles": line.cost.cycles,
                    "waits_for": line.waits_for,
                }
                for line in self.lines
            ],
        }


def hot_functions(
    costs: Sequence[InstructionCost],
    name_of: Callable[[int], str],
    read: Callable[[int, int], bytes],
    share: float = 0.95,
) -> list[HotFunction]:
    """The functions that make up ``share`` of the cycles, the dearest first.

    ``name_of`` an address: its function; ``read``: bytes of code.
    """
    everything = sum(item.cost.cycles for item in costs) or 1
    found: list[HotFunction] = []
    for name, cost in by_function(costs, name_of).items():
        if sum(function.cost.cycles for function in found) >= share * everything:
            break
        lines = tuple(
            Line(item.address, _text(item.address, read), item.cost)
            for item in sorted(costs, key=lambda item: item.address)
            if name_of(item.address) == name
        )
        found.append(HotFunction(name, cost.cycles / everything, cost, lines))
    return found


def _text(address: int, read: Callable[[int, int], bytes]) -> str:
    code = read(address, WIDEST_INSTRUCTION)
    known = disassemble(code, address)
    return known[0][1] if known else code.hex()
