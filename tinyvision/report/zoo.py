"""The zoo's networks as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyvision.report.text import TIMES, count_text, size_text

MISSING = "-"
HEADINGS = ("network", "input", "width", "MACs", "parameters", "SRAM", "flash", "latency")


def zoo_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The texts of a row of ``zoo --json``, below HEADINGS."""

    def text(key: str, form: Any) -> str:
        return MISSING if row[key] is None else form(row[key])

    about = "~" if row["latency_source"] == "estimated" else ""
    return (
        row["name"],
        TIMES.join(map(str, row["input"])),
        f"{row['width']:g}",
        text("macs", count_text),
        text("parameters", count_text),
        text("sram_bytes", size_text),
        text("flash_bytes", size_text),
        text("latency_ms", lambda ms: f"{about}{ms:.1f} ms"),
    )


def print_zoo(console: Console, rows: Iterable[dict[str, Any]], board: str | None) -> None:
    """Prints rows of ``zoo --json``, and what the dashes mean."""
    rows = list(rows)
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*zoo_cells(row))
    console.print(table)
    if board is None:
        console.print("\nName a --board for memory and latency.")
    kinds = {row["latency_source"]: row["latency_basis"] for row in rows if row["latency_ms"]}
    if "estimated" in kinds:
        text = f"~ is estimated: {kinds['estimated']}; --latency runs them on the board's twin."
        console.print(f"\n{text}", highlight=False)
    if "modelled" in kinds:
        console.print(f"\nLatency without ~ is modelled: {escape(kinds['modelled'])}.")
    for row in rows:
        if row["why"]:
            console.print(f"[bold]{row['name']}[/]: {escape(row['why'])}", highlight=False)
