"""What patches trade: memory against operations, beside layers and streams.

    python -m bench.patches MODEL [--board NAME] [--grids 2x2 3x3 4x4]

Prints one table: for each grid the cut that needs least memory, then the grid and cut that the
planner takes by itself, and streams.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tinyvision.build import load
from tinyvision.build import plan as make_plan
from tinyvision.schedule.plan import Plan

HEADS = ("schedule", "operators", "halo", "RAM", "patches, rest", "MACs executed", "recompute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--board", default="stm32h7")
    parser.add_argument("--grids", nargs="*", default=["2x2", "3x3", "4x4"])
    options = parser.parse_args()
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for name, plan in plans(options.model, options.board, options.grids):
        print(f"| {name} | {' | '.join(cells(plan))} |")


def plans(model: str, board: str, grids: list[str]) -> Iterator[tuple[str, Plan]]:
    loaded = load(model)
    yield "layers", make_plan(loaded, board, schedule_kind="layer").plan
    for grid in grids:
        rows, columns = map(int, grid.split("x"))
        planned = make_plan(loaded, board, schedule_kind="patch", patches=(rows, columns))
        yield f"patches {grid}", planned.plan
    best = make_plan(loaded, board, schedule_kind="patch").plan
    grids = ["x".join(map(str, s.grid)) for s in best.segments if s.is_patch]
    yield f"patches, searched: {', '.join(grids) or 'none'}", best
    for name, rows_pushed in (("whole input", False), ("rows pushed", True)):
        planned = make_plan(loaded, board, schedule_kind="stream", input_rows=rows_pushed)
        yield f"stream, {name}", planned.plan


def cells(plan: Plan) -> Iterator[str]:
    patch = next((s for s in plan.segments if s.is_patch), None)
    rest = max((s.sram_bytes for s in plan.segments if not s.is_patch), default=0)
    yield str(patch.last_step - patch.first_step + 1) if patch else ""
    yield "x".join(map(str, patch.halo)) if patch else ""
    yield f"{plan.sram_bytes:,}"
    yield f"{patch.sram_bytes:,}, {rest:,}" if patch else ""
    yield f"{plan.macs_executed:,}"
    yield f"{plan.recompute_factor:.2f}"


if __name__ == "__main__":
    main()
