"""Whether a network will fit, before it is trained; and which would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyvision import importer
from tinyvision.build import Model, Progress, plan, silent
from tinyvision.errors import FitError, UserError
from tinyvision.settings import BudgetSettings
from tinyvision.target import Board, load_board
from tinyvision.train.networks import Choice, quantized_untrained


@dataclass(frozen=True)
class Cost:
    """Of an int8 network on a board, as its plan says; ``latency_ms`` is an estimate, None where
    there is none for the board's core.
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
    cost, problem = _judge(choice, classes, target, budget)
    if problem is None:
        return cost
    progress("looking for a network that would fit")

    def fits(other: Choice) -> bool:
        return _judge(other, classes, target, budget)[1] is None

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


def _judge(
    choice: Choice, classes: int, board: Board, budget: BudgetSettings
) -> tuple[Cost | None, str | None]:
    """The cost where there is a plan, and what is wrong with it."""
    data = quantized_untrained(choice.build(classes, seed=0))
    graph = importer.from_bytes(data, "network", str(choice))
    try:
        planned = plan(
            Model(Path("network.tflite"), data, graph), board, sram_limit=budget.sram_bytes
        ).plan
    except FitError as error:
        return None, ": ".join(part for part in (error.what, error.why) if part)
    cost = Cost(
        planned.sram_bytes,
        planned.flash_bytes,
        planned.macs_executed,
        planned.estimated_ms or None,
    )
    return cost, _exceeds(cost, budget)


def _exceeds(cost: Cost, budget: BudgetSettings) -> str | None:
    for used, limit, what in (
        (cost.sram_bytes, budget.sram_bytes, "bytes of SRAM"),
        (cost.flash_bytes, budget.flash_bytes, "bytes of flash for weights"),
        (cost.latency_ms, budget.latency_ms, "ms (estimated)"),
    ):
        if limit is not None and used is None:
            return f"there is no estimate of its {what} to hold against {limit:g}"
        if used is not None and limit is not None and used > limit:
            return f"it needs {used:,.6g} {what}; the budget is {limit:,.6g}"
    return None


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
