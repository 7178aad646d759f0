"""Frames and messages of the serial protocol between host and agent (docs/protocol.md).

A frame on the wire is COBS-encoded and ends with a zero byte. Decoded it is
``seq u8, command u8, body, crc32 u32`` (little endian, zlib's CRC-32 over everything before it);
in a response the command has bit 7 set and the body begins with a status byte. Everything that
arrives is untrusted: sizes are bounded and every field is checked before it is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from zlib import crc32

from cobs import cobs

from tinyvision.ir.types import DType

MAX_PAYLOAD = 1024
MAX_FRAME = MAX_PAYLOAD + 8
MAX_ENCODED = MAX_FRAME + MAX_FRAME // 254 + 2
MAX_RANK = 6
MAX_TENSOR_BYTES = 1 << 28
RESPONSE = 0x80
NO_LAYER = 0xFFFF


class Command(IntEnum):
    IDENTIFY = 0x01
    TENSOR = 0x02
    WRITE_INPUT = 0x03
    RUN = 0x04
    READ_OUTPUT = 0x05
    READ_ARENA = 0x06
    PROFILE = 0x07
    MEMORY = 0x08
    PAINT = 0x09
    SELF_TEST = 0x0A
    FAULT = 0x0B
    BAD_FRAME = 0x7F
    """Never sent; the agent answers a frame that it could not read with ``BAD_FRAME | 0x80``."""


class Status(IntEnum):
    OK = 0
    BAD_FRAME = 1
    UNKNOWN_COMMAND = 2
    BAD_LENGTH = 3
    OUT_OF_RANGE = 4
    FAULT = 5
    BUSY = 6


STATUS_TEXT = {
    Status.OK: "done",
    Status.BAD_FRAME: "the frame arrived damaged",
    Status.UNKNOWN_COMMAND: "the agent does not know the command",
    Status.BAD_LENGTH: "the request has the wrong length",
    Status.OUT_OF_RANGE: "an index or offset is out of range",
    Status.FAULT: "the firmware has faulted",
    Status.BUSY: "the agent is busy",
}

DTYPES = (
    DType.INT8,
    DType.UINT8,
    DType.INT16,
    DType.INT32,
    DType.FLOAT32,
    DType.INT64,
    DType.BOOL,
)
"""Element types by their number in the protocol (``tv_dtype``)."""


class ProtocolError(ValueError):
    """A frame or message that no sound agent sends."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame without its checksum."""

    seq: int
    command: int
    body: bytes


def encode(frame: Frame) -> bytes:
    """The bytes on the wire, ending zero included."""
    if len(frame.body) > MAX_PAYLOAD:
        raise ValueError(f"a body of {len(frame.body)} bytes exceeds {MAX_PAYLOAD}")
    content = bytes((frame.seq, frame.command)) + frame.body
    encoded: bytes = cobs.encode(content + struct.pack("<I", crc32(content)))
    return encoded + b"\0"


def decode(encoded: bytes) -> Frame:
    """The frame in ``encoded`` (without its ending zero); ProtocolError if it is not sound."""
    if len(encoded) > MAX_ENCODED:
        raise ProtocolError(f"a frame of {len(encoded)} bytes")
    try:
        content: bytes = cobs.decode(encoded)
    except cobs.DecodeError as error:
        raise ProtocolError(f"not COBS: {error}") from None
    if len(content) < 6:
        raise ProtocolError(f"a frame of only {len(content)} bytes")
    if crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        raise ProtocolError("wrong checksum")
    return Frame(content[0], content[1], content[2:-4])


class Decoder:
    """Cuts a byte stream into frames. Garbage is counted and skipped; memory is bounded."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skipping = False
        self.frames = 0
        self.bad_frames = 0
        self.bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The sound frames completed by ``data``."""
        self.bytes += len(data)
        frames = []
        *complete, rest = data.split(b"\0")
        for chunk in complete:
            self._take(chunk)
            encoded, skipped = bytes(self._pending), self._skipping
            self._pending.clear()
            self._skipping = False
            if skipped:
                self.bad_frames += 1
            elif encoded:
                try:
                    frames.append(decode(encoded))
                except ProtocolError:
                    self.bad_frames += 1
        self._take(rest)
        self.frames += len(frames)
        return frames

    def _take(self, chunk: bytes) -> None:
        if self._skipping or len(self._pending) + len(chunk) > MAX_ENCODED:
            self._skipping = True
            self._pending.clear()
        else:
            self._pending += chunk


class Reader:
    """Reads fields off a message; ProtocolError where it ends early or holds nonsense."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise ProtocolError(f"a message of {len(self._data)} bytes ends early")
        chunk = self._data[self._at : self._at + size]
        self._at += size
        return chunk

    def unpack(self, layout: str) -> tuple[int, ...]:
        """Little-endian integers by their struct letters."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def text(self) -> str:
        """A length byte and as many bytes of UTF-8; control characters are made visible."""
        (length,) = self.unpack("B")
        raw = self.take(length).decode("utf-8", "backslashreplace")
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in raw)

    def end(self) -> None:
        if self._at != len(self._data):
            raise ProtocolError(f"{len(self._data) - self._at} bytes too many in a message")

    @property
    def left(self) -> int:
        return len(self._data) - self._at


