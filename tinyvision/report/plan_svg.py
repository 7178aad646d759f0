"""The memory map as one SVG file without external resources."""

from __future__ import annotations

from tinyvision.ir.graph import Graph
from tinyvision.report.memory_map import MemoryMap
from tinyvision.report.render import render
from tinyvision.report.text import size_text
from tinyvision.schedule.plan import Plan
from tinyvision.target.board import Board


def plan_svg(graph: Graph, plan: Plan, board: Board) -> str:
    """Memory over time: steps to the right, bytes upwards, a rectangle a buffer, a panel a bank."""
    peak = plan.to_json()["peak_layer"]
    title = f"{plan.model} on {board.title}"
    subtitle = f"{size_text(plan.sram_bytes)} of RAM"
    if peak is not None:
        subtitle += f", most alive at {plan.peak_step} ({peak})"
    return render("memory_map.svg.j2", map=MemoryMap(plan), title=title, subtitle=subtitle)
