"""Micro-operations: what the cycle model needs to know of an instruction. ``native/engine.h`` has
the same enumerations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

Watch = Callable[[int, int, int, bool], None]
"""Is told of an access: address of the instruction, of the data, its bytes, whether it stores."""

FLAGS_BIT = 16
FPU_BIT = 32
NO_REGISTER = 255


class Kind(IntEnum):
    """What an instruction is to a pipeline."""

    ALU = 0
    SHIFT = 1
    BIT = 2
    """Bit fields, extensions, saturation and SIMD but for multiplications."""
    MULTIPLY = 3
    MAC = 4
    MULTIPLY_LONG = 5
    DIVIDE = 6
    SYSTEM = 7
    NOP = 8
    IT = 9
    BARRIER = 10
    LOAD = 11
    STORE = 12
    LOAD_MULTIPLE = 13
    STORE_MULTIPLE = 14
    LOAD_DOUBLE = 15
    STORE_DOUBLE = 16
    BRANCH = 17
    BRANCH_IF = 18
    COMPARE_BRANCH = 19
    CALL = 20
    BRANCH_REGISTER = 21
    POP_PC = 22
    LOAD_PC = 23
    TABLE_BRANCH = 24
    LOOP_START = 25
    LOOP_END = 26
    FP = 27
    FP_FMA = 28
    FP_MLA = 29
    FP_DIVIDE = 30
    FP_MOVE = 31
    FP_LOAD = 32
    FP_STORE = 33
    FP_LOAD_MULTIPLE = 34
    FP_STORE_MULTIPLE = 35
    VECTOR = 36
    VECTOR_MULTIPLY = 37
    VECTOR_FLOAT = 38
    VECTOR_LOAD = 39
    VECTOR_STORE = 40
    VECTOR_GATHER = 41


_STORES = {
    Kind.STORE,
    Kind.STORE_MULTIPLE,
    Kind.STORE_DOUBLE,
    Kind.FP_STORE,
    Kind.FP_STORE_MULTIPLE,
    Kind.VECTOR_STORE,
}


class Flag(IntEnum):
    """Bits of ``MicroOp.flags``."""

    REGISTER_OFFSET = 1 << 0
    INLINE_SHIFT = 1 << 1
    SETS_FLAGS = 1 << 2
    NARROW = 1 << 3
    SHIFTED_IMMEDIATE = 1 << 4
    CONDITIONAL = 1 << 5
    EARLY = 1 << 6
    EARLY_OPERAND = 1 << 7
    DOUBLE = 1 << 8
    EXTEND_ADD = 1 << 9
    RETURN = 1 << 10
    LONG_ACCUMULATE = 1 << 11


class Cause(IntEnum):
    """Why cycles go by in which no instruction is issued."""

    LOAD_USE = 0
    """A loaded value is needed sooner than it can be there."""
    FLASH_WAIT = 1
    """Wait states of the flash, for instructions or data, past its buffers."""
    CACHE_MISS = 2
    BRANCH = 3
    """Refilling the pipeline."""
    DEPENDENCY = 4
    """Any other result that is needed too soon."""
    OTHER = 5
    """Instructions that take several cycles, unaligned accesses."""


@dataclass(frozen=True)
class MicroOp:
    """One instruction. Masks of registers: r0 to r15 from bit 0, the flags, s0 to s31 from bit 32.

    ``transfers`` accesses of ``width`` bytes each go to consecutive addresses from
    ``base + (index << shift) + offset`` on (``NO_REGISTER``: there is none). ``registers``: how
    many are transferred, or moved between the register files. ``sources`` are needed to execute,
    ``address_sources`` for addresses, ``special_sources`` at another place of the pipeline: an
    accumulator later, an operand that is shifted first earlier. ``base_result`` is the base
    register that an access writes back.
    """

    address: int
    size: int
    kind: Kind
    flags: int = 0
    transfers: int = 0
    width: int = 4
    registers: int = 0
    base: int = NO_REGISTER
    index: int = NO_REGISTER
    shift: int = 0
    offset: int = 0
    sources: int = 0
    address_sources: int = 0
    special_sources: int = 0
    results: int = 0
    base_result: int = 0

    @property
    def end(self) -> int:
        return self.address + self.size

    @property
    def stores(self) -> bool:
        return self.kind in _STORES

    @property
    def branches(self) -> bool:
        return Kind.BRANCH <= self.kind <= Kind.LOOP_END
