"""Virtual boards: a firmware's very ELF file on an emulated board, behind a serial port."""

from __future__ import annotations

from pathlib import Path

from tinyvision.device.virtual.board import VirtualBoard
from tinyvision.device.virtual.qemu import QemuBoard
from tinyvision.errors import BoardError
from tinyvision.target.board import Board

__all__ = ["QemuBoard", "VirtualBoard", "open_board"]


def open_board(elf: Path, board: Board, *, cycles: bool | None = None) -> VirtualBoard | QemuBoard:
    """Switches on ``board``'s virtual twin with the firmware ``elf``; a context manager.

    ``cycles``: whether it models cycles, see ``VirtualBoard``; QEMU never does.
    """
    if board.hardware is None:
        raise BoardError(f"board '{board.name}' has no virtual twin", hint="Use --host.")
    if not elf.is_file():
        raise BoardError("there is no firmware to run", str(elf), hint="Build it first.")
    if board.hardware.twin.engine == "qemu":
        return QemuBoard(elf, board)
    return VirtualBoard(elf, board, cycles=cycles)
