"""A build's and a profile's figures in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tinyvision.report.text import count_text, short_name, size_text

BAR = 24


def print_profile(console: Console, profile: Mapping[str, Any]) -> None:
    """Prints what ``profile --json`` holds: the totals, then a bar for each layer's time."""
    source = f" ({profile['source']})"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row(
        "latency", f"{profile['latency_ms']:.2f} ms at {profile['clock_mhz']:g} MHz{source}"
    )
    limit = profile.get("macs_per_cycle_limit")
    at_most = f" of at most {limit:g}" if limit else ""
    rate = f"{profile['macs_per_cycle']:.2f} MACs a cycle{at_most}"
    grid.add_row("cycles", f"{profile['cycles']:,}, {rate}")
    if profile.get("instructions") is not None:
        grid.add_row("instructions", f"{profile['instructions']:,}")
    if profile.get("stalls"):
        grid.add_row("stalled", _stalls(profile["stalls"], profile["cycles"]))
    for key, title in (("sram_peak_bytes", "RAM touched"), ("stack_peak_bytes", "stack touched")):
        if profile.get(key) is not None:
            grid.add_row(title, size_text(int(profile[key])))
    console.print(grid)
    console.print()
    console.print(_layers(profile, console.width))


def _stalls(stalls: Mapping[str, int], cycles: int) -> str:
    """Shares of the cycles in which nothing was issued, the largest first."""
    causes = sorted(stalls.items(), key=lambda item: -item[1])
    return ", ".join(f"{cause.replace('_', ' ')} {n / cycles:.0%}" for cause, n in causes if n)


def _layers(profile: Mapping[str, Any], width: int) -> Table:
    wide = width >= 100
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("layer", no_wrap=True, width=28 if wide else 16)
    table.add_column("kernel" if wide else "operator", no_wrap=True, width=22 if wide else 15)
    for title in ("cycles", "ms", "MACs", "MAC/cy"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    layers = profile["layers"]
    longest = max((layer["cycles"] for layer in layers), default=0) or 1
    for index, layer in enumerate(layers):
        cycles, macs = layer["cycles"], layer["macs"]
        bar = "█" * round(cycles / longest * (BAR if wide else 8))
        table.add_row(
            str(index),
            Text(short_name(layer["name"], 28 if wide else 16)),
            Text(str(layer["kernel"] if wide else layer["op"])),
            f"{cycles:,}",
            f"{cycles / profile['clock_mhz'] / 1000:.3f}",
            count_text(macs) if macs else "",
            f"{macs / cycles:.2f}" if macs and cycles else "",
            Text.assemble(f"{layer['share']:4.0%} ", (bar, "cyan")),
        )
    return table


def print_build(console: Console, built: Any) -> None:
    """Prints where a build's firmware lies and what it holds; ``built.to_json()`` has the keys of
    ``build --json``.
    """
    result = built.to_json()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("firmware", Text(str(result["elf"]), "bold"))
    grid.add_row("project", Text(str(result["project"])))
    text, rodata, data = (result[f"{part}_bytes"] for part in ("text", "rodata", "data"))
    parts = f"code {size_text(text)}, constants {size_text(rodata)}, data {size_text(data)}"
    grid.add_row("flash", f"{size_text(result['flash_total_bytes'])}: {parts}")
    grid.add_row("RAM", f"{size_text(result['sram_bytes'])} for the model, {_banks(result)}")
    grid.add_row("stack", f"{size_text(result['stack_bytes'])} at most in the model's calls")
    grid.add_row("time", f"{result['build_seconds']:.1f} s")
    console.print(grid)


def _banks(result: Mapping[str, Any]) -> str:
    used = [bank for bank in result["banks"] if bank["used_bytes"]]
    return ", ".join(
        f"{bank['name']} {size_text(bank['used_bytes'])} of {size_text(bank['size_bytes'])}"
        for bank in used
    )
