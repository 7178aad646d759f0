"""Instructions of the M-profile vector extension and of low-overhead loops, which capstone 5 does
not know: just enough of their encodings (Armv8.1-M Architecture Reference Manual, C2.4) to tell
which unit they use, which registers they name and what they access.
"""

from __future__ import annotations

from tinyvision.cycles.microop import FPU_BIT, NO_REGISTER, Kind, MicroOp

_LR = 14
_VECTOR_BYTES = 16
_WORD = 4


def is_vector(first: int, second: int) -> bool:
    """Whether two halfwords are in the encoding space of vectors: coprocessors, but for the
    scalar FPU's 10 and 11, and what Neon has on other profiles.
    """
    scalar = first >> 8 in (0xEC, 0xED, 0xEE, 0xFE) and second & 0x0E00 == 0x0A00
    return first & 0xEC00 == 0xEC00 and not scalar


def decode_vector(address: int, first: int, second: int) -> MicroOp:
    """The instruction with these halfwords; one of no known kind counts as plain arithmetic."""
    size = 4 if first >= 0xE800 else 2
    if size == 4 and is_vector(first, second):
        accesses = first & 0xEE00 == 0xEC00 and second & 0x0E00 == 0x0E00
        return (_access if accesses else _arithmetic)(address, first, second)
    if first & 0xFF80 == 0xF000 and second & 0xF001 in (0xC001, 0xE001):
        if second & 0x0800 and second & 0x2000:  # VCTP
            return MicroOp(address, size, Kind.VECTOR, sources=1 << (first & 15))
        ends = first & 15 == 15
        kind = Kind.LOOP_END if ends else Kind.LOOP_START
        counter = 1 << _LR if ends else 1 << (first & 15)
        return MicroOp(address, size, kind, sources=counter, results=1 << _LR)
    return MicroOp(address, size, Kind.ALU)


def _vector(word: int, bit: int) -> int:
    """Mask of the vector register whose number is at ``bit``."""
    return 15 << FPU_BIT + 4 * (word >> bit & 7)


def _access(address: int, first: int, second: int) -> MicroOp:
    """VLDR and VSTR, contiguous or by a vector of offsets or addresses; VLD2, VLD4 and the like."""
    word = first << 16 | second
    data = _vector(word, 13)
    loads = bool(first & 0x0010)
    before, writes_back = bool(first & 0x0100), bool(first & 0x0020)
    same_size = bool(second & 0x1000)
    unsigned = first >> 12 == 0xF
    by_addresses = unsigned and same_size and before
    by_offsets = not same_size and not before and not writes_back
    if by_addresses or by_offsets:
        indices = _vector(word, 17) if by_addresses else _vector(word, 1) | 1 << (first & 15)
        return MicroOp(
            address,
            4,
            Kind.VECTOR_GATHER,
            registers=_VECTOR_BYTES >> (second >> 7 & 3),
            sources=0 if loads else data,
            address_sources=indices,
            results=data if loads else 0,
        )
    base = first & (15 if same_size else 7)  # where the size differs, it takes a bit of the number
    element = second >> 7 & 3
    memory_size = element if same_size else first >> 3 & 1
    moved = _VECTOR_BYTES >> element << memory_size  # elements may become wider on their way
    interleaved = unsigned and same_size
    offset = 0
    if before and not interleaved:
        offset = (second & 0x7F) << memory_size
        offset = offset if first & 0x0080 else -offset
    return MicroOp(
        address,
        4,
        Kind.VECTOR_LOAD if loads else Kind.VECTOR_STORE,
        transfers=moved // _WORD,
        registers=_WORD,
        base=base if base != 15 else NO_REGISTER,
        offset=offset,
        sources=0 if loads else data,
        address_sources=1 << base,
        results=data if loads else 0,
        base_result=1 << base if writes_back else 0,
    )


def _to_scalar(first: int, second: int) -> bool:
    """VMLADAV, VMLALDAV, VADDV and their kin: sums that go to scalar registers."""
    long_of_bytes = second & 0x0100 and first & 0x0070 != 0x0070  # VMOVL is there
    return first & 0xEF80 == 0xEE80 and second & 0x0E00 == 0x0E00 and not long_of_bytes


def _kind(first: int, second: int) -> Kind:
    """The unit of an instruction whose result is a vector."""
    floats = first >> 4 & 3 == 3
    if first & 0xEFC1 == 0xEE01:
        if second & 0x0F50 in (0x0E40, 0x0F40):  # with a scalar operand
            if floats:
                return Kind.VECTOR_FLOAT
            return Kind.VECTOR_MULTIPLY if second & 0x0F00 == 0x0E00 else Kind.VECTOR
        if second & 0x0F50 == 0x0E00 and not floats:  # VMULH, VMULL
            return Kind.VECTOR_MULTIPLY
    if first & 0xEF80 == 0xEF00:
        if second & 0x0F51 in (0x0950, 0x0B40):  # VMUL, VQDMULH
            return Kind.VECTOR_MULTIPLY
        if second & 0x0F51 in (0x0C50, 0x0D40, 0x0D50):  # VFMA, VADD, VMUL of floats
            return Kind.VECTOR_FLOAT
    return Kind.VECTOR


def _arithmetic(address: int, first: int, second: int) -> MicroOp:
    word = first << 16 | second
    destination, left, right = _vector(word, 13), _vector(word, 17), _vector(word, 1)
    if _to_scalar(first, second):
        sums = bool(first & 1 and second & 0x0100)  # VADDV, VADDLV
        scalar = 1 << (second >> 12 & 14)
        return MicroOp(
            address,
            4,
            Kind.VECTOR if sums else Kind.VECTOR_MULTIPLY,
            sources=right if sums else left | right,
            special_sources=scalar if second & 0x0020 else 0,
            results=scalar,
        )
    if first & 0xEFC1 == 0xEE01 and second & 0x0F50 in (0x0E40, 0x0F40):
        right = 1 << (second & 15)
    kind = _kind(first, second)
    return MicroOp(address, 4, kind, sources=left | right | destination, results=destination)
