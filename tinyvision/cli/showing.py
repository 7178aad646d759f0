"""The whole at once: `bench`, `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tinyvision.cli.common import GoalOpt, JsonOpt, app, console, counting, emit_json, working
from tinyvision.files import write_whole


@app.command(epilog="Example: tinyvision bench --suite published --boards stm32l4,stm32h7")
def bench(
    suite: Annotated[str, typer.Option("--suite", help="demo or published.")] = "demo",
    boards: Annotated[
        str | None, typer.Option("--boards", help="Comma-separated; default: all with a twin.")
    ] = None,
    models: Annotated[
        list[Path] | None, typer.Option("--models", help="Model files instead of a suite.")
    ] = None,
    optimize: GoalOpt = "memory",
    layers: Annotated[
        bool, typer.Option("--layers", help="Also every layer, and how far from its core's limit.")
    ] = False,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Store these figures as the new baseline.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where firmware is built.")] = Path(
        "build/bench"
    ),
    as_json: JsonOpt = False,
) -> None:
    """Cycles, instructions, RAM and flash over models and boards, against the stored baseline."""
    from tinyvision import bench as benchmark
    from tinyvision.report import print_bench

    files = models or benchmark.models_of(suite)
    names = benchmark.virtual_boards(boards.split(",") if boards else [])
    baseline = benchmark.read_baseline(benchmark.BASELINE)
    with counting("measuring", len(files) * len(names)) as advance:
        rows = benchmark.run(
            files, names, out, lambda row: advance(f"{row.model} on {row.board}"), optimize
        )
    result = benchmark.to_json(rows, baseline)
    if update_baseline:
        write_whole(benchmark.BASELINE, benchmark.merged_baseline(rows, baseline))
    if as_json:
        emit_json(result)
    else:
        print_bench(console, result["rows"], layers)
    if not result["all_verified"]:
        raise typer.Exit(1)


@app.command(epilog="Example: tinyvision demo --board stm32h7")
def demo(
    board: Annotated[str, typer.Option("--board", "-b")] = "stm32h7",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path(
        "build/demo"
    ),
    data: Annotated[str, typer.Option("--data", "-d", help="digits or shapes.")] = "digits",
    as_json: JsonOpt = False,
) -> None:
    """The main job in one go on built-in data, from training to report.html."""
    from tinyvision.demo import run as run_demo

    with working("starting") as progress:
        tables = Console(stderr=True) if as_json else console
        result = run_demo(board, out, progress, tables, data)
    if as_json:
        emit_json(result)
    if result["mismatches"]:
        raise typer.Exit(1)
