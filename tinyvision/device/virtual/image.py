"""A firmware image: what an ELF file puts where, and which of it is code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tinyvision.device.symbols import Symbols
from tinyvision.device.virtual.tracer import Code
from tinyvision.errors import DeviceError


@dataclass(frozen=True)
class Segment:
    """Bytes as a programmer would write them: at their load address."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Image:
    """An Arm firmware image. ``code``: where instructions run, RAM functions included."""

    path: Path
    segments: tuple[Segment, ...]
    code: tuple[Code, ...]
    symbols: Symbols


def read_image(path: Path) -> Image:
    """Reads an ELF file; DeviceError if it is none, or not for Arm."""
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32:
                raise DeviceError("this is no firmware for an Arm core", str(path))
            segments = tuple(
                Segment(segment["p_paddr"], segment.data())
                for segment in elf.iter_segments("PT_LOAD")
                if segment["p_filesz"]
            )
            flags = SH_FLAGS.SHF_EXECINSTR | SH_FLAGS.SHF_ALLOC
            code = tuple(
                Code(section["sh_addr"], section["sh_addr"] + section["sh_size"])
                for section in elf.iter_sections()
                if section["sh_flags"] & flags == flags and section["sh_size"]
            )
            return Image(path, segments, code, Symbols.of(elf))
    except (OSError, ELFError) as error:
        raise DeviceError(
            "the firmware cannot be read", str(path), str(error), "Build it first."
        ) from error
