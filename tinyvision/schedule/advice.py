"""What to tell a user whose model does not fit: by how much, where, and what would help."""

from __future__ import annotations

from math import floor, sqrt

from tinyvision.errors import FitError
from tinyvision.ir.graph import Graph
from tinyvision.schedule.plan import Plan
from tinyvision.schedule.select import Selection
from tinyvision.target.board import Board


def kilobytes(size_bytes: int) -> str:
    """``56.3 KB`` (1 KB = 1000 bytes), or ``812 bytes``."""
    return f"{size_bytes} bytes" if size_bytes < 1000 else f"{size_bytes / 1000:.1f} KB"


def explain_ram(
    graph: Graph, board: Board, selection: Selection, sram_limit: int | None
) -> FitError:
    """The model's RAM exceeds the board's banks, or ``sram_limit`` where that is given."""
    scheduled = selection.schedule
    peak = selection.layout.peak_bytes
    capacity = sum(bank.size_bytes for bank in board.banks)
    if sram_limit is not None:
        room, owner = sram_limit, f"the limit is {kilobytes(sram_limit)}"
    else:
        names = ", ".join(f"{bank.name} {kilobytes(bank.size_bytes)}" for bank in board.banks)
        room, owner = capacity, f"{board.name} has {kilobytes(capacity)} ({names})"
    needs = scheduled.step_bytes
    step = needs.index(max(needs)) if needs else 0
    where = _layer(graph, scheduled.order[step]) if needs else "the inputs and outputs"
    if peak > room:
        what = f"needs {kilobytes(peak)} of RAM, {kilobytes(peak - room)} too much"
    else:
        what = f"needs {kilobytes(peak)} of RAM, in pieces that fit no bank together"
        room = max((bank.size_bytes for bank in board.banks), default=0)
    return FitError(
        what, graph.name, f"{owner}; the peak is at {where}", _ram_hint(graph, peak, room)
    )


def explain_flash(plan: Plan, board: Board) -> FitError:
    """The weights exceed the board's flash."""
    excess = plan.flash_bytes - board.flash_bytes
    largest = max(plan.steps, key=lambda step: step.kernel.flash_bytes)
    ratio = floor(sqrt(board.flash_bytes / plan.flash_bytes) * 20) / 20
    return FitError(
        f"needs {kilobytes(plan.flash_bytes)} of flash for weights, {kilobytes(excess)} too much",
        plan.model,
        f"{board.name} has {kilobytes(board.flash_bytes)}; the largest layer is {largest.op!r} "
        f"({largest.kind}, {kilobytes(largest.kernel.flash_bytes)})",
        f"What would fit: layers {ratio:.2f} times as wide, a board with more flash.",
    )


def _layer(graph: Graph, index: int) -> str:
    op = graph.ops[index]
    names = [name for name in op.inputs if not graph.tensor(name).is_constant]
    shapes = " and ".join(_shape(graph, name) for name in names)
    return f"layer {op.name!r} ({op.kind}, {shapes} to {_shape(graph, op.outputs[0])})"


def _shape(graph: Graph, name: str) -> str:
    return "x".join(map(str, graph.tensor(name).shape))


def _ram_hint(graph: Graph, peak: int, room: int) -> str:
    """Activations grow with the square of the resolution and linearly with the width."""
    options = []
    shape = graph.tensor(graph.inputs[0]).shape if graph.inputs else ()
    if len(shape) == 4 and min(shape[1:3]) >= 16:
        factor = sqrt(room / peak)
        height, width = (max(8, floor(side * factor / 8) * 8) for side in shape[1:3])
        if (height, width) != shape[1:3]:
            options.append(f"an input of about {height}x{width} instead of {shape[1]}x{shape[2]}")
    ratio = floor(room / peak * 20) / 20
    if 0 < ratio < 1:
        options.append(f"layers {ratio:.2f} times as wide")
    options.append("a board with more RAM")
    return f"What would fit: {', or '.join(options)}."
