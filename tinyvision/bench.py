"""Models by boards: cycles, instructions, memory, flash on the virtual boards; a baseline.

Every firmware is built, booted and compared with the oracle before its figures count. Counts of a
virtual board are deterministic, so that a difference from the baseline is a change of the code.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tinyvision import api, importer
from tinyvision.build import build, load, plan
from tinyvision.errors import FitError, UserError
from tinyvision.target import board_names, load_board

CHECKOUT = Path(__file__).parent.parent
BASELINE = CHECKOUT / "bench" / "baseline.json"
PEERS = CHECKOUT / "bench" / "peers.json"
PUBLISHED = CHECKOUT.parent / "shared" / "models"
VIRTUAL = api.Where(virtual=True)
SAMPLES = 4
WORKERS = 2
COMPARED = ("cycles", "instructions", "sram_bytes", "flash_total_bytes", "stack_bytes")
"""What a row has in common with the baseline's; smaller is better for all of them."""

Key = tuple[str, str, str]
"""Of a row: its network, its board and what it is optimised for."""
Baseline = dict[Key, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """One model on one board. ``why`` says what kept it from running; the figures are 0 then.

    ``verified``: every output equal to the oracle's. ``cycle_basis`` says what a cycle is here;
    ``macs_per_cycle_limit`` what the core could do at most, None where that is not known.
    ``layers``: name, kernel, cycles and MACs of each.
    """

    model: str
    board: str
    core: str
    network: str
    optimize: str = "memory"
    why: str = ""
    verified: bool = False
    cycles: int = 0
    instructions: int = 0
    macs: int = 0
    macs_per_cycle: float = 0.0
    macs_per_cycle_limit: float | None = None
    latency_ms: float = 0.0
    cycle_basis: str = ""
    sram_bytes: int = 0
    flash_total_bytes: int = 0
    stack_bytes: int = 0
    seconds: float = 0.0
    layers: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> Key:
        return self.network, self.board, self.optimize


def measure(model: Path, board_name: str, out: Path, optimize: str = "memory") -> Row:
    """Builds, verifies and profiles one model on one board's virtual twin."""
    started = time.monotonic()
    loaded, board = load(model), load_board(board_name)
    network = importer.model_hash(loaded.data).hex()
    about = (model.stem, board.name, board.core.name, network, optimize)
    try:
        compiled = plan(loaded, board, goal=optimize)
        built = build(compiled, board, out=out)
    except FitError as error:
        return Row(*about, why=error.what)
    checked = api.verify(compiled, board, where=VIRTUAL, samples=SAMPLES, out=out)
    _, profile = api.profile(compiled, board, where=VIRTUAL, out=out)
    return Row(
        *about,
        verified=checked["mismatches"] == 0,
        cycles=profile.cycles,
        instructions=profile.instructions or 0,
        macs=profile.macs,
        macs_per_cycle=round(profile.macs / profile.cycles, 4),
        macs_per_cycle_limit=profile.macs_per_cycle_limit,
        latency_ms=round(profile.latency_ms, 4),
        cycle_basis=profile.basis,
        sram_bytes=compiled.plan.sram_bytes,
        flash_total_bytes=built.result.sizes.flash_total_bytes,
        stack_bytes=built.result.stack_bytes,
        seconds=round(time.monotonic() - started, 1),
        layers=tuple(
            {
                "name": layer.name,
                "kernel": layer.kernel,
                "cycles": layer.cycles,
                "macs": layer.macs,
            }
            for layer in profile.layers
        ),
    )


def models_of(suite: str) -> list[Path]:
    """The model files of a suite: ``demo`` (the built-in network) or ``published`` (the folder
    that TINYVISION_MODELS names, by default ``../shared/models`` beside the checkout).
    """
    if suite == "demo":
        return [Path(__file__).parent / "demo" / "digits.tflite"]
    if suite == "published":
        folder = Path(os.environ.get("TINYVISION_MODELS", PUBLISHED))
        found = sorted(folder.glob("*.tflite"))
        if not found:
            hint = "Set TINYVISION_MODELS to a folder of .tflite files, or name --models."
            raise UserError("no models found", str(folder), hint=hint)
        return found
    raise UserError(f"no suite is called {suite!r}", hint="Take demo or published.")


def virtual_boards(names: Sequence[str] = ()) -> list[str]:
    """``names`` checked, or every board that has a twin."""
    boards = [load_board(name) for name in names or board_names()]
    for board in boards:
        if board.hardware is None and names:
            raise UserError(f"{board.name} has no virtual twin")
    return [board.name for board in boards if board.hardware is not None]


def run(
    models: Iterable[Path],
    boards: Sequence[str],
    out: Path,
    on_row: Callable[[Row], None] = lambda row: None,
    optimize: str = "memory",
) -> list[Row]:
    """Every model on every board, two at a time; rows in the order of models, then boards."""
    jobs = [(model, board) for model in models for board in boards]
    rows: dict[tuple[Path, str], Row] = {}
    # A fresh interpreter each: emulator threads and fork do not go together.
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(measure, model, board, out / board / model.stem, optimize): (model, board)
            for model, board in jobs
        }
        try:
            for done in as_completed(running):
                rows[running[done]] = done.result()
                on_row(done.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[job] for job in jobs]


def read_baseline(path: Path) -> Baseline:
    """Empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {(row["network"], row["board"], row["optimize"]): row for row in stored}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("the baseline cannot be read", str(path), str(error)) from error


def merged_baseline(rows: Sequence[Row], baseline: Baseline) -> str:
    """The text of a baseline with ``rows`` in it and all others as they were. What is not compared
    with later runs is left out.
    """
    kept = ("model", "board", "network", "optimize", "verified", *COMPARED)
    merged = dict(baseline)
    for row in rows:
        if not row.why:
            merged[row.key] = {name: getattr(row, name) for name in kept}
    ordered = sorted(merged.values(), key=lambda row: (row["model"], row["board"], row["optimize"]))
    return json.dumps({"rows": ordered}, indent=1) + "\n"


def compare(row: Row, stored: dict[str, Any] | None) -> dict[str, int]:
    """How much each figure of ``row`` is above the baseline's (below: negative); without equals."""
    if stored is None or row.why:
        return {}
    now = asdict(row)
    changes = {key: now[key] - int(stored.get(key, now[key])) for key in COMPARED}
    return {key: change for key, change in changes.items() if change}


def peers_of(row: Row, path: Path = PEERS) -> list[dict[str, Any]]:
    """Published results of the same network on the same kind of core, fastest first."""
    if not path.is_file():
        return []
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    same = [r for r in results if (r["network"], r["core"]) == (row.network, row.core)]
    return sorted(same, key=lambda result: result["cycles"])


def to_json(rows: Sequence[Row], baseline: Baseline) -> dict[str, Any]:
    """What ``bench --json`` prints."""
    return {
        "rows": [
            asdict(row) | {"change": compare(row, baseline.get(row.key)), "peers": peers_of(row)}
            for row in rows
        ],
        "all_verified": all(row.verified for row in rows if not row.why),
    }
