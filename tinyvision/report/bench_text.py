"""The benchmark as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyvision.report.text import count_text, short_name, size_text


def print_bench(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Prints rows of ``bench --json``: figures, change against the baseline, best peer."""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("model", "board", ""):
        table.add_column(name, no_wrap=True)
    for name in ("cycles", "change", "peer", "MAC/cy", "ms", "RAM", "flash"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        name, board = short_name(row["model"], 15), row["board"]
        if row["why"]:
            table.add_row(name, board, "[yellow]no[/]", escape(row["why"]))
            continue
        table.add_row(
            name,
            board,
            "[green]ok[/]" if row["verified"] else "[red]BAD[/]",
            count_text(row["cycles"]),
            _change(row),
            _peer(row),
            f"{row['macs_per_cycle']:.2f}",
            f"{row['latency_ms']:.2f}",
            size_text(row["sram_bytes"]),
            size_text(row["flash_total_bytes"]),
        )
    console.print(table)


def _change(row: dict[str, Any]) -> str:
    change = row["change"].get("cycles", 0)
    if not change:
        return ""
    ratio = change / (row["cycles"] - change)
    return f"[{'red' if change > 0 else 'green'}]{ratio:+.1%}[/]"


def _peer(row: dict[str, Any]) -> str:
    return count_text(row["peers"][0]["cycles"]) if row["peers"] else ""
