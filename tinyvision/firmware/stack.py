"""Worst case of stack use, from the ELF alone: frames by the debug information or the code, calls
by disassembly.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import capstone
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

_log = logging.getLogger(__name__)

EXCEPTION_BYTES = 108
"""What a core with FPU pushes on an exception: 26 words, and 4 bytes to align them."""

_INDIRECT = re.compile(r"(?:blx|bx) (?!lr\b)r\d+|(?:blx|bx) (?:ip|sb|sl|fp)\b")
_CONDITIONS = "eq|ne|hs|lo|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(?:bl|cbz|cbnz|b(?:{_CONDITIONS})?)(?:\.w|\.n)?\Z")


@dataclass(frozen=True)
class StackUse:
    """``model_bytes``: deepest call below the agent's call of a layer; ``total_bytes``: deepest of
    all from reset on, with an exception on top, or None where code of the user's recurses;
    ``reserved_bytes``: what the firmware has.
    """

    model_bytes: int
    total_bytes: int | None
    reserved_bytes: int


@dataclass
class _Function:
    name: str
    start: int
    end: int
    frame_bytes: int = 0
    calls: set[str] = field(default_factory=set)
    calls_pointer: bool = False


def stack_use(elf: Path) -> StackUse:
    """The worst case for a firmware of ours.

    A call through a pointer may reach every function whose address is stored in data; none that is
    already active, as nothing here recurses. Raises ValueError for an ELF without symbols, and
    for a network that does recurse.
    """
    with elf.open("rb") as file:
        image = ELFFile(file)
        functions, code = _analysed(image)
        taken = _address_taken(image, functions, code)
        stack = image.get_section_by_name(".stack")
        reserved = int(stack["sh_size"]) if stack else 0
    by_name = {function.name: function for function in functions}
    depth = _Depth(by_name, taken)
    model = max((depth.of(name) for name in taken), default=0)
    try:
        # A fault starts the stack over, so that its depth counts from the top.
        total = max(depth.of("bsp_reset") + EXCEPTION_BYTES, depth.of("bsp_fault_main"))
    except _RecursionFound as found:
        _log.warning("%s: the worst case of the stack is unknown", found)
        return StackUse(model, None, reserved)
    return StackUse(model, total, reserved)


def frames(elf: Path) -> dict[str, int]:
    """Function to the bytes of stack that it takes for itself."""
    with elf.open("rb") as file:
        functions, _ = _analysed(ELFFile(file))
    return {function.name: function.frame_bytes for function in functions}


def _analysed(image: ELFFile) -> tuple[list[_Function], list[tuple[int, int]]]:
    functions = _functions(image)
    if not functions:
        raise ValueError("the ELF has no function symbols")
    code = _code_ranges(image)
    _disassemble(image, functions, code)
    _frames_from_debug(image, functions)
    return functions, code


class _RecursionFound(ValueError):
    """A function reaches itself: its stack has no bound that the code shows."""


class _Depth:
    """Deepest stack below a function, itself included, along any path that repeats nothing."""

    def __init__(self, functions: dict[str, _Function], taken: frozenset[str]) -> None:
        self._functions, self._taken = functions, taken
        self._known: dict[tuple[str, frozenset[str]], int] = {}

    def of(self, name: str, active: frozenset[str] = frozenset()) -> int:
        key = (name, active & self._taken)
        if key not in self._known:
            self._known[key] = self._walk(name, active)
        return self._known[key]

    def _walk(self, name: str, active: frozenset[str]) -> int:
        function = self._functions[name]
        if name in active:
            raise _RecursionFound(f"{name} calls itself")
        below = active | {name}
        targets = set(function.calls)
        if function.calls_pointer:
            targets |= self._taken - below
        return function.frame_bytes + max((self.of(t, below) for t in targets), default=0)


def _symbols(image: ELFFile) -> list[Any]:
    table: Any = image.get_section_by_name(".symtab")
    return list(table.iter_symbols()) if table else []


def _text(image: ELFFile) -> Any:
    section = image.get_section_by_name(".text")
    if section is None:
        raise ValueError("the ELF has no section .text")
    return section


def _functions(image: ELFFile) -> list[_Function]:
    """Functions by address. Names that share an address are one function."""
    found: dict[int, _Function] = {}
    for symbol in _symbols(image):
        info = symbol["st_info"]
        if info["type"] == "STT_FUNC" and isinstance(symbol["st_shndx"], int):
            start = symbol["st_value"] & ~1
            known = found.get(start)
            if known is None or info["bind"] == "STB_GLOBAL":
                found[start] = _Function(symbol.name, start, start + symbol["st_size"])
    functions = sorted(found.values(), key=lambda function: function.start)
    names: set[str] = set()
    for index, function in enumerate(functions):
        if function.end == function.start:  # assembly without a size
            following = functions[index + 1].start if index + 1 < len(functions) else None
            function.end = following or function.start + 4
        if function.name in names:  # static functions of two files
            function.name = f"{function.name}@{function.start:x}"
        names.add(function.name)
    return functions


def _code_ranges(image: ELFFile) -> list[tuple[int, int]]:
    """Stretches of instructions: the mapping symbols $t and $d part them from literals."""
    marks: list[tuple[int, bool]] = []
    for symbol in _symbols(image):
        if symbol.name[:2] in ("$t", "$d") and isinstance(symbol["st_shndx"], int):
            marks.append((symbol["st_value"] & ~1, symbol.name[:2] == "$t"))
    marks.sort()
    text = _text(image)
    end_of_text = text["sh_addr"] + text["sh_size"]
    ranges = []
    for index, (start, is_code) in enumerate(marks):
        end = marks[index + 1][0] if index + 1 < len(marks) else end_of_text
        if is_code and start < end and text["sh_addr"] <= start < end_of_text:
            ranges.append((start, min(end, end_of_text)))
    return ranges


def _disassemble(image: ELFFile, functions: list[_Function], code: list[tuple[int, int]]) -> None:
    """Fills in calls, and frames as far as the code shows them."""
    engine = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    )
    engine.skipdata = True
    text = _text(image)
    base, data = text["sh_addr"], text.data()
    starts = [function.start for function in functions]
    for start, end in code:
        for address, _, mnemonic, operands in engine.disasm_lite(
            data[start - base : end - base], start
        ):
            function = functions[max(bisect_right(starts, address) - 1, 0)]
            function.frame_bytes += _pushed_bytes(mnemonic, operands)
            if _INDIRECT.match(f"{mnemonic} {operands}"):
                function.calls_pointer = True
            elif _BRANCH.match(mnemonic):
                target = int(operands.rpartition("#")[2], 0) & ~1
                outside = not function.start <= target < function.end
                if outside or mnemonic == "bl":  # a plain branch within is a jump
                    index = bisect_right(starts, target) - 1
                    if starts[index] == target:
                        function.calls.add(functions[index].name)


def _pushed_bytes(mnemonic: str, operands: str) -> int:
    """By how much an instruction lowers the stack pointer."""
    name = mnemonic.partition(".")[0]
    if name == "push" or (name in ("stmdb", "stm") and operands.startswith("sp!")):
        return 4 * _register_count(operands)
    if name == "vpush":
        return (8 if "d" in operands else 4) * _register_count(operands)
    if name in ("sub", "subw") and re.match(r"sp, (?:sp, )?#", operands):
        return int(operands.rpartition("#")[2], 0)
    pre_indexed = re.search(r"\[sp, #-(\w+)\]!", operands)
    return int(pre_indexed.group(1), 0) if pre_indexed else 0


def _register_count(operands: str) -> int:
    count = 0
    for part in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = part.strip().partition("-")
        count += int(last.lstrip("rds")) - int(first.lstrip("rds")) + 1 if last else 1
    return count


def _frames_from_debug(image: ELFFile, functions: list[_Function]) -> None:
    """The compiler's own word on a frame, where it has one: the most that the canonical frame
    address is above the stack pointer. Of what assembly pushes, as in naked functions, it knows
    nothing.
    """
    if not image.has_dwarf_info():
        return
    dwarf = image.get_dwarf_info()
    if not dwarf.has_CFI():
        return
    by_start = {function.start: function for function in functions}
    for entry in dwarf.CFI_entries():
        if not isinstance(entry, FDE):
            continue
        function = by_start.get(entry["initial_location"] & ~1)
        if function is None:
            continue
        rows: list[dict[str, Any]] = entry.get_decoded().table
        offsets = [row["cfa"].offset for row in rows if row["cfa"].offset is not None]
        function.frame_bytes = max(offsets, default=0) or function.frame_bytes


def _address_taken(
    image: ELFFile, functions: list[_Function], code: list[tuple[int, int]]
) -> frozenset[str]:
    """Functions whose address lies in data or among literals; the vector table does not count."""
    by_pointer = {function.start | 1: function.name for function in functions}
    taken = set()
    starts = [start for start, _ in code]
    for section in image.iter_sections():
        if not section["sh_flags"] & 2 or section["sh_type"] != "SHT_PROGBITS":
            continue
        if section.name == ".vectors":
            continue
        base, data = section["sh_addr"], section.data()
        for offset in range(-base % 4, len(data) - 3, 4):
            name = by_pointer.get(int.from_bytes(data[offset : offset + 4], "little"))
            if name and not _inside(base + offset, starts, code):
                taken.add(name)
    return frozenset(taken - {"bsp_fault_main", "start", "main"})


def _inside(address: int, starts: list[int], ranges: list[tuple[int, int]]) -> bool:
    index = bisect_right(starts, address) - 1
    return index >= 0 and address < ranges[index][1]
