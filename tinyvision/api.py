"""What happens on a device, as functions: flash, verify, profile, run.

``build.py`` makes the firmware; here it meets a board, its virtual twin, or this computer. Results
are plain data with the keys that ``--json`` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyvision import importer
from tinyvision.build import Compiled, Model, Progress, build, plan, silent
from tinyvision.cycles import CORES, has_model
from tinyvision.device import run as pictures
from tinyvision.device import samples as sampling
from tinyvision.device import verify as verifying
from tinyvision.device.flash import find_port
from tinyvision.device.flash import flash as write_flash
from tinyvision.device.host import HostModel
from tinyvision.device.host_target import HostTarget
from tinyvision.device.link import BAUD, Link
from tinyvision.device.oracle import Oracle, oracle_for
from tinyvision.device.profile import Profile
from tinyvision.device.profile import profile as take_profile
from tinyvision.device.serial_target import SerialTarget
from tinyvision.device.symbols import Symbols
from tinyvision.device.target import Target
from tinyvision.device.virtual import QemuBoard, VirtualBoard, open_board
from tinyvision.device.virtual.sanitizer import Sanitizer
from tinyvision.errors import BoardError, DeviceError, UserError
from tinyvision.firmware import Project, open_project
from tinyvision.settings import Settings
from tinyvision.target import Board, load_board


@dataclass(frozen=True)
class Where:
    """On what a model runs: the board's virtual twin, this computer, or a serial port (the
    board's own probe where none is named).
    """

    virtual: bool = False
    host: bool = False
    port: str | None = None


@contextmanager
def twin_of(
    elf: Path, board: Board, cycles: bool | None = None
) -> Iterator[VirtualBoard | QemuBoard]:
    """The board's virtual twin with that firmware, ``cycles`` as in ``open_board``. What the twin
    found wrong goes before the error that the host saw, which follows from it.
    """
    with open_board(elf, board, cycles=cycles) as twin:
        try:
            yield twin
        except DeviceError as error:
            problem = twin.problem()
            if problem is None:
                raise
            raise DeviceError(problem, f"virtual {board.name}", str(error)) from error


def serial_port(board: Board, port: str | None) -> str:
    """``port``, or the one that the board's debug probe has; UserError where that is unclear."""
    if board.hardware is None:
        raise BoardError(
            "this computer is no board on a serial port",
            board.name,
            hint="Name a board of `tinyvision boards`, with --virtual if it is not there.",
        )
    found = port or find_port(board)
    if found is None:
        raise UserError(
            "it is not clear which serial port the board is on",
            board.name,
            hint="Name it with --port, or use the board's twin with --virtual.",
        )
    return found


@contextmanager
def serial_target(
    compiled: Compiled,
    where: Where,
    out: Path | None,
    progress: Progress,
    cycles: bool | None = None,
) -> Iterator[tuple[SerialTarget, VirtualBoard | QemuBoard | None]]:
    """The agent that runs ``compiled``, on the board or on its twin (which is built first, and
    counts ``cycles`` as ``open_board`` says).
    """
    macs = compiled.plan.macs_executed
    model_hash = importer.model_hash(compiled.model.data)
    if not where.virtual:
        port = serial_port(compiled.board, where.port)
        progress(f"connecting to {port}")
        link = Link(port, baud=_baud(compiled.board))
        target = SerialTarget(link, board=compiled.board.name, model_hash=model_hash, macs=macs)
        try:
            yield target, None
        finally:
            target.close()
        return
    elf = build(compiled, compiled.board, out=out, progress=progress).result.elf
    progress("starting the virtual board")
    with twin_of(elf, compiled.board, cycles) as twin:
        link = Link(twin.port, symbols=Symbols.read(elf))
        target = SerialTarget(link, kind="virtual", model_hash=model_hash, macs=macs)
        try:
            yield target, twin
        finally:
            target.close()


@contextmanager
def any_target(
    compiled: Compiled, where: Where, out: Path | None, progress: Progress
) -> Iterator[Target]:
    """As ``serial_target`` without modelled cycles, or the generated C on this computer (always for
    the board ``host``).
    """
    if not where.host and compiled.board.hardware is not None:
        with serial_target(compiled, where, out, progress, cycles=False) as (target, _):
            yield target
        return
    progress("compiling for this computer")
    host = HostTarget(HostModel(compiled.graph, compiled.plan, compiled.emit()))
    try:
        yield host
    finally:
        host.close()


