"""The hot code of a layer in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

RARE = 0.02
"""Instructions executed less often than this, beside the function's hottest, are left out."""


def print_annotated(console: Console, layer: Mapping[str, Any]) -> None:
    """Prints a layer's functions, the dearest first, instruction by instruction."""
    console.print(
        Text.assemble(
            (f"layer {layer['index']}", "bold"),
            f"  {layer['name']}, {layer['kernel']}: {layer['cycles']:,} cycles, "
            f"{layer['instructions']:,} instructions, {layer['macs']:,} MACs, "
            f"{layer['macs'] / max(1, layer['cycles']):.2f} of at most "
            f"{layer['macs_per_cycle_limit']:g} a cycle",
        )
    )
    console.print(Text(f"({layer['basis']})", "dim"))
    for function in layer["functions"]:
        console.print()
        console.print(_heading(function))
        console.print(_code(function["lines"]))


def _heading(function: Mapping[str, Any]) -> Text:
    stalls = sorted(function["stalls"].items(), key=lambda item: -item[1])
    told = ", ".join(
        f"{cause.replace('_', ' ')} {count / function['cycles']:.0%}"
        for cause, count in stalls
        if count >= 0.005 * function["cycles"]
    )
    return Text.assemble(
        (function["name"], "bold"),
        f"  {function['share']:.0%} of the layer, {function['cycles']:,} cycles",
        f"; stalls: {told}" if told else "",
    )


def _code(lines: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("address", style="dim", no_wrap=True, min_width=8)
    for title, width in (("executed", 9), ("cycles", 9), ("each", 5)):
        table.add_column(title, justify="right", no_wrap=True, min_width=width)
    table.add_column("waits for", no_wrap=True, min_width=11)
    table.add_column("instruction", no_wrap=True, ratio=1)
    most = max((line["executions"] for line in lines), default=0)
    skipped = False
    for line in lines:
        if line["executions"] < RARE * most:
            skipped = True
            continue
        if skipped:
            table.add_row("...")
            skipped = False
        table.add_row(
            f"{line['address']:08x}",
            f"{line['executions']:,}",
            f"{line['cycles']:,}",
            f"{line['cycles'] / line['executions']:.2f}",
            line["waits_for"].replace("_", " "),
            Text(line["text"]),
        )
    return table
