"""What an engine is built from: a core's timing and a board's memories, in the engine's terms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from tinyvision.cycles.cores import CORES, CoreTiming
from tinyvision.target.board import Board, Memory
from tinyvision.target.timing import CacheTiming, FlashTiming, MemoryTiming


class Storage(IntEnum):
    """How a range of addresses is reached."""

    PLAIN = 0
    FLASH = 1
    CACHED = 2


@dataclass(frozen=True)
class Range:
    """Addresses ``[address, address + size_bytes)``. ``read`` and ``write``: wait states, or what
    filling a cache line costs.
    """

    address: int
    size_bytes: int
    storage: Storage
    read: int = 0
    write: int = 0


@dataclass(frozen=True)
class Parameters:
    """A core and its memories."""

    core: CoreTiming
    flash: FlashTiming
    fetch_cache: CacheTiming | None
    data_cache: CacheTiming | None
    unified: bool
    ranges: tuple[Range, ...]


def has_model(board: Board) -> bool:
    """Whether cycles can be modelled for a board."""
    return board.timing is not None and board.core.name in CORES


def parameters(board: Board) -> Parameters:
    """The parameters of a board that has a model."""
    timing, hardware = board.timing, board.hardware
    if timing is None or hardware is None:
        raise ValueError(f"board {board.name} has no timing")
    waits = {memory.name: memory for memory in timing.memories}
    ranges: list[Range] = []
    for memory in hardware.memories:
        ranges += _ranges(memory, waits.get(memory.name, MemoryTiming(memory.name)))
    return Parameters(
        core=CORES[board.core.name],
        flash=timing.flash,
        fetch_cache=timing.fetch_cache,
        data_cache=timing.data_cache,
        unified=timing.unified,
        ranges=tuple(ranges),
    )


def basis(board: Board) -> str:
    """What the modelled cycles of a board rest on, in words."""
    if board.timing is None or board.core.name not in CORES:
        return "instruction count"
    return f"cycle model: {board.timing.basis}"


def _ranges(memory: Memory, timing: MemoryTiming) -> list[Range]:
    storage = Storage.CACHED if timing.cached else Storage.PLAIN
    storage = Storage.FLASH if memory.kind == "flash" else storage
    bounds = [0, *timing.splits, memory.size_bytes]
    return [
        Range(start + low, high - low, storage, timing.read, timing.write)
        for start in (memory.address, *memory.aliases)
        for low, high in pairwise(bounds)
    ]
