"""A plan in the terminal: its figures, its layers, and its memory from layer to layer."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinyvision.ir.graph import Graph
from tinyvision.report.memory_rows import legend, memory_header, memory_row
from tinyvision.report.segment_map import SegmentMap, segment_maps
from tinyvision.report.text import count_text, shape_text, short_name, size_text
from tinyvision.schedule.plan import Plan
from tinyvision.target.board import Board

FULL_WIDTH = 110
"""Columns from which kernels, shapes and flash are shown, too."""


def print_plan(console: Console, graph: Graph, plan: Plan, board: Board) -> None:
    """Prints ``plan`` as wide as ``console`` is."""
    console.print(plan_text(graph, plan, board, console.width))


def plan_text(graph: Graph, plan: Plan, board: Board, width: int) -> RenderableType:
    """Figures, one row a layer with a picture of the memory beside it, what its signs mean, and
    what of its tensors each stream or patch segment keeps.
    """
    layers = Group(_summary(plan, board), Text(), _layers(plan, width), legend())
    return Group(layers, *(_kept(found) for found in segment_maps(graph, plan)))


def _kept(found: SegmentMap) -> Text:
    """From tensor to tensor the rows of a ring, or the receptive field of a tile."""
    text = Text(f"\n{found.title}\n")
    text.append(f"{found.subtitle}: ", "dim")
    return text.append(" → ".join(sheet.text for sheet in found.sheets))


def _summary(plan: Plan, board: Board) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("model", Text(plan.model, "bold"))
    grid.add_row("board", Text(board.title))
    for bank in plan.banks:
        share = bank.used_bytes / bank.size_bytes if bank.size_bytes else 0
        line = f"{size_text(bank.used_bytes)} of {size_text(bank.size_bytes)} ({share:.0%})"
        grid.add_row(f"RAM {bank.name}", line)
    peak = plan.to_json()["peak_layer"]
    grid.add_row("RAM in all", Text(f"{size_text(plan.sram_bytes)}, peak at {peak}"))
    flash = f"{size_text(plan.flash_bytes)} of {size_text(board.flash_bytes)}"
    grid.add_row("flash", f"{flash} (weights and tables)")
    executed = f"{count_text(plan.macs_executed)} executed"
    grid.add_row("MACs", f"{count_text(plan.macs)} in the model, {executed}")
    if plan.step_cycles:
        cycles = f"{count_text(plan.estimated_cycles)} cycles, {plan.estimated_ms:.1f} ms"
        grid.add_row("latency", f"{cycles} (estimated; `profile` counts)")
    return grid


def _layers(plan: Plan, width: int) -> Table:
    """One row a step; what does not fit ``width`` is left out, the picture takes what is left."""
    full = width >= FULL_WIDTH
    names = 24 if full else 14
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("layer", no_wrap=True, width=names)
    table.add_column("kernel" if full else "operator", no_wrap=True, width=20 if full else 15)
    if full:
        table.add_column("output", no_wrap=True, width=11)
    table.add_column("MACs", justify="right", no_wrap=True, width=7)
    if full:
        table.add_column("flash", justify="right", no_wrap=True, width=8)
    table.add_column("RAM", justify="right", no_wrap=True, width=8)
    taken = sum(column.width or 2 for column in table.columns) + len(table.columns)
    picture = max(8, width - taken - 1)
    table.add_column(memory_header(plan, picture), no_wrap=True, width=picture)
    peak = max(plan.live_bytes)
    rows = [(-1, "input", "", "", "", "")]
    for index, step in enumerate(plan.steps):
        output = plan.buffers[step.outputs[0]]
        rows.append(
            (
                index,
                short_name(step.op, names),
                step.kernel.variant if full else step.kind,
                shape_text(output.shape),
                count_text(step.macs) if step.macs else "",
                size_text(step.kernel.flash_bytes) if step.kernel.flash_bytes else "",
            )
        )
    for index, name, kernel, output_shape, macs, flash in rows:
        live = plan.live_bytes[index + 1]
        ram = Text(size_text(live), "bold red" if live == peak else "")
        cells = [Text(str(index) if index >= 0 else ""), Text(name), Text(kernel)]
        cells += [Text(output_shape)] if full else []
        cells += [Text(macs)]
        cells += [Text(flash)] if full else []
        table.add_row(*cells, ram, memory_row(plan, index, picture))
    return table
