"""The command line: one thin function a command over the library.

Exit codes: 0 success, 1 a user's error or a check that failed (one message on stderr), 2 wrong
usage, 130 after Ctrl-C. With ``--json`` stdout holds one JSON object and nothing else.
"""

from __future__ import annotations

import errno
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tinyvision import __version__
from tinyvision import project as projects
from tinyvision.errors import UserError
from tinyvision.files import write_whole

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

INTERRUPTED = 130
NO_FAULT_OF_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of the operating system that any write may meet."""


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
    str, typer.Option("--schedule", help="How memory is scheduled: auto, layer or stream.")
]
SramOpt = Annotated[
    str | None,
    typer.Option("--sram", help="At most so many bytes of RAM; 64K and 1M are understood."),
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


def show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"tinyvision {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="More detail; twice for all of it.")
    ] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


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


@app.command(epilog="Example: tinyvision check model.tflite --board stm32h7")
def check(model: ModelArg = None, board: BoardOpt = None, as_json: JsonOpt = False) -> None:
    """Every operator that is not supported, all at once, and whether it fits."""
    from tinyvision import importer
    from tinyvision.build import plan as make_plan
    from tinyvision.errors import FitError

    path = resolve_model(model)
    report = importer.check(path)
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
    sram: SramOpt = None,
    fed: InputOpt = InputKind.rows,
    html: HtmlOpt = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write the memory map.")] = None,
    as_json: JsonOpt = False,
) -> None:
    """The memory plan, without compiling."""
    from tinyvision.build import plan as make_plan
    from tinyvision.report import plan_html, plan_svg, print_plan

    with working("planning"):
        compiled = make_plan(
            resolve_model(model),
            resolve_board(board),
            schedule_kind=schedule,
            sram_limit=byte_count(sram),
            input_rows=fed is InputKind.rows,
        )
    if html:
        write_whole(html, plan_html(compiled.graph, compiled.plan, compiled.board))
    if svg:
        write_whole(svg, plan_svg(compiled.graph, compiled.plan, compiled.board))
    if as_json:
        emit_json(compiled.plan.to_json())
    else:
        print_plan(console, compiled.graph, compiled.plan, compiled.board)


@app.command(epilog="Example: tinyvision build model.tflite --board stm32h7")
def build(
    model: ModelArg = None,
    board: BoardOpt = None,
    schedule: ScheduleOpt = "auto",
    sram: SramOpt = None,
    fed: InputOpt = InputKind.rows,
    out: OutOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """A PlatformIO project and its firmware."""
    from tinyvision.build import build as make
    from tinyvision.report import print_build

    name = resolve_board(board)
    with working("building") as progress:
        built = make(
            resolve_model(model),
            name,
            out=resolve_out(out, name),
            schedule_kind=schedule,
            sram_limit=byte_count(sram),
            input_rows=fed is InputKind.rows,
            progress=progress,
        )
    if as_json:
        emit_json(built.to_json())
    else:
        print_build(console, built)


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
    sram: SramOpt = None,
    fed: InputOpt = InputKind.rows,
    out: OutOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Bit for bit against the oracle; names the first layer that differs."""
    from tinyvision.api import Where
    from tinyvision.api import verify as compare

    choose_one(virtual=virtual, host=host, port=port)
    name = resolve_board(board) if board or not host else "host"
    with working("verifying") as progress:
        result = compare(
            resolve_model(model),
            name,
            where=Where(virtual, host, port),
            inputs=inputs,
            samples=samples,
            seed=seed,
            sanitize=sanitize,
            schedule_kind=schedule,
            sram_limit=byte_count(sram),
            input_rows=fed is InputKind.rows,
            out=resolve_out(out, name),
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
    sram: SramOpt = None,
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
    if annotate is not None:
        with working("profiling") as progress:
            layer = annotate_layer(
                resolve_model(model),
                name,
                annotate,
                schedule_kind=schedule,
                sram_limit=byte_count(sram),
                out=resolve_out(out, name),
                progress=progress,
            )
        if as_json:
            emit_json(layer)
        else:
            print_annotated(console, layer)
        return
    with working("profiling") as progress:
        compiled, measured = measure(
            resolve_model(model),
            name,
            where=Where(virtual=virtual, port=port),
            schedule_kind=schedule,
            sram_limit=byte_count(sram),
            input_rows=fed is InputKind.rows,
            out=resolve_out(out, name),
            progress=progress,
        )
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
    sram: SramOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """The model as a library for your own firmware."""
    from tinyvision.build import plan as make_plan
    from tinyvision.export import KINDS, PORTABLE
    from tinyvision.export import export as write

    if kind not in KINDS:
        raise typer.BadParameter(f"--format is one of {', '.join(KINDS)}")
    found = projects.find()
    with working("exporting"):
        compiled = make_plan(
            resolve_model(model),
            board or (found.board if found else None) or PORTABLE,
            schedule_kind=schedule,
            sram_limit=byte_count(sram),
        )
        folder = write(compiled, kind, out)
    if as_json:
        emit_json(compiled.plan.to_json() | {"format": kind, "out": str(folder)})
    else:
        console.print(f"wrote {escape(str(folder))}", highlight=False)


@app.command(epilog="Example: tinyvision bench --suite published --boards stm32l4,stm32h7")
def bench(
    suite: Annotated[str, typer.Option("--suite", help="demo or published.")] = "demo",
    boards: Annotated[
        str | None, typer.Option("--boards", help="Comma-separated; default: all with a twin.")
    ] = None,
    models: Annotated[
        list[Path] | None, typer.Option("--models", help="Model files instead of a suite.")
    ] = None,
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
        rows = benchmark.run(files, names, out, lambda row: advance(f"{row.model} on {row.board}"))
    result = benchmark.to_json(rows, baseline)
    if update_baseline:
        write_whole(benchmark.BASELINE, benchmark.merged_baseline(rows, baseline))
    if as_json:
        emit_json(result)
    else:
        print_bench(console, result["rows"])
    if not result["all_verified"]:
        raise typer.Exit(1)


@app.command(epilog="Example: tinyvision demo --board stm32h7")
def demo(
    board: Annotated[str, typer.Option("--board", "-b")] = "stm32h7",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path(
        "build/demo"
    ),
    as_json: JsonOpt = False,
) -> None:
    """The main job in one go on a built-in network, up to report.html."""
    from tinyvision.demo import run as run_demo

    with working("starting") as progress:
        result = run_demo(board, out, progress, Console(stderr=True) if as_json else console)
    if as_json:
        emit_json(result)
    if result["mismatches"]:
        raise typer.Exit(1)


def main() -> None:
    """Runs the command line; turns a user's errors into one message and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # no locale is too poor for a path or a table
            stream.reconfigure(errors="replace")
    try:
        app()
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if error.errno not in NO_FAULT_OF_OURS:
            raise
        fail(f"{error.filename or 'output'}: {error.strerror}")
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Typer has caught the KeyboardInterrupt
            errors.print("interrupted")
        raise


def fail(message: str) -> NoReturn:
    errors.print(f"[red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)
    sys.exit(1)
