"""Where the cycles went."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tinyvision.cycles.microop import Cause

NO_STALLS = (0,) * len(Cause)


@dataclass(frozen=True)
class Cost:
    """Of an instruction, a function, a layer. ``stalls`` by ``Cause``: cycles, out of ``cycles``,
    in which nothing was issued; all others issued one instruction, or more.
    """

    executions: int = 0
    cycles: int = 0
    stalls: tuple[int, ...] = NO_STALLS

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.executions + other.executions,
            self.cycles + other.cycles,
            tuple(a + b for a, b in zip(self.stalls, other.stalls, strict=True)),
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.executions - other.executions,
            self.cycles - other.cycles,
            tuple(a - b for a, b in zip(self.stalls, other.stalls, strict=True)),
        )

    def by_cause(self) -> dict[str, int]:
        """Stalls under the names that reports use."""
        return {cause.name.lower(): self.stalls[cause] for cause in Cause}


@dataclass(frozen=True)
class InstructionCost:
    """What the instruction at ``address`` has cost in all."""

    address: int
    cost: Cost


def total(costs: Iterable[InstructionCost]) -> Cost:
    """All together."""
    result = Cost()
    for item in costs:
        result += item.cost
    return result


def by_function(costs: Iterable[InstructionCost], name_of: Callable[[int], str]) -> dict[str, Cost]:
    """Costs by the function that ``name_of`` gives for an address, the dearest first."""
    sums: dict[str, Cost] = {}
    for item in costs:
        name = name_of(item.address)
        sums[name] = sums.get(name, Cost()) + item.cost
    return dict(sorted(sums.items(), key=lambda entry: -entry[1].cycles))
