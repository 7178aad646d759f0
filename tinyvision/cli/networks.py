"""The zoo: `zoo`."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyvision import project as projects
from tinyvision.cli.common import BoardOpt, JsonOpt, app, console, counting, emit_json


@app.command(epilog="Example: tinyvision zoo --board stm32h7")
def zoo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NETWORK...", help="Default: all of them.")
    ] = None,
    board: BoardOpt = None,
    latency: Annotated[
        bool,
        typer.Option("--latency", help="Build and run each on the board's virtual twin; minutes."),
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """The networks that can be trained, and what each costs on a board."""
    from tinyvision.catalogue import rows
    from tinyvision.report import print_zoo
    from tinyvision.target import load_board
    from tinyvision.zoo import names as known
    from tinyvision.zoo import network

    found = projects.find()
    board = board or (found.board if found else None)
    target = load_board(board) if board else None
    wanted = names or list(known())
    for name in wanted:
        network(name)
    with counting("networks", len(wanted)) as done:
        table = rows(wanted, target, latency, done)
    if as_json:
        emit_json({"board": target.name if target else None, "networks": table})
    else:
        print_zoo(console, table, target.name if target else None)
