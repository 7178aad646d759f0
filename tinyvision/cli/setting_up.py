"""Before the first build: `new`, `boards`, `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tinyvision import project as projects
from tinyvision.cli.common import JsonOpt, app, console, emit_json


@app.command(epilog="Example: tinyvision new cats && cd cats")
def new(directory: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Make a project folder."""
    for path in projects.create(directory):
        console.print(f"wrote {path}")


@app.command(epilog="Example: tinyvision boards --json")
def boards(as_json: JsonOpt = False) -> None:
    """The boards, with core, clock, memory, and what was tested how."""
    from tinyvision.report import board_rows, print_boards
    from tinyvision.target import board_names, load_board

    rows = board_rows([load_board(name) for name in board_names()])
    if as_json:
        emit_json({"boards": rows})
    else:
        print_boards(console, rows)


@app.command(epilog="Example: tinyvision doctor")
def doctor(as_json: JsonOpt = False) -> None:
    """Is everything here that building, flashing, profiling and training need; how to mend it."""
    from tinyvision.doctor import examine

    findings = examine()
    if as_json:
        emit_json(
            {
                "ok": all(f.ok or f.optional for f in findings),
                "checks": [f.to_json() for f in findings],
            }
        )
    else:
        for finding in findings:
            mark = (
                "[green]ok[/]"
                if finding.ok
                else "[yellow]no[/]"
                if finding.optional
                else "[red]missing[/]"
            )
            console.print(f"{mark:>18}  {finding.name}: {escape(finding.detail)}")
            if not finding.ok:
                console.print(f"{'':9} {escape(finding.hint)}")
    if not all(f.ok or f.optional for f in findings):
        raise typer.Exit(1)
