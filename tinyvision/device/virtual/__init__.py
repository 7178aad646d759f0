"""Virtual boards: a firmware's very ELF file on an emulated board, behind a serial port."""

from __future__ import annotations

from pathlib import Path

from tinyvision.device.virtual.board import VirtualBoard
from tinyvision.errors import BoardError
from tinyvision.target.board import Board

__all__ = ["VirtualBoard", "open_board"]


def open_board(elf: Path, board: Board) -> VirtualBoard:
    """Switches on ``board``'s virtual twin with the firmware ``elf``; a context manager."""
    if board.hardware is None:
        raise BoardError(f"board '{board.name}' has no virtual twin", hint="Use --host.")
    return VirtualBoard(elf, board)
