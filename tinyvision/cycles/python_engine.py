"""The engine in Python: slow, but equal to the native one in every number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinyvision.cycles.clock import Account, Clock, Step
from tinyvision.cycles.cores import Pipeline as PipelineName
from tinyvision.cycles.costs import Cost, InstructionCost
from tinyvision.cycles.memory import MemorySystem
from tinyvision.cycles.microop import NO_REGISTER, MicroOp, Watch
from tinyvision.cycles.parameters import Parameters
from tinyvision.cycles.pipelines.m0 import M0
from tinyvision.cycles.pipelines.m3 import M3
from tinyvision.cycles.pipelines.m7 import M7
from tinyvision.cycles.pipelines.m33 import M33
from tinyvision.cycles.pipelines.m55 import M55
from tinyvision.cycles.pipelines.pipeline import Pipeline

_PIPELINES: dict[PipelineName, type[Pipeline]] = {
    PipelineName.M0: M0,
    PipelineName.M3: M3,
    PipelineName.M7: M7,
    PipelineName.M33: M33,
    PipelineName.M55: M55,
}
_LONGEST_IT = 16


class PythonEngine:
    """An ``Engine``; ``decode`` gives the instructions from an address on."""

    def __init__(self, parameters: Parameters, decode: Callable[[int], Sequence[MicroOp]]) -> None:
        self._decode = decode
        self._clock = Clock()
        self._memory = MemorySystem(parameters, self._clock)
        pipeline = _PIPELINES[parameters.core.pipeline]
        self._pipeline = pipeline(parameters.core, self._memory, self._clock)
        self._ops: dict[int, MicroOp] = {}
        self._accounts: dict[int, Account] = {}
        self._pending: tuple[MicroOp, int] | None = None
        self._watched = range(0)
        self._on_access: Watch | None = None

    @property
    def cycle(self) -> int:
        return self._clock.cycle

    @property
    def total(self) -> Cost:
        return _cost(self._clock.total)

    def clear(self) -> None:
        self._memory.clear()
        self._pipeline.clear()

    def pass_time(self, cycles: int) -> None:
        self._clock.cycle += cycles

    def play(
        self, address: int, access: int, executed: bool, next_address: int, next_wide: bool
    ) -> None:
        op = self._find(address)
        if op is not None:
            self._play(op, Step(op, access, executed, next_address, next_wide))

    def watch(self, address: int, size_bytes: int, on_access: Watch) -> None:
        self._watched = range(address, address + size_bytes)
        self._on_access = on_access

    def costs(self) -> list[InstructionCost]:
        return [
            InstructionCost(address, _cost(account))
            for address, account in sorted(self._accounts.items())
            if account.executions
        ]

    def clear_costs(self) -> None:
        self._accounts.clear()

    def begin(self, address: int, register: Callable[[int], int]) -> None:
        """The emulator is about to execute the instruction at ``address``; ``register`` gives the
        value of r0 to r15.
        """
        op = self._find(address)
        self.finish(address)
        if op is not None:
            self._pending = op, _first_access(op, register) if op.transfers else 0

    def finish(self, next_address: int) -> None:
        """Plays the instruction that has begun, now that it is known what follows it.

        The emulator does not tell of instructions in an IT block whose condition fails: they are
        what lies between.
        """
        if self._pending is None:
            return
        (op, access), executed = self._pending, True
        self._pending = None
        while True:
            gap = (next_address - op.end) & 0xFFFFFFFF
            skips = not (executed and op.branches) and 0 < gap < _LONGEST_IT
            following = op.end if skips else next_address
            after = self._find(following)
            wide = after is not None and after.size == 4
            self._play(op, Step(op, access, executed, following, wide))
            if not skips or after is None:
                return
            op, access, executed = after, 0, False

    def _find(self, address: int) -> MicroOp | None:
        if address not in self._ops:
            for op in self._decode(address):
                self._ops.setdefault(op.address, op)
        return self._ops.get(address)

    def _play(self, op: MicroOp, step: Step) -> None:
        if step.executed and op.transfers and step.address in self._watched and self._on_access:
            self._on_access(op.address, step.address, op.transfers * op.width, op.stores)
        clock = self._clock
        before = clock.cycle
        clock.account = self._accounts.setdefault(op.address, Account())
        self._pipeline.play(step)
        for account in (clock.account, clock.total):
            account.executions += 1
            account.cycles += clock.cycle - before


def _first_access(op: MicroOp, register: Callable[[int], int]) -> int:
    address = op.offset
    if op.base != NO_REGISTER:
        address += register(op.base)
    if op.index != NO_REGISTER:
        address += register(op.index) << op.shift
    return address & 0xFFFFFFFF


def _cost(account: Account) -> Cost:
    return Cost(account.executions, account.cycles, tuple(account.stalls))
