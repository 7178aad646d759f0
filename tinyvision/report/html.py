"""One self-contained HTML file: figures, memory over time, and what each layer costs.

Every number says where it comes from: ``exact`` (computed from model and plan, true on every
device), ``modelled`` (a virtual board's clock) or ``measured`` (hardware).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tinyvision import __version__
from tinyvision.ir.graph import Graph
from tinyvision.report.plan_svg import plan_svg
from tinyvision.report.render import render
from tinyvision.report.segment_svg import segment_svgs
from tinyvision.report.text import count_text, shape_text, short_name, size_text
from tinyvision.schedule.plan import Plan
from tinyvision.target.board import Board

EXACT = "exact"


@dataclass(frozen=True)
class Figure:
    """One number at the top of the page; ``source`` is exact, modelled or measured."""

    title: str
    value: str
    note: str
    source: str


@dataclass(frozen=True)
class Bar:
    """A number in the table with a bar behind it; ``share`` of the longest bar, 0 to 1."""

    text: str
    share: float
    peak: bool = False


@dataclass(frozen=True)
class Row:
    """One layer; ``bars`` in the order of the page's columns."""

    number: int
    name: str
    full_name: str
    op: str
    kernel: str
    shape: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Column:
    title: str
    source: str


def plan_html(graph: Graph, plan: Plan, board: Board) -> str:
    """The page for ``plan --html``: nothing in it needs a device."""
    columns = (Column("MACs", EXACT), Column("RAM", EXACT), Column("flash", EXACT))
    bars = [
        _bars([step.macs for step in plan.steps], count_text),
        _ram_bars(plan),
        _flash_bars(plan),
    ]
    return _page(graph, plan, board, "Memory plan", _plan_figures(plan, board), columns, bars)


def profile_html(graph: Graph, plan: Plan, board: Board, profile: Mapping[str, Any]) -> str:
    """The page for ``profile --html``; ``profile`` is what ``profile --json`` prints."""
    source = str(profile["source"])
    clock = float(profile["clock_mhz"])
    # A stream is measured as one; its figures stand at its first step.
    by_name = {layer["name"]: layer for layer in profile["layers"]}
    cycles, rates = [0] * len(plan.steps), [0.0] * len(plan.steps)
    for unit, (first, last) in enumerate(plan.units):
        spent = int(by_name.get(plan.unit_name(unit), {}).get("cycles", 0))
        macs = plan.segment_of(first).macs_executed
        macs = macs or sum(step.macs for step in plan.steps[first : last + 1])
        cycles[first], rates[first] = spent, macs / spent if spent else 0.0
    columns = (
        Column("latency", source),
        Column("cycles", source),
        Column("MACs", EXACT),
        Column("MACs a cycle", source),
        Column("RAM", EXACT),
        Column("flash", EXACT),
    )
    total, longest = sum(cycles) or 1, max([*cycles, 1])
    bars = [
        [
            Bar(f"{spent / clock / 1000:.3f} ms · {spent / total:.0%}", spent / longest)
            for spent in cycles
        ],
        _bars(cycles, lambda value: f"{value:,.0f}"),
        _bars([step.macs for step in plan.steps], count_text),
        _bars(rates, lambda value: f"{value:.2f}"),
        _ram_bars(plan),
        _flash_bars(plan),
    ]
    figures = _profile_figures(profile, source) + _plan_figures(plan, board)
    return _page(graph, plan, board, "Profile", figures, columns, bars)


def _plan_figures(plan: Plan, board: Board) -> tuple[Figure, ...]:
    figures = [
        Figure(
            "RAM for the model",
            size_text(plan.sram_bytes),
            f"{plan.sram_bytes:,} bytes: tensors and scratch, input included",
            EXACT,
        )
    ]
    if len(plan.banks) > 1:
        for bank in (bank for bank in plan.banks if bank.used_bytes):
            figures.append(
                Figure(
                    f"bank {bank.name}",
                    size_text(bank.used_bytes),
                    f"of {size_text(bank.size_bytes)} that the firmware leaves free",
                    EXACT,
                )
            )
    figures.append(
        Figure(
            "flash for constants",
            size_text(plan.flash_bytes),
            f"weights and tables; {board.name} has {size_text(board.flash_bytes)}",
            EXACT,
        )
    )
    note = f"of {count_text(plan.macs)} in the model"
    if plan.recompute_factor > 1:
        note += f", each {plan.recompute_factor:.2f} times on average"
    figures.append(Figure("MACs executed", count_text(plan.macs_executed), note, EXACT))
    return tuple(figures)


def _profile_figures(profile: Mapping[str, Any], source: str) -> tuple[Figure, ...]:
    instructions = profile.get("instructions")
    counted = f", {count_text(instructions)} instructions" if instructions else ""
    figures = [
        Figure(
            "latency",
            f"{profile['latency_ms']:.2f} ms",
            f"{count_text(profile['cycles'])} cycles at {profile['clock_mhz']:g} MHz{counted}",
            source,
        ),
        Figure("MACs a cycle", f"{profile['macs_per_cycle']:.2f}", "over the whole model", source),
    ]
    for key, title, note in (
        ("sram_peak_bytes", "RAM touched", "found by painting the banks before the run"),
        ("stack_peak_bytes", "stack touched", "found by painting the stack before the run"),
    ):
        if profile.get(key) is not None:
            figures.append(Figure(title, size_text(int(profile[key])), note, source))
    return tuple(figures)


def _bars(values: list[Any], text: Any) -> list[Bar]:
    longest = max([*values, 0]) or 1
    return [Bar(text(value) if value else "", value / longest) for value in values]


def _ram_bars(plan: Plan) -> list[Bar]:
    live = plan.live_bytes[1:-1]
    peak = max(plan.live_bytes)
    return [Bar(size_text(value), value / peak, value == peak) for value in live]


def _flash_bars(plan: Plan) -> list[Bar]:
    return _bars([step.kernel.flash_bytes for step in plan.steps], size_text)


def _page(
    graph: Graph,
    plan: Plan,
    board: Board,
    title: str,
    figures: tuple[Figure, ...],
    columns: tuple[Column, ...],
    bars: list[list[Bar]],
) -> str:
    rows = [
        Row(
            index,
            short_name(step.op, 36),
            step.op,
            step.kind,
            step.kernel.variant,
            shape_text(plan.buffers[step.outputs[0]].shape),
            tuple(column[index] for column in bars),
        )
        for index, step in enumerate(plan.steps)
    ]
    return render(
        "report.html.j2",
        title=title,
        model=plan.model,
        board=board,
        schedule=plan.schedule,
        figures=figures,
        columns=columns,
        rows=rows,
        sources=sorted({figure.source for figure in figures} | {c.source for c in columns}),
        map=Markup(plan_svg(graph, plan, board)),
        segments=[Markup(picture) for picture in segment_svgs(graph, plan)],
        version=__version__,
    )
