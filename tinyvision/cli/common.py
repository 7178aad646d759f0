"""What the commands share: options, progress, and what a project folder fills in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tinyvision import project as projects

app = typer.Typer(
    name="tinyvision",
    help="From a vision model to verified, profiled firmware on a microcontroller.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
console = Console()
errors = Console(stderr=True)


class InputKind(str, Enum):
    rows = "rows"
    frame = "frame"


ModelArg = Annotated[
    Path | None, typer.Argument(metavar="MODEL", help="A .tflite file; default: the project's.")
]
BoardOpt = Annotated[
    str | None, typer.Option("--board", "-b", help="A name of `tinyvision boards` or a .toml file.")
]
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
OutOpt = Annotated[
    Path | None, typer.Option("--out", "-o", help="The PlatformIO project; default build/BOARD.")
]
ScheduleOpt = Annotated[
    str, typer.Option("--schedule", help="How memory is scheduled: auto, layer, stream or patch.")
]
PatchesOpt = Annotated[
    str | None,
    typer.Option(
        "--patches",
        metavar="RxC",
        help="Rows and columns of tiles for --schedule patch; default: what needs least memory.",
    ),
]
SramOpt = Annotated[
    str | None,
    typer.Option("--sram", help="At most so many bytes of RAM; 64K and 1M are understood."),
]
FlashOpt = Annotated[
    str | None, typer.Option("--flash", help="At most so many bytes of flash; 256K and 1M.")
]
GoalOpt = Annotated[
    str,
    typer.Option(
        "--optimize",
        metavar="memory|speed|balanced|size",
        help="For speed with little memory (default), speed with all the board's memory, size, or "
        "balanced.",
    ),
]
TuneOpt = Annotated[
    bool,
    typer.Option(
        "--tune",
        help="Try every kernel of every layer first, on the twin or on --port; what was found is "
        "kept for the next time.",
    ),
]
InputOpt = Annotated[
    InputKind,
    typer.Option(
        "--input",
        help="Where streams find the input: fed row by row (rows), or in memory (frame).",
    ),
]
PortOpt = Annotated[
    str | None,
    typer.Option("--port", "-p", help="A serial port, or a URL such as socket://host:port."),
]
VirtualOpt = Annotated[bool, typer.Option("--virtual", help="On the board's virtual twin.")]
HtmlOpt = Annotated[Path | None, typer.Option("--html", help="Also write the report to this file.")]


@contextmanager
def working(message: str) -> Iterator[Any]:
    """A spinner on stderr whose text the caller may change; silent where stderr is no terminal."""
    with errors.status(message) as status:
        yield lambda text: status.update(escape(text))


@contextmanager
def counting(message: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr with time left; the caller advances it by one, saying by what."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as bar:
        task = bar.add_task(message, total=total)
        yield lambda what: bar.update(task, advance=1, description=f"{message}: {escape(what)}")


def emit_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def byte_count(text: str | None) -> int | None:
    """``65536``, ``64K`` or ``1M`` (of 1024) in bytes."""
    if text is None:
        return None
    digits, unit = text.strip().upper().removesuffix("B"), 1
    if digits and digits[-1] in "KM":
        unit = 1024 if digits[-1] == "K" else 1024 * 1024
        digits = digits[:-1]
    if not digits.isdecimal():
        raise typer.BadParameter(f"{text!r} is no number of bytes; write 65536, 64K or 1M")
    return int(digits) * unit


def grid_of(text: str | None, schedule: str) -> tuple[int, int] | None:
    """``3x3`` as rows and columns of tiles."""
    if text is None:
        return None
    rows, _, columns = text.strip().lower().partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise typer.BadParameter(
            f"{text!r} is no grid; write 2x2, or 3x4: three rows of four tiles"
        )
    if schedule != "patch":
        raise typer.BadParameter("--patches needs --schedule patch")
    return int(rows), int(columns)


def resolve_model(model: Path | None) -> Path:
    found = projects.find()
    if model is None and found is not None:
        model = found.model
    if model is None:
        raise typer.BadParameter("name a MODEL, or run this in a folder with a tinyvision.toml")
    return model


def resolve_board(board: str | None) -> str:
    found = projects.find()
    if board is None and found is not None:
        board = found.board
    if board is None:
        raise typer.BadParameter("name a --board, or run this in a folder with a tinyvision.toml")
    return board


def resolve_out(out: Path | None, board: str) -> Path:
    found = projects.find()
    if out is None and found is not None:
        out = found.out
    return out or Path("build") / Path(board).stem


def choose_one(**places: bool | str | None) -> None:
    """Wrong usage where more than one place to run is named."""
    if sum(bool(place) for place in places.values()) > 1:
        raise typer.BadParameter("choose one of " + ", ".join(f"--{name}" for name in places))
