"""Where int8 departs from float, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyvision.report.text import short_name

_WORST = 5


def print_quantization(console: Console, layers: Sequence[Mapping[str, Any]]) -> None:
    """Prints what ``quantize --report --json`` holds in ``layers``: all of them, then advice for
    the worst.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("layer", no_wrap=True)
    for title in ("SQNR dB", "alone", "low", "high", "cut off", "uneven"):
        table.add_column(title, justify="right")
    for row in layers:
        style = "" if not row["advice"] else "yellow"
        table.add_row(
            escape(short_name(row["name"])),
            f"{row['sqnr_db']:.1f}",
            f"{row['own_sqnr_db']:.1f}",
            f"{row['low']:.3g}",
            f"{row['high']:.3g}",
            f"{row['saturation']:.2%}",
            f"{row['imbalance']:.1f}",
            style=style,
        )
    console.print(table)
    worst = sorted((row for row in layers if row["advice"]), key=lambda row: row["sqnr_db"])
    for row in worst[:_WORST]:
        console.print(f"{escape(row['name'])}: {escape(row['advice'])}", highlight=False)
