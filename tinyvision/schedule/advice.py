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
    sizes = [bank.size_bytes for bank in board.banks]
    room, owner = sum(sizes), f"{board.name} has {kilobytes(sum(sizes))}"
    if len(sizes) > 1:
        owner += f" ({', '.join(f'{b.name} {kilobytes(b.size_bytes)}' for b in board.banks)})"
    if sram_limit is not None and sram_limit < room:
        room, owner = sram_limit, f"the limit is {kilobytes(sram_limit)}"
    needs = scheduled.step_bytes
    step = needs.index(max(needs)) if needs else 0
    where = _layer(graph, scheduled.order[step]) if needs else "the inputs and outputs"
    largest = max(item.size_bytes for item in scheduled.items)
    what = f"needs {kilobytes(peak)} of RAM"
    if peak > room:
        what += f", {kilobytes(peak - room)} too much"
    elif largest > max(sizes):
        what += f", {kilobytes(largest)} of it in one piece, larger than any bank"
    else:
        what += ", in pieces that the banks cannot hold together"
    # Pieces seldom fill several banks to the last byte: one of them should do for the peak.
    share = min(room / peak, max(sizes) / largest) if peak > room else max(sizes) / peak
    return FitError(what, graph.name, f"{owner}; the peak is at {where}", _ram_hint(graph, share))


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
        f"What would help: layers {ratio:.2f} times as wide, a board with more flash.",
    )


def _layer(graph: Graph, index: int) -> str:
    op = graph.ops[index]
    names = [name for name in op.inputs if not graph.tensor(name).is_constant]
    shapes = " and ".join(_shape(graph, name) for name in names)
    return f"layer {op.name!r} ({op.kind}, {shapes} to {_shape(graph, op.outputs[0])})"


def _shape(graph: Graph, name: str) -> str:
    return "x".join(map(str, graph.tensor(name).shape))


def _ram_hint(graph: Graph, share: float) -> str:
    """What makes RAM shrink to ``share``: it grows with the square of the resolution, and with the
    width.
    """
    options = []
    shape = graph.tensor(graph.inputs[0]).shape if graph.inputs else ()
    if len(shape) == 4 and min(shape[1:3]) >= 16:
        height, width = (max(8, floor(side * sqrt(share) / 8) * 8) for side in shape[1:3])
        if (height, width) != shape[1:3]:
            options.append(f"an input of about {height}x{width} instead of {shape[1]}x{shape[2]}")
    ratio = floor(share * 20) / 20
    if 0.25 <= ratio < 1:
        options.append(f"layers {ratio:.2f} times as wide")
    options.append("a board with more RAM")
    return f"What would help: {', '.join(options)}."


def explain_latency(fastest: Plan, board: Board, latency_ms: float) -> FitError:
    """What to say where even the fastest plan is too slow."""
    return FitError(
        f"no schedule is estimated to take {latency_ms:g} ms or less",
        fastest.model,
        f"the fastest takes about {fastest.estimated_ms:.1f} ms on {board.name}",
        "Take a smaller network or a faster board; `plan --pareto` shows what there is.",
    )
