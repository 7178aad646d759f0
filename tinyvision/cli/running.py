"""On a board or its twin: `flash`, `verify`, `profile`, `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

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
    PortOpt,
    ScheduleOpt,
    SramOpt,
    TuneOpt,
    VirtualOpt,
    app,
    choose_one,
    console,
    emit_json,
    errors,
    resolve_board,
    resolve_model,
    resolve_out,
    working,
)
from tinyvision.cli.planning import planned
from tinyvision.files import write_whole


@app.command(epilog="Example: tinyvision flash --board stm32h7")
def flash(
    board: BoardOpt = None,
    port: PortOpt = None,
    virtual: VirtualOpt = False,
    out: OutOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Write the firmware to the board and ask it who it is."""
    from tinyvision.api import Where
    from tinyvision.api import flash as write

    choose_one(virtual=virtual, port=port)
    name = resolve_board(board)
    with working("flashing") as progress:
        where = Where(virtual=virtual, port=port)
        identity = write(name, resolve_out(out, name), where=where, progress=progress)
    if as_json:
        emit_json(identity)
    else:
        console.print(f"{identity['board']} answers: {identity['model']} {identity['hash']}")


@app.command(epilog="Example: tinyvision verify model.tflite --board stm32h7 --virtual")
def verify(
    model: ModelArg = None,
    board: BoardOpt = None,
    virtual: VirtualOpt = False,
    host: Annotated[bool, typer.Option("--host", help="The generated C on this computer.")] = False,
    port: PortOpt = None,
    inputs: Annotated[
        Path | None, typer.Option("--inputs", help=".npz with `inputs` and perhaps `outputs_0`...")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many random inputs.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Of the random inputs.")] = 0,
    sanitize: Annotated[
        bool, typer.Option("--sanitize", help="Also watch every access to memory (--virtual).")
    ] = False,
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
    """Bit for bit against the oracle; names the first layer that differs."""
    from tinyvision.api import Where
    from tinyvision.api import verify as compare

    choose_one(virtual=virtual, host=host, port=port)
    name = resolve_board(board) if board or not host else "host"
    folder = resolve_out(out, name)
    with working("verifying") as progress:
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
            port=port,
            out=folder,
        )
        result = compare(
            compiled,
            compiled.board,
            where=Where(virtual, host, port),
            inputs=inputs,
            samples=samples,
            seed=seed,
            sanitize=sanitize,
            out=folder,
            progress=progress,
        )
    if as_json:
        emit_json(result)
    elif result["mismatches"] == 0:
        console.print(
            f"[green]equal[/]: {result['samples']} samples, {result['values']:,} values, "
            f"0 mismatches on {result['target']} against {result['oracle']}"
        )
    else:
        console.print(
            f"[red]different[/]: {result['mismatches']:,} of {result['values']:,} values on "
            f"{result['target']}, by up to {result['max_abs_diff']:g}; first layer that differs: "
            f"{result['first_divergent_layer']}"
        )
    for finding in result.get("findings", ()):
        errors.print(f"[red]found[/] {escape(finding)}", soft_wrap=True, highlight=False)
    if result["mismatches"] or result.get("findings"):
        raise typer.Exit(1)


@app.command(epilog="Example: tinyvision profile model.tflite --board stm32h7 --virtual")
def profile(
    model: ModelArg = None,
    board: BoardOpt = None,
    virtual: VirtualOpt = False,
    port: PortOpt = None,
    html: HtmlOpt = None,
    annotate: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="Instead, the code of that layer (number or name) with its cycles; on the twin.",
        ),
    ] = None,
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
    """Time and memory, layer by layer."""
    from tinyvision.api import Where
    from tinyvision.api import annotate as annotate_layer
    from tinyvision.api import profile as measure
    from tinyvision.report import print_annotated, print_profile, profile_html

    choose_one(virtual=virtual, port=port)
    if annotate is not None and port is not None:
        raise typer.BadParameter("--annotate needs the virtual board")
    name = resolve_board(board)
    folder = resolve_out(out, name)
    with working("profiling") as progress:
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
            port=port,
            out=folder,
        )
        if annotate is not None:
            layer = annotate_layer(
                compiled, compiled.board, annotate, out=folder, progress=progress
            )
        else:
            where = Where(virtual=virtual, port=port)
            _, measured = measure(
                compiled, compiled.board, where=where, out=folder, progress=progress
            )
    if annotate is not None:
        if as_json:
            emit_json(layer)
        else:
            print_annotated(console, layer)
        return
    result = measured.to_json()
    if html:
        write_whole(html, profile_html(compiled.graph, compiled.plan, compiled.board, result))
    if as_json:
        emit_json(result)
    else:
        print_profile(console, result)


@app.command(epilog="Example: tinyvision run cat.jpg dog.png --board stm32h7 --virtual")
def run(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...")],
    board: BoardOpt = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Default: the project's.")
    ] = None,
    virtual: VirtualOpt = False,
    port: PortOpt = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to show.")] = 3,
    out: OutOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Classify pictures on the device."""
    from tinyvision.api import Where
    from tinyvision.api import run as classify

    choose_one(virtual=virtual, port=port)
    name = resolve_board(board)
    with working("running") as progress:
        results = classify(
            resolve_model(model),
            images,
            name,
            where=Where(virtual=virtual, port=port),
            top=top,
            out=resolve_out(out, name),
            progress=progress,
        )
    if as_json:
        emit_json({"images": results})
        return
    for result in results:
        best = ", ".join(f"{c['label']} {c['score']:.3f}" for c in result["classes"])
        console.print(f"{escape(result['image'])}: {escape(best)}")
