"""Writes a built firmware to a real board, through PlatformIO's upload and the tools it drives.

No uploader has been run against hardware yet (docs/boards.md); what is tested is which one is
chosen and what it is told.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from serial.tools import list_ports

from tinyvision.errors import BoardError, ToolError
from tinyvision.firmware import pio
from tinyvision.firmware.project import Project
from tinyvision.target.board import Board, Upload

TOOLS = {
    "pyocd": ("pyocd", "pip install pyocd"),
    "openocd": ("openocd", "apt install openocd"),
    "st-flash": ("st-flash", "apt install stlink-tools"),
    "jlink": ("JLinkExe", "install SEGGER's J-Link software"),
    "picotool": ("picotool", "github.com/raspberrypi/picotool"),
}
"""Protocol to the program it needs and how to get that."""


@dataclass(frozen=True)
class FlashResult:
    """``protocol``: the uploader that wrote the board, and verified what it wrote."""

    protocol: str
    output: str


def choose_upload(board: Board, protocol: str = "") -> Upload:
    """The board's first uploader that is installed, or the one asked for.

    Raises BoardError where the board has none of that name or none at all, ToolError where the tool
    is missing.
    """
    uploads = board.hardware.uploads if board.hardware else ()
    if not uploads:
        why = "it exists only virtually"
        raise BoardError("this board cannot be flashed", board.name, why, "Use --virtual.")
    if protocol:
        uploads = tuple(upload for upload in uploads if upload.protocol == protocol)
        if not uploads:
            raise BoardError(f"the board has no uploader '{protocol}'", board.name)
    for upload in uploads:
        if _installed(upload.protocol):
            return upload
    ways = "; or ".join(f"{TOOLS[u.protocol][0]} ({TOOLS[u.protocol][1]})" for u in uploads)
    raise ToolError("no tool to flash this board is installed", board.name, hint=f"Install {ways}.")


def flash(
    project: Project,
    board: Board,
    *,
    protocol: str = "",
    progress: Callable[[str], None] | None = None,
) -> FlashResult:
    """Writes the project's firmware, as built, and has the uploader verify it.

    Raises ToolError where nothing is built, no tool is installed, or the tool fails.
    """
    if not project.elf.is_file():
        hint = "Run tinyvision build first."
        raise ToolError("there is no firmware to flash", str(project.elf), hint=hint)
    upload = choose_upload(board, protocol)
    arguments = ["run", "--environment", project.board, "--target", "nobuild", "--target", "upload"]
    chosen = {"TINYVISION_UPLOAD_PROTOCOL": upload.protocol}
    status, output = pio.run(project.path, arguments, progress, chosen)
    if status != 0:
        tail = " | ".join(line for line in output.strip().splitlines()[-6:] if line.strip("= "))
        raise ToolError(
            f"flashing through {upload.protocol} failed",
            board.name,
            tail,
            "Is the board connected by its debug USB port? Another uploader may do it.",
        )
    return FlashResult(upload.protocol, output)


def find_port(board: Board) -> str | None:
    """The serial port of the board's debug probe, if exactly one such probe is connected."""
    known = board.hardware.uart.usb if board.hardware else ()
    found = [
        port.device
        for port in list_ports.comports()
        if port.vid is not None and f"{port.vid:04x}:{port.pid:04x}" in known
    ]
    return found[0] if len(found) == 1 else None


def _installed(protocol: str) -> bool:
    if protocol == "pyocd":  # run as `python -m pyocd`
        return _has_module("pyocd")
    return shutil.which(TOOLS[protocol][0]) is not None


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