def flash(
    board: str | Path | Board,
    project: str | Path,
    *,
    where: Where = Where(),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Writes the firmware of ``project`` to the board (starts the twin with it) and asks the agent
    who it is: keys ``board``, ``model``, ``hash``, ``build``, ``port``, ``protocol``.
    DeviceError where it runs another model than the project's.
    """
    target = board if isinstance(board, Board) else load_board(board)
    built = open_project(project)
    if built.board != target.name:
        raise UserError(
            f"the project is for {built.board}, not for {target.name}",
            str(project),
            hint=f"Build for {target.name} first, or name its folder with --out.",
        )
    if where.virtual:
        progress("starting the virtual board")
        with twin_of(built.elf, target) as twin, Link(twin.port) as link:
            return _identity(link, built, "virtual")
    port = serial_port(target, where.port)
    progress("writing the flash")
    protocol = write_flash(built, target, progress=progress).protocol
    progress(f"connecting to {port}")
    with Link(port, baud=_baud(target)) as link:
        return _identity(link, built, protocol)


def _baud(board: Board) -> int:
    return board.hardware.uart.baud if board.hardware else BAUD


def _identity(link: Link, project: Project, protocol: str) -> dict[str, Any]:
    who = link.identify()
    if project.model_hash not in ("", who.model_hash.hex()):
        raise DeviceError(
            "the board runs another model than the project's",
            link.port,
            f"'{who.model}' ({who.model_hash.hex()[:12]}) instead of {project.model_hash[:12]}",
            "Is this the port of the board that was flashed? Build and flash again if it is.",
        )
    return {
        "board": who.board,
        "model": who.model,
        "hash": who.model_hash.hex(),
        "build": who.build,
        "port": link.port,
        "protocol": protocol,
    }


def verify(
    model: str | Path | Model | Compiled,
    board: str | Path | Board,
    *,
    where: Where = Where(),
    inputs: Path | None = None,
    samples: int = 10,
    seed: int = 0,
    schedule_kind: str = "auto",
    sram_limit: int | None = None,
    patches: tuple[int, int] | None = None,
    input_rows: bool = True,
    out: Path | None = None,
    sanitize: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compares every output with the oracle, bit for bit; the keys of ``verify --json``.

    ``inputs``: an ``.npz`` to take the samples (and perhaps what they must give) from; else
    ``samples`` are drawn from ``seed``. ``sanitize``: also watch every access on the virtual board
    and give ``findings``, one text each.
    """
    compiled = _compiled(model, board, schedule_kind, sram_limit, input_rows, patches)
    source = compiled.model.graph
    drawn = sampling.read(inputs, source) if inputs else sampling.draw(source, samples, seed)
    oracle = oracle_for(source, compiled.model.data)

    def on_sample(done: int) -> None:
        progress(f"verifying, {done} of {len(drawn.inputs)} samples done")

    if sanitize:
        return _sanitized(compiled, where, drawn, oracle, out, progress, on_sample)
    with any_target(compiled, where, out, progress) as target:
        return verifying.verify(
            compiled.graph, compiled.plan, target, drawn, oracle, on_sample
        ).to_json()


def _sanitized(
    compiled: Compiled,
    where: Where,
    drawn: sampling.Samples,
    oracle: Oracle,
    out: Path | None,
    progress: Progress,
    on_sample: Callable[[int], None],
) -> dict[str, Any]:
    """Verifies layer by layer with every access to the model's memory watched."""
    if not where.virtual:
        raise UserError("accesses can be watched on a virtual board only", hint="Add --virtual.")
    built = build(compiled, compiled.board, out=out, progress=progress).result
    with serial_target(compiled, where, out, progress, cycles=True) as (target, twin):
        if not isinstance(twin, VirtualBoard):
            raise UserError("this board's twin cannot watch accesses", compiled.board.name)
        sanitizer = Sanitizer(compiled.plan, compiled.board, twin.machine, Symbols.read(built.elf))
        target.paint()
        result = verifying.verify(
            compiled.graph, compiled.plan, target, drawn, oracle, on_sample, sanitizer
        )
        findings = [str(found) for found in sanitizer.findings]
        findings += [str(fault) for fault in twin.machine.findings]
        touched = target.memory().stack_peak_bytes
    bound = built.firmware_stack_bytes
    if bound is not None and touched > bound:
        findings.append(f"{touched} bytes of stack used, beyond the bound of {bound}")
    return result.to_json() | {"findings": findings}


def profile(
    model: str | Path | Model | Compiled,
    board: str | Path | Board,
    *,
    where: Where = Where(),
    schedule_kind: str = "auto",
    sram_limit: int | None = None,
    patches: tuple[int, int] | None = None,
    input_rows: bool = True,
    out: Path | None = None,
    progress: Progress = silent,
) -> tuple[Compiled, Profile]:
    """Time and memory of one inference on random input, layer by layer."""
    compiled = _compiled(model, board, schedule_kind, sram_limit, input_rows, patches)
    drawn = sampling.draw(compiled.model.graph, 1)
    layers = len(compiled.plan.units)
    with serial_target(compiled, where, out, progress) as (target, twin):
        taken = take_profile(
            compiled.plan,
            target,
            drawn.inputs[0],
            twin,
            lambda done: progress(f"profiling, {done} of {layers} layers done"),
        )
    return compiled, replace(taken, macs_per_cycle_limit=_mac_limit(compiled.board))


def annotate(
    model: str | Path | Model | Compiled,
    board: str | Path | Board,
    layer: int | str,
    *,
    schedule_kind: str = "auto",
    sram_limit: int | None = None,
    patches: tuple[int, int] | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The code of one layer, by number or name, with the cycles that each instruction took on the
    board's virtual twin: ``index``, ``name``, ``kernel``, ``cycles``, ``instructions``, ``macs``,
    ``macs_per_cycle_limit``, ``stalls``, ``basis``, and ``functions``, a list of what
    ``HotFunction.to_json`` gives.
    """
    compiled = _compiled(model, board, schedule_kind, sram_limit, patches=patches)
    count = len(compiled.plan.units)
    index = _layer_index([compiled.plan.unit_name(unit) for unit in range(count)], layer)
    if not has_model(compiled.board):
        raise UserError(
            "there is no cycle model of this board",
            compiled.board.name,
            "its board file has no section [timing], or its core no model",
        )
    drawn = sampling.draw(compiled.model.graph, 1)
    where = Where(virtual=True)
    with serial_target(compiled, where, out, progress) as (target, twin):
        assert isinstance(twin, VirtualBoard)
        twin.keep_detail()
        result = take_profile(compiled.plan, target, drawn.inputs[0], twin)
        functions = twin.hot_functions(index, count)
    profiled = result.to_json()["layers"][index]
    return {
        "index": index,
        "basis": result.basis,
        "macs_per_cycle_limit": _mac_limit(compiled.board),
        **profiled,
        "functions": [function.to_json() for function in functions],
    }


def _mac_limit(board: Board) -> float | None:
    core = CORES.get(board.core.name)
    return core.macs_per_cycle if core else None


def _layer_index(names: list[str], layer: int | str) -> int:
    """The number of a layer given by number or name; UserError where there is none."""
    text = str(layer)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    if text in names:
        return names.index(text)
    raise UserError(
        f"there is no layer '{text}'",
        hint=f"Layers are numbered from 0 to {len(names) - 1}; 'tinyvision profile' lists them.",
    )


def run(
    model: str | Path | Model | Compiled,
    images: Sequence[Path],
    board: str | Path | Board,
    *,
    where: Where = Where(),
    top: int = 3,
    out: Path | None = None,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """The ``top`` classes of each picture, best first."""
    compiled = _compiled(model, board, "auto", None)
    with any_target(compiled, where, out, progress) as target:
        progress("running")
        return pictures.classify(compiled.graph, target, images, top)


def train(
    settings: Settings,
    out: str | Path = "build/train",
    *,
    board: str | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Trains what ``settings`` say and writes ``model.keras``, ``model.tflite`` and
    ``training.json``, which is returned, into ``out``: ``tinyvision.train.trainer.train``, in a
    process of its own. UserError where TensorFlow is missing.
    """
    from tinyvision.train.apart import train_apart

    return train_apart(settings, Path(out), progress, board=board, resume=resume)


def _compiled(
    model: str | Path | Model | Compiled,
    board: str | Path | Board,
    schedule_kind: str,
    sram_limit: int | None,
    input_rows: bool = True,
    patches: tuple[int, int] | None = None,
) -> Compiled:
    if isinstance(model, Compiled):
        return model
    return plan(
        model,
        board,
        schedule_kind=schedule_kind,
        sram_limit=sram_limit,
        input_rows=input_rows,
        patches=patches,
    )
