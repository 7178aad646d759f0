"""Builds a project and measures what came out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tinyvision.errors import FitError, ToolError
from tinyvision.firmware import pio
from tinyvision.firmware.project import Project, open_project
from tinyvision.firmware.stack import StackUse, stack_use

_STEP = re.compile(r"^(?:Compiling|Archiving|Indexing|Linking|Building) \S+")
_OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")


@dataclass(frozen=True)
class Sizes:
    """Bytes in an ELF. ``bss_bytes``: all RAM without initial value, the stack and the model's
    banks included.
    """

    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int

    @property
    def flash_total_bytes(self) -> int:
        """Everything that is written to the flash."""
        return self.text_bytes + self.rodata_bytes + self.data_bytes


@dataclass(frozen=True)
class BuildResult:
    """A firmware. ``stack_bytes``: worst case of the model's call tree, ``firmware_stack_bytes``
    of everything, an exception on top included (None where code of the user's recurses).
    """

    project: Project
    elf: Path
    bin: Path
    sizes: Sizes
    stack_bytes: int
    firmware_stack_bytes: int | None
    seconds: float


def build(
    project: Project | str | Path, progress: Callable[[str], None] | None = None
) -> BuildResult:
    """Runs ``pio run`` in a project.

    ``progress`` is called with a short text for every step. Raises ToolError where a tool is
    missing or the compiler fails, FitError where the firmware doesn't fit its memories or its worst
    case of stack.
    """
    if not isinstance(project, Project):
        project = open_project(project)
    pio.require_tools()
    started = time.monotonic()

    def on_line(line: str) -> None:
        if progress and _STEP.match(line):
            progress(line)

    arguments = ["run", "--environment", project.board]
    try:
        status, output = pio.run(project.path, arguments, on_line)
        if status != 0:
            raise _failure(project, output)
        stack = stack_use(project.elf)
        _check_stack(project, stack)
    except BaseException:
        for old in (project.elf, project.bin):  # or else a flash would write it
            old.unlink(missing_ok=True)
        raise
    return BuildResult(
        project=project,
        elf=project.elf,
        bin=project.bin,
        sizes=elf_sizes(project.elf),
        stack_bytes=stack.model_bytes,
        firmware_stack_bytes=stack.total_bytes,
        seconds=time.monotonic() - started,
    )


def elf_sizes(path: Path) -> Sizes:
    """What the loadable sections of an ELF add up to."""
    text = rodata = data = bss = 0
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            size = section["sh_size"]
            if not section["sh_flags"] & 2:  # SHF_ALLOC
                continue
            if section["sh_type"] == "SHT_NOBITS":
                bss += size
            elif section["sh_flags"] & 1:  # SHF_WRITE
                data += size
            elif section["sh_flags"] & 4 or section.name.startswith((".vectors", ".ARM")):
                text += size
            else:
                rodata += size
    return Sizes(text, rodata, data, bss)


def _failure(project: Project, output: str) -> Exception:
    overflow = _OVERFLOW.search(output)
    if overflow:
        memory, excess = overflow.groups()
        return FitError(
            "the firmware does not fit",
            project.board,
            f"memory '{memory}' is {int(excess):,} bytes too small",
            "Try a smaller model or a board with more of that memory.",
        )
    errors = [
        line for line in output.splitlines() if re.search(r"\berror\b|\*\*\*  *\[", line, re.I)
    ]
    why = " | ".join(errors[:3]) or " | ".join(output.strip().splitlines()[-3:])
    return ToolError("pio run failed", str(project.path), why, "See --verbose for all it said.")


def _check_stack(project: Project, stack: StackUse) -> None:
    if stack.total_bytes is not None and stack.total_bytes > stack.reserved_bytes:
        raise FitError(
            "the stack may overflow",
            project.board,
            f"{stack.total_bytes:,} bytes in the worst case, {stack.reserved_bytes:,} are reserved",
            "Raise stack_bytes in the board file.",
        )
