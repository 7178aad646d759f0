"""The boards as rows: what they are, and what of them was tested how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinyvision.target.board import Board


def board_rows(boards: Iterable[Board]) -> list[dict[str, Any]]:
    """One row a board, as ``boards --json`` prints them; sizes in bytes."""
    return [
        {
            "name": board.name,
            "title": board.title,
            "core": board.core.name,
            "clock_mhz": board.clock_mhz,
            "ram_bytes": sum(bank.size_bytes for bank in board.banks),
            "banks": [{"name": bank.name, "size_bytes": bank.size_bytes} for bank in board.banks],
            "flash_bytes": board.flash_bytes,
            "virtual": board.hardware.twin.engine if board.hardware else "",
            "uploads": [u.protocol for u in board.hardware.uploads] if board.hardware else [],
            "tested": {
                "build": board.tested.build if board.tested else "",
                "twin": board.tested.twin if board.tested else "",
                "hardware": board.tested.hardware if board.tested else "",
            },
        }
        for board in boards
    ]
