"""The benchmark as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyvision.report.text import count_text, short_name, size_text


def print_bench(console: Console, rows: Sequence[dict[str, Any]], layers: bool = False) -> None:
    """Prints rows of ``bench --json``: figures, change against the baseline, best peer; with
    ``layers``, then every layer of each.
    """
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
    for row in rows if layers else ():
        if row["layers"]:
            limit = row["macs_per_cycle_limit"]
            least = f", at least {1 / limit:.2f} cycles a MAC" if limit else ""
            console.print(f"\n{escape(row['model'])} on {row['board']}{least}", highlight=False)
            console.print(_layers(row, limit))


def _layers(row: dict[str, Any], limit: float | None) -> Table:
    """Cycles a MAC of each layer, beside what the core takes at least (Winograd's filtering does
    fewer than it counts).
    """
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    for name in ("layer", "kernel"):
        table.add_column(name, no_wrap=True)
    for name in ("cycles", "share", "cy/MAC", "x limit"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in row["layers"]:
        cycles, macs = layer["cycles"], layer["macs"]
        table.add_row(
            escape(short_name(layer["name"], 28)),
            layer["kernel"],
            f"{cycles:,}",
            f"{cycles / row['cycles']:.0%}",
            f"{cycles / macs:.2f}" if macs else "",
            f"{cycles / macs * limit:.1f}" if macs and limit else "",
        )
    return table


def _change(row: dict[str, Any]) -> str:
    change = row["change"].get("cycles", 0)
    if not change:
        return ""
    ratio = change / (row["cycles"] - change)
    return f"[{'red' if change > 0 else 'green'}]{ratio:+.1%}[/]"


def _peer(row: dict[str, Any]) -> str:
    return count_text(row["peers"][0]["cycles"]) if row["peers"] else ""
