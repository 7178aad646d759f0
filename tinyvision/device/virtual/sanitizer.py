"""Finds what a run with right results may hide: accesses outside of a layer's buffers, reads of
memory that nothing has written.

Watches the model's banks, and the guards around them, on a virtual board. The plan says which bytes
a layer may read (inputs, outputs, scratch) and write (outputs, scratch). What a layer leaves
unwritten in its outputs, or finds in its scratch, counts as never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyvision.device.symbols import Symbols
from tinyvision.device.virtual.machine import Machine
from tinyvision.schedule.plan import Buffer, Plan
from tinyvision.target import GUARD_BYTES, Board

READABLE, WRITABLE = 1, 2
MAX_FINDINGS = 1000


@dataclass
class AccessFinding:
    """``kind``: "read of memory never written", "read outside of the layer's buffers" or "write
    outside of the layer's buffers". ``address`` is the first such byte of the first such access,
    ``place`` where in the code it happened, ``buffer`` what lies there; ``count`` accesses in all.
    """

    kind: str
    layer: str
    address: int
    place: str
    buffer: str
    count: int = 1

    def __str__(self) -> str:
        times = "" if self.count == 1 else f", {self.count} times"
        return (
            f"layer {self.layer}: {self.kind} at 0x{self.address:08x} ({self.buffer}), "
            f"executing {self.place}{times}"
        )


class _Bank:
    """State of every byte of a bank and of its guards."""

    def __init__(self, name: str, address: int, used_bytes: int) -> None:
        self.name = name
        self.start = address - GUARD_BYTES
        self.size = used_bytes + 2 * GUARD_BYTES
        self.written = bytearray(self.size)
        self.allowed = bytearray(self.size)

    def at(self, offset: int) -> int:
        """Where an offset into the bank is in the arrays."""
        return offset + GUARD_BYTES

    def mark(self, state: bytearray, buffer: Buffer, value: int) -> None:
        """Adds (``value`` above 0) or clears bits for all bytes of a buffer."""
        start, end = self.at(buffer.offset), self.at(buffer.end)
        state[start:end] = bytes(b | value if value else 0 for b in state[start:end])


class Sanitizer:
    """Watches ``machine`` while it runs ``plan``. Announce each layer with ``enter`` and
    ``leave``; accesses in between are the layer's, all others the agent's.
    """

    def __init__(self, plan: Plan, board: Board, machine: Machine, symbols: Symbols) -> None:
        self.findings: list[AccessFinding] = []
        self._plan = plan
        self._symbols = symbols
        self._layer: int | None = None
        self._known: dict[tuple[str, int, int], AccessFinding] = {}
        addresses = {bank.name: bank.address for bank in board.banks}
        used = [bank for bank in plan.banks if bank.used_bytes]
        self._banks = {b.name: _Bank(b.name, addresses[b.name], b.used_bytes) for b in used}
        low = min(bank.start for bank in self._banks.values())
        high = max(bank.start + bank.size for bank in self._banks.values())
        machine.watch(low, high - low, self._on_access)

    def begin(self) -> None:
        """A new inference: nothing is written but what the agent writes from now on."""
        for bank in self._banks.values():
            bank.written = bytearray(bank.size)

    def enter(self, layer: int) -> None:
        """The layer is about to run."""
        inputs, outputs = self._buffers(layer)
        for bank in self._banks.values():
            bank.allowed = bytearray(bank.size)
        for buffer in outputs:
            self._forget(buffer, inputs)
            bank = self._banks[buffer.bank]
            bank.mark(bank.allowed, buffer, READABLE | WRITABLE)
        for buffer in inputs:
            bank = self._banks[buffer.bank]
            bank.mark(bank.allowed, buffer, READABLE)
        self._layer = layer

    def _buffers(self, layer: int) -> tuple[list[Buffer], list[Buffer]]:
        """What the layer reads and does not make itself, and what it writes."""
        first, last = self._plan.units[layer]
        steps = self._plan.steps[first : last + 1]
        written = {name: None for step in steps for name in step.outputs}
        memories = [name for step in steps for name in (step.scratch, step.sums)]
        memories.append(self._plan.segment_of(first).state)
        if layer == 0 and self._plan.rows_arrive:
            memories += self._plan.inputs
        written.update(dict.fromkeys(name for name in memories if name))
        read = dict.fromkeys(name for step in steps for name in step.inputs)
        buffers = self._plan.buffers
        inputs = [buffers[name] for name in read if name not in written]
        return inputs, [buffers[name] for name in written if name in buffers]

    def leave(self) -> None:
        """The layer has run."""
        self._layer = None

    def _forget(self, buffer: Buffer, inputs: Sequence[Buffer]) -> None:
        """What an earlier layer left in ``buffer`` is nobody's, where it is no input."""
        bank = self._banks[buffer.bank]
        kept = bytes(bank.written)
        bank.mark(bank.written, buffer, 0)
        for other in inputs:
            if other.bank == buffer.bank:
                start, end = bank.at(other.offset), bank.at(other.end)
                bank.written[start:end] = kept[start:end]

    def _on_access(self, pc: int, address: int, size_bytes: int, is_store: bool) -> None:
        for bank in self._banks.values():
            first = address - bank.start
            if 0 <= first < bank.size:
                self._check(bank, pc, first, size_bytes, is_store)
                return

    def _check(self, bank: _Bank, pc: int, first: int, size_bytes: int, is_store: bool) -> None:
        last = min(first + size_bytes, bank.size)
        if self._layer is None:
            if is_store:
                bank.written[first:last] = b"\1" * (last - first)
            return
        needed = WRITABLE if is_store else READABLE
        for index in range(first, last):
            if not bank.allowed[index] & needed:
                verb = "write" if is_store else "read"
                self._report(f"{verb} outside of the layer's buffers", bank, pc, index)
                break
            if not is_store and not bank.written[index]:
                self._report("read of memory never written", bank, pc, index)
                break
        if is_store:
            bank.written[first:last] = b"\1" * (last - first)

    def _report(self, kind: str, bank: _Bank, pc: int, index: int) -> None:
        assert self._layer is not None
        key = kind, self._layer, pc
        if key in self._known:
            self._known[key].count += 1
        elif len(self._known) < MAX_FINDINGS:
            finding = AccessFinding(
                kind,
                self._plan.unit_name(self._layer),
                bank.start + index,
                self._symbols.describe(pc),
                self._whose(bank, index - GUARD_BYTES),
            )
            self._known[key] = finding
            self.findings.append(finding)

    def _whose(self, bank: _Bank, offset: int) -> str:
        """What lies at an offset of a bank while the present layer runs."""
        if offset < 0 or offset >= bank.size - 2 * GUARD_BYTES:
            return f"guard of bank {bank.name}"
        assert self._layer is not None
        for buffer in self._plan.buffers.values():
            step = self._plan.units[self._layer][0]
            alive = buffer.bank == bank.name and buffer.alive(step)
            if alive and buffer.offset <= offset < buffer.end:
                what = "scratch" if buffer.is_scratch else f"tensor {buffer.name}"
                return f"byte {offset - buffer.offset} of {what}"
        return f"free byte {offset} of bank {bank.name}"
