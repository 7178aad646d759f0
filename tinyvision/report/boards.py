"""The boards as rows: what they are, and what of them was tested how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyvision.report.text import size_text
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


def print_boards(console: Console, rows: Iterable[dict[str, Any]]) -> None:
    """Prints rows of ``boards --json``: what each is, then what was tested how."""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("board", no_wrap=True)
    table.add_column("core", no_wrap=True)
    for name in ("MHz", "RAM", "flash"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("twin", no_wrap=True)
    table.add_column("title")
    tested: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        computer = not row["virtual"]  # runs at whatever speed, in whatever memory it has
        table.add_row(
            row["name"],
            row["core"],
            "" if computer else f"{row['clock_mhz']:g}",
            "" if computer else size_text(row["ram_bytes"]),
            "" if computer else size_text(row["flash_bytes"]),
            row["virtual"],
            escape(row["title"]),
        )
        how = tuple(f"{what} {text}" for what, text in row["tested"].items() if text)
        tested.setdefault(how, []).append(row["name"])
    console.print(table)
    console.print("\nRAM is what a model may use. Tested:")
    for how, names in tested.items():
        console.print(f"[bold]{', '.join(names)}[/]: {escape('; '.join(how))}", highlight=False)
