"""Names for addresses: the symbol table of a firmware's ELF file."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinyvision.errors import DeviceError


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int
    size_bytes: int
    is_function: bool


class Symbols:
    """Functions and objects of an ELF file, by address."""

    def __init__(self, symbols: list[Symbol]) -> None:
        self._sorted = sorted(symbols, key=lambda s: (s.address, s.size_bytes))
        self._addresses = [s.address for s in self._sorted]
        self._by_name = {s.name: s for s in self._sorted}

    @classmethod
    def read(cls, elf_path: Path) -> Symbols:
        """DeviceError if the file is missing or no ELF file."""
        try:
            with elf_path.open("rb") as stream:
                return cls.of(ELFFile(stream))
        except (OSError, ELFError) as error:
            raise DeviceError(
                "the firmware cannot be read", str(elf_path), str(error), "Build it first."
            ) from error

    @classmethod
    def of(cls, elf: ELFFile) -> Symbols:
        found = []
        for section in elf.iter_sections():
            if isinstance(section, SymbolTableSection):
                for symbol in section.iter_symbols():
                    kind = symbol["st_info"]["type"]
                    if kind in ("STT_FUNC", "STT_OBJECT") and symbol.name:
                        is_function = kind == "STT_FUNC"
                        address = symbol["st_value"] & (~1 if is_function else ~0)
                        found.append(Symbol(symbol.name, address, symbol["st_size"], is_function))
        return cls(found)

    def find(self, name: str) -> Symbol | None:
        return self._by_name.get(name)

    def at(self, address: int) -> Symbol | None:
        """The symbol whose bytes include ``address``."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        symbol = self._sorted[index]
        inside = address < symbol.address + max(symbol.size_bytes, 1)
        return symbol if inside else None

    def describe(self, address: int) -> str:
        """``0x08001234 (conv_s8+0x1c)``."""
        code = address & ~1
        symbol = self.at(code)
        if symbol is None:
            return f"0x{address:08x}"
        offset = code - symbol.address
        return f"0x{address:08x} ({symbol.name}{f'+0x{offset:x}' if offset else ''})"
