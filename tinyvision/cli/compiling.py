"""From a model to C and firmware: `check`, `plan`, `build`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tinyvision import project as projects
from tinyvision.cli.common import (
    BoardOpt,
    FlashOpt,
    GoalOpt,
    HtmlOpt,
    InputKind,
    InputOpt,
    JsonOpt,
    ModelArg,
    OutOpt,
    PatchesOpt,
    ScheduleOpt,
    SramOpt,
    TuneOpt,
    app,
    console,
    emit_json,
    resolve_board,
    resolve_model,
    resolve_out,
    working,
)
from tinyvision.cli.planning import planned
from tinyvision.files import write_whole


@app.command(epilog="Example: tinyvision check model.tflite --board stm32h7")
def check(model: ModelArg = None, board: BoardOpt = None, as_json: JsonOpt = False) -> None:
    """Every operator that is not supported, all at once, and whether it fits."""
    from tinyvision import importer
    from tinyvision.build import plan as make_plan
    from tinyvision.build import read
    from tinyvision.errors import FitError

    path = resolve_model(model)
    report = importer.check_bytes(read(path), str(path))
    found = projects.find()
    board = board or (found.board if found else None)
    result = report.to_json()
    if report.ok and board is not None:
        try:
            compiled = make_plan(path, board)
            result |= {"board": compiled.board.name, "fits": True, "why": ""}
            result |= {
                "sram_bytes": compiled.plan.sram_bytes,
                "flash_bytes": compiled.plan.flash_bytes,
            }
        except FitError as error:
            result |= {"board": board, "fits": False, "why": str(error)}
    good = report.ok and result.get("fits", True)
    if as_json:
        emit_json(result)
    else:
        for problem in report.problems:
            console.print(f"[red]no[/]   {escape(str(problem))}", highlight=False)
        if report.ok:
            console.print(f"[green]ok[/]   every operator of {escape(str(path))} is supported")
        if "fits" in result:
            memory = (
                f"{result['sram_bytes']:,} bytes of SRAM, {result['flash_bytes']:,} of flash"
                if result["fits"]
                else escape(result["why"])
            )
            mark = "[green]ok[/]  " if result["fits"] else "[red]no[/]  "
            console.print(f"{mark} on {escape(board or '')}: {memory}", highlight=False)
    if not good:
        raise typer.Exit(1)


@app.command(epilog="Example: tinyvision plan model.tflite --board stm32h7 --html plan.html")
def plan(
    model: ModelArg = None,
    board: BoardOpt = None,
    schedule: ScheduleOpt = "auto",
    patches: PatchesOpt = None,
    sram: SramOpt = None,
    flash: FlashOpt = None,
    goal: GoalOpt = "memory",
    fed: InputOpt = InputKind.rows,
    html: HtmlOpt = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Write the memory map, or the front.")
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Instead, all that is best in memory or time.")
    ] = False,
    latency: Annotated[
        float | None,
        typer.Option("--latency", metavar="MS", help="The smallest plan estimated so fast."),
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """The memory plan, without compiling."""
    from tinyvision.report import plan_html, plan_svg, print_plan

    if pareto:
        _front(resolve_model(model), resolve_board(board), fed, html, svg, as_json)
        return
    with working("planning") as progress:
        compiled = planned(
            resolve_model(model),
            resolve_board(board),
            progress,
            schedule=schedule,
            patches=patches,
            sram=sram,
            flash=flash,
            goal=goal,
            fed=fed,
            latency_ms=latency,
        )
    if html:
        write_whole(html, plan_html(compiled.graph, compiled.plan, compiled.board))
    if svg:
        write_whole(svg, plan_svg(compiled.graph, compiled.plan, compiled.board))
    if as_json:
        emit_json(compiled.plan.to_json())
    else:
        print_plan(console, compiled.graph, compiled.plan, compiled.board)


def _front(
    model: Path, board: str, fed: InputKind, html: Path | None, svg: Path | None, as_json: bool
) -> None:
    """``plan --pareto``."""
    from tinyvision.build import front
    from tinyvision.report import front_html, front_json, front_svg, front_table

    with working("planning"):
        plans = [c.plan for c in front(model, board, input_rows=fed is InputKind.rows)]
    if html:
        write_whole(html, front_html(plans))
    if svg:
        write_whole(svg, front_svg(plans))
    if as_json:
        emit_json(front_json(plans))
    else:
        console.print(front_table(plans))


@app.command(epilog="Example: tinyvision build model.tflite --board stm32h7")
def build(
    model: ModelArg = None,
    board: BoardOpt = None,
    schedule: ScheduleOpt = "auto",
    patches: PatchesOpt = None,
    sram: SramOpt = None,
    flash: FlashOpt = None,
    goal: GoalOpt = "memory",
    tune: TuneOpt = False,
    fed: InputOpt = InputKind.rows,
    out: OutOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """A PlatformIO project and its firmware."""
    from tinyvision.build import build as make
    from tinyvision.report import print_build

    name = resolve_board(board)
    folder = resolve_out(out, name)
    with working("building") as progress:
        compiled = planned(
            resolve_model(model),
            name,
            progress,
            schedule=schedule,
            patches=patches,
            sram=sram,
            flash=flash,
            goal=goal,
            tune=tune,
            fed=fed,
            out=folder,
        )
        built = make(compiled, compiled.board, out=folder, progress=progress)
    if as_json:
        emit_json(built.to_json())
    else:
        print_build(console, built)


@app.command(epilog="Example: tinyvision export model.tflite --format cmake --out lib/model")
def export(
    kind: Annotated[
        str,
        typer.Option("--format", "-f", help="c, platformio, arduino, zephyr or cmake."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new folder.")],
    model: ModelArg = None,
    board: Annotated[
        str | None,
        typer.Option("--board", "-b", help="Whose core to write for; default: portable C."),
    ] = None,
    schedule: ScheduleOpt = "auto",
    patches: PatchesOpt = None,
    sram: SramOpt = None,
    flash: FlashOpt = None,
    goal: GoalOpt = "memory",
    as_json: JsonOpt = False,
) -> None:
    """The model as a library for your own firmware."""
    from tinyvision.export import KINDS, PORTABLE
    from tinyvision.export import export as write

    if kind not in KINDS:
        raise typer.BadParameter(f"--format is one of {', '.join(KINDS)}")
    found = projects.find()
    with working("exporting") as progress:
        compiled = planned(
            resolve_model(model),
            board or (found.board if found else None) or PORTABLE,
            progress,
            schedule=schedule,
            patches=patches,
            sram=sram,
            flash=flash,
            goal=goal,
        )
        folder = write(compiled, kind, out)
    if as_json:
        emit_json(compiled.plan.to_json() | {"format": kind, "out": str(folder)})
    else:
        console.print(f"wrote {escape(str(folder))}", highlight=False)
