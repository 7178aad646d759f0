"""The main path, one step a line: load, optimise, schedule, generate, build.

A newcomer reads this first. Nothing here knows a board or a model by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyvision import codegen, firmware, importer, passes, schedule
from tinyvision.codegen.names import c_identifier
from tinyvision.errors import FitError, UserError
from tinyvision.ir import Graph
from tinyvision.ir.macs import graph_macs
from tinyvision.keras_file import int8_of
from tinyvision.kernels import choose
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.kernels.prefer import GOALS, preferring
from tinyvision.schedule.plan import BankUse, Plan
from tinyvision.target import Board, load_board

Progress = Callable[[str], None]


def silent(message: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Model:
    """A model file: its bytes (what the firmware's hash is taken of) and the graph they hold."""

    path: Path
    data: bytes
    graph: Graph


@dataclass(frozen=True)
class Compiled:
    """A model scheduled for a board: ``graph`` is the model's after the passes, ``goal`` what it
    was optimised for.
    """

    model: Model
    graph: Graph
    plan: Plan
    board: Board
    goal: str = "memory"

    def emit(self) -> dict[str, str]:
        """The generated library: relative path to text."""
        return codegen.emit(self.graph, self.plan, self.board, self.model.data, self.goal)


@dataclass(frozen=True)
class Built:
    """Firmware on disk, and the compiled model it was made of."""

    compiled: Compiled
    result: firmware.BuildResult

    def to_json(self) -> dict[str, Any]:
        """``build --json``: the plan's keys and the firmware's."""
        result = self.result
        return self.compiled.plan.to_json() | {
            "elf": str(result.elf),
            "bin": str(result.bin),
            "project": str(result.project.path),
            "text_bytes": result.sizes.text_bytes,
            "rodata_bytes": result.sizes.rodata_bytes,
            "data_bytes": result.sizes.data_bytes,
            "bss_bytes": result.sizes.bss_bytes,
            "flash_total_bytes": result.sizes.flash_total_bytes,
            "stack_bytes": result.stack_bytes,
            "build_seconds": round(result.seconds, 2),
        }


def read(path: Path) -> bytes:
    """The ``.tflite`` that a model file is, or that a ``.keras`` file becomes."""
    return int8_of(path) if path.suffix == ".keras" else importer.read(path)


def load(path: str | Path) -> Model:
    """Reads a ``.tflite`` file, or makes one of a ``.keras`` file; raises ModelError, or
    UnsupportedError naming every problem.
    """
    path = Path(path)
    data = read(path)
    return Model(path, data, importer.from_bytes(data, path.stem, str(path)))


def plan(
    model: str | Path | Model,
    board: str | Path | Board,
    *,
    schedule_kind: str = "auto",
    sram_limit: int | None = None,
    input_rows: bool = True,
    patches: tuple[int, int] | None = None,
    flash_limit: int | None = None,
    goal: str = "memory",
    candidates: CandidatesOf = choose.candidates,
    latency_ms: float | None = None,
) -> Compiled:
    """Optimises and schedules, without compiling anything; raises FitError if it does not fit.

    ``input_rows``: a streaming schedule may take the input row by row (``push_rows`` in the
    generated code) instead of keeping it in memory. ``patches``: rows and columns of tiles of the
    schedule "patch", or None for those that need least memory. ``flash_limit``: bytes of the
    board's flash that the firmware may take. ``goal``: one of ``kernels.prefer.GOALS``; "speed"
    takes what memory there is in the board's first bank. ``candidates``: the kernels to choose
    from, fastest first. ``latency_ms``: the smallest plan of any kind that is estimated to take no
    longer.
    """
    if goal not in GOALS:
        raise UserError(f"nothing is optimised for {goal!r}", hint=f"Take {', '.join(GOALS)}.")
    loaded = model if isinstance(model, Model) else load(model)
    target = board if isinstance(board, Board) else load_board(board)
    if flash_limit is not None:
        target = replace(target, flash_bytes=min(target.flash_bytes, flash_limit))
    graph = passes.run(loaded.graph)

    def scheduled(limit_bytes: int | None) -> Plan:
        return schedule.plan(
            graph,
            target,
            macs_original=graph_macs(loaded.graph),
            schedule=schedule_kind,
            sram_limit=limit_bytes,
            rows_arrive=input_rows,
            patches=patches,
            candidates=preferring(goal, candidates),
            latency_ms=latency_ms,
        )

    planned = scheduled(sram_limit)
    first_bytes = target.banks[0].size_bytes
    if goal == "speed" and sram_limit is None and planned.sram_bytes <= first_bytes:
        planned = scheduled(first_bytes)
    return Compiled(loaded, graph, planned, target, goal)


def front(
    model: str | Path | Model, board: str | Path | Board, *, input_rows: bool = True
) -> tuple[Compiled, ...]:
    """Plans from the fastest to the smallest, none better than another in memory and estimated
    cycles. FitError where none fits.
    """
    loaded = model if isinstance(model, Model) else load(model)
    target = board if isinstance(board, Board) else load_board(board)
    graph = passes.run(loaded.graph)
    plans = schedule.pareto_front(
        graph, target, macs_original=graph_macs(loaded.graph), rows_arrive=input_rows
    )
    return tuple(Compiled(loaded, graph, plan, target) for plan in plans)


def _frame(compiled: Compiled) -> BankUse | None:
    """Where the agent keeps a whole input for a network that takes it in rows."""
    plan = compiled.plan
    if plan.rows_arrive and plan.frame is None:
        raise FitError(
            f"the agent has no room for a whole input of {plan.input_bytes} bytes",
            plan.model,
            f"beside {plan.sram_bytes} bytes of the model on {compiled.board.name}",
            "Plan with --input frame, or export the model for a firmware that pushes rows.",
        )
    return plan.frame


def build(
    model: str | Path | Model | Compiled,
    board: str | Path | Board,
    *,
    out: str | Path | None = None,
    schedule_kind: str = "auto",
    sram_limit: int | None = None,
    input_rows: bool = True,
    patches: tuple[int, int] | None = None,
    progress: Progress = silent,
) -> Built:
    """Writes the PlatformIO project (default ``build/BOARD``) and builds its firmware."""
    progress("planning")
    compiled = (
        model
        if isinstance(model, Compiled)
        else plan(
            model,
            board,
            schedule_kind=schedule_kind,
            sram_limit=sram_limit,
            input_rows=input_rows,
            patches=patches,
        )
    )
    if compiled.board.hardware is not None:
        firmware.require_tools()  # before anything is written
    project = write_project(compiled, out, progress=progress)
    progress("compiling")
    result = firmware.build(project, progress)
    excess = result.sizes.flash_total_bytes - compiled.board.flash_bytes
    if excess > 0:
        raise FitError(
            f"the firmware is {excess} bytes larger than the flash it may take",
            compiled.plan.model,
            f"{result.sizes.flash_total_bytes} of {compiled.board.flash_bytes} bytes",
            "Try --optimize balanced or size.",
        )
    return Built(compiled, result)


def write_project(
    compiled: Compiled, out: str | Path | None = None, *, progress: Progress = silent
) -> firmware.Project:
    """The PlatformIO project (default ``build/BOARD``), as ``build`` compiles it."""
    target = compiled.board
    if target.hardware is None:
        raise UserError(
            "there is no firmware for this computer",
            f"--board {target.name}",
            hint="Use `verify --host`, or a board of `tinyvision boards`.",
        )
    progress("generating C")
    library = compiled.emit()
    progress("writing the project")
    return firmware.write_project(
        Path(out) if out else Path("build") / target.name,
        target,
        c_identifier(compiled.graph.name),
        library,
        compiled.plan.banks,
        compiled.graph.name,
        importer.model_hash(compiled.model.data).hex(),
        _frame(compiled),
    )
