"""Instructions of the M-profile vector extension and of low-overhead loops, which capstone 5 does
not know: just enough of their encodings (Armv8.1-M Architecture Reference Manual, C2.4) to tell
what unit they use and which registers they name.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.cycles.microop import FPU_BIT, NO_REGISTER, Kind, MicroOp


@dataclass(frozen=True)
class _Pattern:
    """Instructions whose two halfwords, the first one high, match ``value`` under ``mask``."""

    mask: int
    value: int
    kind: Kind


_PATTERNS = (
    _Pattern(0xFFF0F001, 0xF000C001, Kind.LOOP_START),  # WLS, DLS, WLSTP, DLSTP, LCTP
    _Pattern(0xFFC0F001, 0xF000C001, Kind.LOOP_START),
    _Pattern(0xFFF0F001, 0xF020C001, Kind.LOOP_END),
    _Pattern(0xEFB01E00, 0xEC101E00, Kind.VECTOR_GATHER),
    _Pattern(0xEE101E00, 0xEC101E00, Kind.VECTOR_LOAD),  # VLDR{B,H,W}, VLD2, VLD4
    _Pattern(0xEE101E00, 0xEC001E00, Kind.VECTOR_STORE),
    _Pattern(0xEF800F51, 0xEF000D50, Kind.VECTOR_FLOAT),  # VMUL, VFMA and others of floats
    _Pattern(0xEF800F51, 0xEF000C50, Kind.VECTOR_FLOAT),
    _Pattern(0xEF800F51, 0xEF000D40, Kind.VECTOR_FLOAT),
    _Pattern(0xEF810F51, 0xEE000E00, Kind.VECTOR_MULTIPLY),  # VMLADAV, VMLALDAV
    _Pattern(0xEF800F51, 0xEE800E00, Kind.VECTOR_MULTIPLY),
    _Pattern(0xEF801F70, 0xEF000950, Kind.VECTOR_MULTIPLY),  # VMUL
    _Pattern(0xEF801F70, 0xEE010E40, Kind.VECTOR_MULTIPLY),  # VMLA by a scalar
    _Pattern(0xEF801F50, 0xEF000B40, Kind.VECTOR_MULTIPLY),  # VQDMULH, VQRDMULH
    _Pattern(0xEC000C00, 0xEC000C00, Kind.VECTOR),
)


def decode_vector(address: int, first: int, second: int) -> MicroOp:
    """The instruction with these halfwords; one of no known kind counts as plain arithmetic."""
    word = first << 16 | second
    size = 4 if first >= 0xE800 else 2
    kind = next((p.kind for p in _PATTERNS if size == 4 and word & p.mask == p.value), Kind.ALU)
    if kind is Kind.LOOP_END or kind is Kind.LOOP_START:
        return MicroOp(address, size, kind, sources=1 << 14, results=1 << 14)
    if kind is Kind.ALU:
        return MicroOp(address, size, kind)
    destination, left, right = (_vector(word, *bits) for bits in ((13, 22), (17, 7), (1, 5)))
    if kind in (Kind.VECTOR_LOAD, Kind.VECTOR_STORE, Kind.VECTOR_GATHER):
        base = first & 15
        loads = kind is not Kind.VECTOR_STORE and bool(first & 0x10)
        return MicroOp(
            address,
            size,
            kind,
            transfers=0 if kind is Kind.VECTOR_GATHER else 4,
            registers=4,
            base=base if base != 15 else NO_REGISTER,
            sources=0 if loads else destination,
            address_sources=1 << base,
            results=destination if loads else 0,
        )
    return MicroOp(address, size, kind, sources=left | right | destination, results=destination)


def _vector(word: int, low: int, high: int) -> int:
    """Mask of the vector register numbered by three bits from ``low`` on and the bit ``high``."""
    number = (word >> low & 7) | (word >> high & 1) << 3
    return 15 << FPU_BIT + 4 * (number & 7)
