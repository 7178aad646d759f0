"""The front of memory against cycles: a table, data, a picture, a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from tinyvision.report.render import render
from tinyvision.report.text import count_text, size_text
from tinyvision.schedule.plan import Plan

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 20, 60, 56


@dataclass(frozen=True)
class Point:
    """One plan; ``x`` and ``y`` in the picture."""

    plan: Plan
    x: float
    y: float

    @property
    def label(self) -> str:
        return f"{size_text(self.plan.sram_bytes)}, {count_text(self.plan.estimated_cycles)} cycles"


def segments_text(plan: Plan) -> str:
    """``stream 6+8, layers 42``: the operators of each segment."""
    parts = []
    for segment in plan.segments:
        count = segment.last_step - segment.first_step + 1
        parts.append(f"{segment.kind} {count}")
    return ", ".join(parts)


def front_json(plans: Sequence[Plan]) -> dict[str, Any]:
    """What ``plan --pareto --json`` prints: ``front``, the fastest first."""
    return {
        "model": plans[0].model,
        "board": plans[0].board,
        "front": [
            {
                "sram_bytes": plan.sram_bytes,
                "sram_with_input_bytes": plan.sram_with_input_bytes,
                "estimated_cycles": plan.estimated_cycles,
                "estimated_latency_ms": round(plan.estimated_ms, 3),
                "recompute_factor": plan.recompute_factor,
                "flash_bytes": plan.flash_bytes,
                "segments": [
                    {"kind": s.kind, "steps": s.last_step - s.first_step + 1} for s in plan.segments
                ],
            }
            for plan in plans
        ],
    }


def front_table(plans: Sequence[Plan]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    # The segments give way, not the figures.
    for title in ("RAM", "with input", "cycles", "ms", "recompute"):
        table.add_column(title, justify="right", no_wrap=True, min_width=max(len(title), 8))
    table.add_column("operators by segment", overflow="ellipsis", no_wrap=True)
    for plan in plans:
        table.add_row(
            Text(size_text(plan.sram_bytes), "bold"),
            size_text(plan.sram_with_input_bytes),
            count_text(plan.estimated_cycles),
            f"{plan.estimated_ms:.1f}",
            f"{plan.recompute_factor:.2f}",
            segments_text(plan),
        )
    table.caption = "cycles and ms are estimated; make one of them: build --sram BYTES"
    table.caption_justify = "left"
    return table


def front_svg(plans: Sequence[Plan]) -> str:
    """Memory to the right, cycles upwards, from zero to the largest."""
    most_bytes = max(plan.sram_bytes for plan in plans) * 1.05
    most_cycles = max(plan.estimated_cycles for plan in plans) * 1.1 or 1.0
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(size_bytes: float) -> float:
        return LEFT + width * size_bytes / most_bytes

    def y(cycles: float) -> float:
        return HEIGHT - BOTTOM - height * cycles / most_cycles

    points = [Point(plan, x(plan.sram_bytes), y(plan.estimated_cycles)) for plan in plans]
    quarters = [k / 4 for k in range(5)]
    return render(
        "front.svg.j2",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        points=points,
        across=[(x(q * most_bytes), size_text(round(q * most_bytes))) for q in quarters],
        up=[(y(q * most_cycles), count_text(round(q * most_cycles))) for q in quarters],
        title=f"{plans[0].model} on {plans[0].board}",
    )


def front_html(plans: Sequence[Plan]) -> str:
    """One self-contained page."""
    rows = [
        (
            size_text(plan.sram_bytes),
            size_text(plan.sram_with_input_bytes),
            count_text(plan.estimated_cycles),
            f"{plan.estimated_ms:.1f}",
            f"{plan.recompute_factor:.2f}",
            segments_text(plan),
        )
        for plan in plans
    ]
    title = f"{plans[0].model} on {plans[0].board}: memory against time"
    return render("front.html.j2", title=title, picture=Markup(front_svg(plans)), rows=rows)
