"""Whether a network will fit, before it is trained; and which would."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyvision import api, importer
from tinyvision.build import Compiled, Model, Progress, plan, silent
from tinyvision.errors import FitError, UserError
from tinyvision.settings import BudgetSettings
from tinyvision.target import Board, load_board
from tinyvision.train.networks import Choice, quantized_untrained


@dataclass(frozen=True)
class Cost:
    """Of an int8 network on a board; ``latency_ms`` is its virtual board's, None where nobody
    asked.
    """

    sram_bytes: int
    flash_bytes: int
    macs: int
    latency_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "sram_bytes": self.sram_bytes,
            "flash_bytes": self.flash_bytes,
            "macs": self.macs,
            "latency_ms": self.latency_ms,
        }


def check(
    choice: Choice,
    classes: int,
    board: str | None,
    budget: BudgetSettings,
    progress: Progress = silent,
) -> Cost | None:
    """What ``choice`` will cost on ``board``, or None where neither board nor budget is given.

    FitError where that is more than the board has or ``budget`` allows, with the largest
    resolution and the largest width that would do.
    """
    limits = (budget.sram_bytes, budget.flash_bytes, budget.latency_ms)
    if board is None:
        if limits == (None, None, None):
            return None
        raise UserError("a budget needs a board", hint="Name one with --board.")
    target = load_board(board)
    progress("planning the network before training it")
    cost, problem = _judge(choice, classes, target, budget, progress)
    if problem is None:
        return cost
    progress("looking for a network that would fit")
    latency = cost.latency_ms if cost is not None else None
    per_mac = latency / cost.macs if cost is not None and latency else None

    def fits(other: Choice) -> bool:
        return _fits(other, classes, target, budget, per_mac)

    offers = [
        f"--{name} {value:g}"
        for name, value, good in (
            ("resolution", *_largest(_resolutions(choice), _with_resolution(choice), fits)),
            ("width", *_largest(_widths(choice), lambda w: replace(choice, width=w), fits)),
        )
        if good
    ]
    hint = f"{' or '.join(offers)} would fit." if offers else "Choose a smaller network or board."
    raise FitError(f"{choice} does not fit", target.name, problem, hint)


def cost_of(data: bytes, name: str, board: Board) -> tuple[Cost, Compiled]:
    """Of a ``.tflite``; FitError where the board cannot hold it."""
    graph = importer.from_bytes(data, name, name)
    compiled = plan(Model(Path(f"{name}.tflite"), data, graph), board)
    planned = compiled.plan
    return Cost(planned.sram_bytes, planned.flash_bytes, planned.macs_executed), compiled


def _judge(
    choice: Choice, classes: int, board: Board, budget: BudgetSettings, progress: Progress
) -> tuple[Cost | None, str | None]:
    """The cost where there is a plan, and what is wrong with it."""
    data = quantized_untrained(choice.build(classes, seed=0))
    try:
        cost, compiled = cost_of(data, "network", board)
    except FitError as error:
        return None, error.why or error.what
    problem = _exceeds(cost, budget)
    if problem is None and budget.latency_ms is not None:
        with tempfile.TemporaryDirectory(prefix="tinyvision.") as folder:
            where = api.Where(virtual=True)
            out = Path(folder) / "firmware"
            _, profile = api.profile(compiled, board, where=where, out=out, progress=progress)
        cost = replace(cost, latency_ms=profile.latency_ms)
        problem = _exceeds(cost, budget)
    return cost, problem


def _exceeds(cost: Cost, budget: BudgetSettings) -> str | None:
    for used, limit, what in (
        (cost.sram_bytes, budget.sram_bytes, "bytes of SRAM"),
        (cost.flash_bytes, budget.flash_bytes, "bytes of flash for weights"),
        (cost.latency_ms, budget.latency_ms, "ms of latency (modelled)"),
    ):
        if used is not None and limit is not None and used > limit:
            return f"it needs {used:,.6g} {what}; the budget is {limit:,.6g}"
    return None


def _fits(
    choice: Choice, classes: int, board: Board, budget: BudgetSettings, ms_per_mac: float | None
) -> bool:
    """Latency, whose measurement takes a while, is taken to go with the multiplications."""
    data = quantized_untrained(choice.build(classes, seed=0))
    try:
        cost, _ = cost_of(data, "network", board)
    except FitError:
        return False
    if ms_per_mac is not None:
        cost = replace(cost, latency_ms=cost.macs * ms_per_mac)
    return _exceeds(cost, budget) is None


def _resolutions(choice: Choice) -> list[int]:
    return [side for side in range(16, choice.height, 8) if choice.height == choice.image_width]


def _with_resolution(choice: Choice) -> Callable[[int], Choice]:
    return lambda side: replace(choice, height=side, image_width=side)


def _widths(choice: Choice) -> list[float]:
    return [share for share in (n / 20 for n in range(2, 40)) if share < choice.width - 1e-9]


def _largest(
    values: Sequence[Any], choice_of: Callable[[Any], Choice], fits: Callable[[Choice], bool]
) -> tuple[Any, bool]:
    """The largest of ascending ``values`` that fits, by halving; and whether there is one."""
    low, high = -1, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(choice_of(values[middle])) else (low, middle)
    return (values[low], True) if low >= 0 else (None, False)
