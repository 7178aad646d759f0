"""The board's memories: mapped at their addresses and aliases, filled as after programming."""

from __future__ import annotations

import ctypes
import mmap
import random
from collections.abc import Sequence

from unicorn import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_READ, Uc

from tinyvision.device.virtual.image import Image, Segment
from tinyvision.errors import DeviceError
from tinyvision.target.board import Memory

POWER_ON_SEED = 0x7F4A7C15
"""Of the garbage that RAM holds at power-on: the same every time."""


class Memories:
    """Flash and RAM of a machine. ``regions``: address, size and host address of each mapping."""

    def __init__(self, machine: Uc, memories: Sequence[Memory]) -> None:
        self._memories = memories
        self._pages: dict[str, mmap.mmap] = {}
        self.regions: list[tuple[int, int, int]] = []
        for memory in memories:
            self._map(machine, memory)

    def _map(self, machine: Uc, memory: Memory) -> None:
        pages = mmap.mmap(-1, memory.size_bytes)
        if memory.kind == "flash":
            pages.write(b"\xff" * memory.size_bytes)
            access = UC_PROT_READ | UC_PROT_EXEC
        else:
            pages.write(random.Random(POWER_ON_SEED).randbytes(memory.size_bytes))
            access = UC_PROT_ALL
        self._pages[memory.name] = pages
        host = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        for address in (memory.address, *memory.aliases):
            machine.mem_map_ptr(address, memory.size_bytes, access, ctypes.c_void_p(host))
            self.regions.append((address, memory.size_bytes, host))

    def load(self, image: Image, board: str) -> None:
        """Programs ``image``; DeviceError where it lies outside of the memories."""
        for segment in image.segments:
            memory, offset = self._place(segment, image, board)
            self._pages[memory.name][offset : offset + len(segment.data)] = segment.data

    def _place(self, segment: Segment, image: Image, board: str) -> tuple[Memory, int]:
        """The memory that holds all of a segment, and where in it."""
        for memory in self._memories:
            for address in (memory.address, *memory.aliases):
                offset = segment.address - address
                if 0 <= offset <= memory.size_bytes - len(segment.data):
                    return memory, offset
        raise DeviceError(
            f"the firmware has bytes at 0x{segment.address:08x}, where the board has no memory",
            str(image.path),
            hint=f"Was it built for {board}?",
        )
