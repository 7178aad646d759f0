"""The plan: what runs in which order and which bytes of which bank everything occupies. Data
only.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.kernels.kernel import Kernel


@dataclass(frozen=True)
class Buffer:
    """A tensor's or a step's scratch memory: bytes ``[offset, offset + size_bytes)`` of a bank.

    Alive from step ``first_step`` to ``last_step`` inclusive. Step -1 is the writing of the
    inputs, step ``len(steps)`` the reading of the outputs.
    """

    name: str
    bank: str
    offset: int
    size_bytes: int
    first_step: int
    last_step: int
    is_scratch: bool = False


@dataclass(frozen=True)
class Step:
    """One kernel call: operator ``op`` (its name) by ``kernel``; ``scratch`` names its scratch
    buffer or is "".
    """

    op: str
    kernel: Kernel
    macs: int
    scratch: str = ""


@dataclass(frozen=True)
class Segment:
    """Contiguous steps ``[first_step, last_step]`` that are scheduled as one; ``kind`` says how
    ("layer").
    """

    kind: str
    first_step: int
    last_step: int
    sram_bytes: int


@dataclass(frozen=True)
class BankUse:
    """``used_bytes``: highest byte any buffer occupies; what the firmware reserves for the
    model.
    """

    name: str
    used_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """``macs`` counts the graph as imported, ``macs_executed`` what runs after passes and
    recomputation.
    """

    model: str
    board: str
    schedule: str
    steps: tuple[Step, ...]
    buffers: dict[str, Buffer]
    segments: tuple[Segment, ...]
    banks: tuple[BankUse, ...]
    macs: int
    macs_executed: int
    flash_bytes: int

    @property
    def sram_bytes(self) -> int:
        """Everything the model needs in RAM: tensors and scratch, over all banks."""
        return sum(bank.used_bytes for bank in self.banks)