@dataclass(frozen=True)
class Identity:
    """What firmware runs on the board. ``model_hash``: first 16 bytes of the model's SHA-256."""

    protocol: int
    max_payload: int
    board: str
    model: str
    build: str
    model_hash: bytes
    layers: int
    inputs: int
    outputs: int
    banks: int
    clock_hz: int
    has_cycle_counter: bool

    @classmethod
    def parse(cls, message: bytes) -> Identity:
        reader = Reader(message)
        protocol, max_payload = reader.unpack("BH")
        board, model, build = reader.text(), reader.text(), reader.text()
        model_hash = reader.take(16)
        layers, inputs, outputs, banks, clock_hz, flags = reader.unpack("HBBBIB")
        reader.end()
        if max_payload < 16:
            raise ProtocolError(f"a largest payload of {max_payload} bytes")
        return cls(
            protocol,
            min(max_payload, MAX_PAYLOAD),
            board,
            model,
            build,
            model_hash,
            layers,
            inputs,
            outputs,
            banks,
            clock_hz,
            bool(flags & 1),
        )


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: ``dtype`` in the arena, ``external`` as fed or read."""

    dtype: DType
    external: DType
    shape: tuple[int, ...]
    size_bytes: int
    scale: float
    zero_point: int
    bank: int
    offset: int

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @classmethod
    def parse(cls, message: bytes) -> TensorInfo:
        reader = Reader(message)
        dtype, external, rank = reader.unpack("BBB")
        if dtype >= len(DTYPES) or external >= len(DTYPES) or rank > MAX_RANK:
            raise ProtocolError(f"a tensor of types {dtype}, {external} and rank {rank}")
        shape = reader.unpack(f"{rank}i")
        (size_bytes,) = reader.unpack("I")
        (scale,) = struct.unpack("<f", reader.take(4))
        zero_point, bank, offset = reader.unpack("iBI")
        reader.end()
        if any(extent < 1 for extent in shape):
            raise ProtocolError(f"a tensor of shape {shape}")
        info = cls(
            DTYPES[dtype], DTYPES[external], shape, size_bytes, scale, zero_point, bank, offset
        )
        if info.elements * info.dtype.size_bytes != size_bytes or size_bytes > MAX_TENSOR_BYTES:
            raise ProtocolError(f"a tensor of shape {shape} in {size_bytes} bytes")
        return info


@dataclass(frozen=True)
class BankMemory:
    """RAM of one bank: reserved for the model, and touched since it was painted."""

    size_bytes: int
    touched_bytes: int


@dataclass(frozen=True)
class Memory:
    """Memory figures from the canaries. ``damaged_guards``: numbers of the banks (modulo 8) around
    which something was overwritten.
    """

    banks: tuple[BankMemory, ...]
    stack_bytes: int
    stack_peak_bytes: int
    damaged_guards: tuple[int, ...] = ()

    @classmethod
    def parse(cls, message: bytes) -> Memory:
        reader = Reader(message)
        banks = tuple(BankMemory(*reader.unpack("II")) for _ in range((reader.left - 9) // 8))
        stack, peak, damaged = reader.unpack("IIB")
        reader.end()
        return cls(banks, stack, peak, tuple(i for i in range(8) if damaged >> i & 1))


@dataclass(frozen=True)
class SelfTest:
    """The known-answer test: checksum over the outputs, and what it should be."""

    computed: int
    expected: int
    passed: bool

    @classmethod
    def parse(cls, message: bytes) -> SelfTest:
        reader = Reader(message)
        computed, expected, passed = reader.unpack("IIB")
        reader.end()
        return cls(computed, expected, bool(passed) and computed == expected)


@dataclass(frozen=True)
class Fault:
    """A hard fault as the agent recorded it; ``layer`` is None outside of the model."""

    pc: int
    lr: int
    cfsr: int
    hfsr: int
    bfar: int
    layer: int | None
    kind: int

    @classmethod
    def parse(cls, message: bytes) -> Fault:
        reader = Reader(message)
        pc, lr, cfsr, hfsr, bfar, layer, kind = reader.unpack("IIIIIHB")
        reader.end()
        return cls(pc, lr, cfsr, hfsr, bfar, None if layer == NO_LAYER else layer, kind)

    @property
    def causes(self) -> tuple[str, ...]:
        """In words, from CFSR and HFSR (Armv7-M Architecture Reference Manual, B3.2.15-16)."""
        found = [text for bit, text in _CFSR_BITS if self.cfsr >> bit & 1]
        found += [text for bit, text in _HFSR_BITS if self.hfsr >> bit & 1]
        return tuple(found) or ("unknown cause",)

    @property
    def address(self) -> int | None:
        """The address whose access faulted, where the core knows it (BFARVALID, MMARVALID)."""
        return self.bfar if self.cfsr & (1 << 15 | 1 << 7) else None


_CFSR_BITS = (
    (0, "executed from memory that is not executable"),
    (1, "access to protected memory"),
    (3, "protected memory on exception return"),
    (4, "protected memory on exception entry"),
    (5, "protected memory while saving FPU state"),
    (8, "instruction fetch from an address with nothing behind it"),
    (9, "access to an address with nothing behind it"),
    (10, "write to an address with nothing behind it"),
    (11, "bus error on exception return"),
    (12, "bus error on exception entry (stack overflow?)"),
    (13, "bus error while saving FPU state"),
    (16, "undefined instruction"),
    (17, "invalid execution state"),
    (18, "invalid exception return"),
    (19, "coprocessor (FPU) not enabled"),
    (20, "stack limit exceeded"),
    (24, "unaligned access"),
    (25, "division by zero"),
)
_HFSR_BITS = (
    (1, "vector table could not be read"),
    (31, "breakpoint without debugger"),
)
