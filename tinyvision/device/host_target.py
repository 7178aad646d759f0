"""The generated C on this computer, as a ``Target``."""

from __future__ import annotations

from collections.abc import Sequence

from tinyvision.device.host import HostModel, HostProgram
from tinyvision.device.target import TargetKind
from tinyvision.ir.types import Array


class HostTarget:
    """Compiles ``model`` with the host's compiler and runs it in a process of its own."""

    kind: TargetKind = "host"

    def __init__(self, model: HostModel, *, sanitize: bool = False) -> None:
        self._layers = len(model.plan.units)
        self._program = HostProgram([model], sanitize=sanitize)
        self._program.open()

    def feed(self, inputs: Sequence[Array]) -> None:
        self._program.feed(inputs)

    def run(self, first: int = 0, count: int | None = None) -> int:
        self._program.run_layers(first, self._layers - first if count is None else count)
        return 0

    def fetch(self) -> list[Array]:
        return self._program.fetch()

    def read_memory(self, bank: int, offset: int, size_bytes: int) -> bytes:
        return self._program.read_bank(bank, offset, size_bytes)

    def close(self) -> None:
        self._program.close()
