"""What all commands that plan a model do alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tinyvision.cli.common import InputKind, byte_count, grid_of

if TYPE_CHECKING:
    from tinyvision.build import Compiled


def planned(
    model: Path,
    board: str,
    progress: Callable[[str], None],
    *,
    schedule: str,
    patches: str | None,
    sram: str | None,
    flash: str | None,
    goal: str,
    tune: bool = False,
    fed: InputKind = InputKind.rows,
    port: str | None = None,
    out: Path | None = None,
    latency_ms: float | None = None,
) -> Compiled:
    """``model`` planned for ``board`` with options as they were given; tuned first, if so wished,
    with firmware in ``out``.
    """
    from tinyvision import api
    from tinyvision.build import load, plan
    from tinyvision.kernels import choose
    from tinyvision.target import load_board
    from tinyvision.tune import tune as try_kernels

    grid, loaded, target = grid_of(patches, schedule), load(model), load_board(board)
    candidates = choose.candidates
    if tune:
        where = api.Where(virtual=port is None, port=port)
        timings = try_kernels(loaded, target, where=where, out=out, progress=progress)
        candidates = timings.candidates
    progress("planning")
    return plan(
        loaded,
        target,
        schedule_kind=schedule,
        patches=grid,
        sram_limit=byte_count(sram),
        flash_limit=byte_count(flash),
        input_rows=fed is InputKind.rows,
        goal=goal,
        candidates=candidates,
        latency_ms=latency_ms,
    )
