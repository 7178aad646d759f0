"""The time of an engine in Python, and the account of what it goes by with."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyvision.cycles.microop import Cause, MicroOp


@dataclass
class Account:
    """A ``Cost`` that grows."""

    executions: int = 0
    cycles: int = 0
    stalls: list[int] = field(default_factory=lambda: [0] * len(Cause))


@dataclass
class Clock:
    """``account`` is that of the instruction being played, ``total`` that of all."""

    cycle: int = 0
    account: Account = field(default_factory=Account)
    total: Account = field(default_factory=Account)

    def stall(self, cause: Cause, cycles: int) -> None:
        self.account.stalls[cause] += cycles
        self.total.stalls[cause] += cycles


@dataclass(frozen=True)
class Step:
    """One instruction as it runs. ``address``: of its first access. ``next``: the instruction that
    follows in time, ``next_wide`` if it has 32 bits. ``executed``: its condition did not fail.
    """

    op: MicroOp
    address: int
    executed: bool
    next: int
    next_wide: bool

    @property
    def taken(self) -> bool:
        """Whether it branched."""
        return self.op.branches and self.next != self.op.end
