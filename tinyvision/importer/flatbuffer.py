"""Reads FlatBuffers out of bytes that nobody vouches for.

The generated accessors of the ``flatbuffers`` package follow every offset they find. Here each
offset, length and vtable is checked against the bytes before it is followed, so that whatever the
file holds, the end is a value or a ``ModelError``. Layout:
https://flatbuffers.dev/internals (little endian throughout).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from tinyvision.errors import ModelError

_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")

_SCALARS = {
    "bool": struct.Struct("<B"),
    "int8": struct.Struct("<b"),
    "uint8": struct.Struct("<B"),
    "int32": struct.Struct("<i"),
    "uint32": struct.Struct("<I"),
    "uint64": struct.Struct("<Q"),
    "float32": struct.Struct("<f"),
}


class FlatBuffer:
    """The bytes of one file. ``where`` names it in errors.

    Offsets may be shared, so that a small file can spell out a gigantic tree. What is turned into
    Python objects is therefore counted, and ends in an error when it exceeds the file's size many
    times over.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where
        self._budget_bytes = 4 * len(data) + 65536

    def damaged(self, why: str) -> ModelError:
        return ModelError(
            "the model file is damaged",
            self.where,
            why,
            "Export it again, or compare it with the original: it may have been cut short.",
        )

    def spend(self, size_bytes: int) -> None:
        """Counts bytes that become Python objects."""
        self._budget_bytes -= size_bytes
        if self._budget_bytes < 0:
            raise self.damaged("its parts refer to each other so often that it cannot be genuine")

    def number(self, layout: struct.Struct, position: int, what: str) -> int:
        if not 0 <= position <= len(self.data) - layout.size:
            raise self.damaged(f"{what} would be at byte {position} of {len(self.data)}")
        return int(layout.unpack_from(self.data, position)[0])

    def root(self) -> Table:
        return self.table(self.number(_U32, 0, "the offset of the root table"), "the root table")

    def table(self, position: int, what: str) -> Table:
        vtable = position - self.number(_I32, position, what)
        vtable_bytes = self.number(_U16, vtable, f"the vtable of {what}")
        inline_bytes = self.number(_U16, vtable + 2, f"the vtable of {what}")
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > len(self.data):
            raise self.damaged(f"{what} has a vtable of {vtable_bytes} bytes at byte {vtable}")
        if inline_bytes < 4 or position + inline_bytes > len(self.data):
            raise self.damaged(f"{what} of {inline_bytes} bytes does not fit at byte {position}")
        self.spend(vtable_bytes)
        fields = struct.unpack_from(f"<{(vtable_bytes - 4) // 2}H", self.data, vtable + 4)
        if any(offset and not 4 <= offset < inline_bytes for offset in fields):
            raise self.damaged(f"{what} has a field outside of its {inline_bytes} bytes")
        return Table(self, position, fields, inline_bytes, what)


@dataclass(frozen=True)
class Table:
    """A table that lies inside the file: for each field the offset from ``position``, 0 where it
    is absent. ``what`` names it in errors.
    """

    file: FlatBuffer
    position: int
    offsets: tuple[int, ...]
    inline_bytes: int
    what: str

    @property
    def fields(self) -> int:
        """How many fields the writer knew."""
        return len(self.offsets)

    def has(self, field: int) -> bool:
        """Whether the writer stored field number ``field``."""
        return field < self.fields and self.offsets[field] != 0

    def scalar(self, field: int, kind: str, default: float) -> int | float | bool:
        """A field of type ``kind`` (a key of the format's scalars), or the schema's default."""
        layout = _SCALARS[kind]
        position = self._slot(field, layout.size)
        if position is None:
            return default
        value: int | float = layout.unpack_from(self.file.data, position)[0]
        return bool(value) if kind == "bool" else value

    def integer(self, field: int, kind: str, default: int = 0) -> int:
        return int(self.scalar(field, kind, default))

    def string(self, field: int, what: str) -> str | None:
        """UTF-8 text, None where the field is absent."""
        span = self.bytes_span(field, what)
        if span is None:
            return None
        start, length = span
        self.file.spend(length)
        data = self.file.data
        if self.file.number(_SCALARS["uint8"], start + length, f"the end of {what}") != 0:
            raise self.file.damaged(f"{what} does not end with a zero byte")
        try:
            return data[start : start + length].decode("utf-8")
        except UnicodeDecodeError:
            raise self.file.damaged(f"{what} is not UTF-8 text") from None

    def bytes_span(self, field: int, what: str) -> tuple[int, int] | None:
        """Position and length of a vector of bytes, which are not copied."""
        return self._vector(field, 1, what)

    def numbers(self, field: int, dtype: str, what: str, limit: int) -> list[int] | None:
        """A vector of numbers of numpy type ``dtype``; more than ``limit`` of them are refused."""
        item = np.dtype(dtype).newbyteorder("<")
        span = self._vector(field, item.itemsize, what)
        if span is None:
            return None
        start, length = span
        self._limit(length, limit, what)
        self.file.spend(length * item.itemsize)
        values: list[int] = np.frombuffer(self.file.data, item, length, start).tolist()
        return values

    def table(self, field: int, what: str) -> Table | None:
        position = self._slot(field, 4)
        return None if position is None else self._follow(position, what)

    def tables(self, field: int, what: str, limit: int) -> list[Table]:
        """A vector of tables, empty where the field is absent."""
        span = self._vector(field, 4, what)
        if span is None:
            return []
        start, length = span
        self._limit(length, limit, what)
        return [self._follow(start + 4 * i, f"{what} {i}") for i in range(length)]

    def _limit(self, length: int, limit: int, what: str) -> None:
        if length > limit:
            raise self.file.damaged(f"{what} counts {length} entries; at most {limit} are read")

    def _follow(self, position: int, what: str) -> Table:
        return self.file.table(position + self.file.number(_U32, position, what), what)

    def _slot(self, field: int, size_bytes: int) -> int | None:
        """Where the field is stored, None where it has its default."""
        if not self.has(field):
            return None
        offset = self.offsets[field]
        if offset + size_bytes > self.inline_bytes:
            raise self.file.damaged(f"field {field} of {self.what} lies outside of it")
        return self.position + offset

    def _vector(self, field: int, item_bytes: int, what: str) -> tuple[int, int] | None:
        """Position of the first item and number of items."""
        position = self._slot(field, 4)
        if position is None:
            return None
        start = position + self.file.number(_U32, position, what)
        length = self.file.number(_U32, start, f"the length of {what}")
        if start + 4 + length * item_bytes > len(self.file.data):
            raise self.file.damaged(f"{what} of {length} entries does not fit at byte {start}")
        return start + 4, length
