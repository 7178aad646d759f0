"""The fastest kernel of each layer, found by trying them all: on the virtual board or on hardware.

Every round builds the network with one untried kernel for each of its layers and profiles it, so
that there are about as many rounds as the layer with most kernels has. What was found is kept in a
file for each board, source of cycles, compiler and version of the kernels; layers of the same
shapes are tried once, in whichever network they are met first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from tinyvision import api
from tinyvision.build import Model, plan
from tinyvision.errors import FitError
from tinyvision.files import write_whole
from tinyvision.firmware.pio import toolchain_folder
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels import choose
from tinyvision.kernels.kernel import Kernel
from tinyvision.native import cache_folder
from tinyvision.resources import data_folder
from tinyvision.target import Board
from tinyvision.target.core import Core

log = logging.getLogger(__name__)

PLACE = ("name", "inputs", "outputs")
"""Fields of an operator that say where it stands, not what it computes."""

NOISE = 1.02
"""By this factor a layer's time may change with what runs before it and where its code lies."""


@dataclass(frozen=True)
class Timings:
    """``cycles``: by ``signature`` of a layer and ``identity`` of a kernel; 0 where that kernel did
    not fit the board.
    """

    cycles: Mapping[str, Mapping[str, int]]

    def candidates(self, graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
        """As ``choose.candidates``, fastest first by what was found; as given where a kernel has
        not been tried, or where the first of them is hardly slower than the best.
        """
        given = choose.candidates(graph, op, core)
        known = self.cycles.get(signature(graph, op), {})
        if any(identity(kernel) not in known for kernel in given):
            return given

        def cycles(kernel: Kernel) -> float:
            return known[identity(kernel)] or float("inf")

        if cycles(given[0]) <= NOISE * min(map(cycles, given)):
            return given
        return tuple(sorted(given, key=cycles))

    def with_found(self, layer: str, kernel: Kernel, cycles: int) -> Timings:
        row = {**self.cycles.get(layer, {}), identity(kernel): cycles}
        return Timings({**self.cycles, layer: row})


def signature(graph: Graph, op: Op) -> str:
    """What the time of a layer depends on: the operator, its attributes, and the shapes and types
    of its tensors.
    """
    attributes = {f.name: getattr(op, f.name) for f in fields(op) if f.name not in PLACE}
    tensors = [*graph.input_tensors(op), *graph.output_tensors(op)]
    parts = (op.kind, attributes, [(t.shape, t.dtype.value, t.is_constant) for t in tensors])
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def identity(kernel: Kernel) -> str:
    return f"{kernel.template}/{kernel.variant}"


def store_of(board: Board, source: str) -> Path:
    """The file for ``board`` with cycles from ``source`` (modelled or measured)."""
    digest = hashlib.sha256(_compiler().encode())
    templates = data_folder("codegen_templates")
    for path in sorted([*templates.rglob("*.j2")]):
        digest.update(path.relative_to(templates).as_posix().encode() + path.read_bytes())
    return cache_folder() / "tuned" / f"{board.name}-{source}-{digest.hexdigest()[:12]}.json"


def read_timings(path: Path) -> Timings:
    """What the file holds; nothing where it is missing or damaged."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = {str(k): {str(n): int(c) for n, c in row.items()} for k, row in rows.items()}
        return Timings(found)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log.info("no timings in %s: %s", path, error)
        return Timings({})


def tune(
    model: Model,
    board: Board,
    *,
    where: api.Where,
    out: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Timings:
    """Tries what has not been tried of the kernels of ``model``'s layers on ``board``; what is
    found is stored after every round, so that an interrupted run goes on where it was.
    """
    store = store_of(board, "modelled" if where.virtual else "measured")
    timings = read_timings(store)
    graph = plan(model, board).graph
    rounds = 0
    while wanted := _untried(graph, board.core, timings):
        rounds += 1
        progress(f"tuning, round {rounds}: {len(wanted)} layers")
        timings = _try(model, board, where, out, timings, wanted)
        write_whole(store, json.dumps(timings.cycles, indent=1) + "\n")
    return timings


def _untried(graph: Graph, core: Core, timings: Timings) -> dict[str, Kernel]:
    """By layer the next kernel to try, of layers that have a choice."""
    wanted: dict[str, Kernel] = {}
    for op in graph.ops:
        layer, given = signature(graph, op), choose.candidates(graph, op, core)
        if len(given) > 1 and layer not in wanted:
            known = timings.cycles.get(layer, {})
            missing = [kernel for kernel in given if identity(kernel) not in known]
            if missing:
                wanted[layer] = missing[0]
    return wanted


def _try(
    model: Model,
    board: Board,
    where: api.Where,
    out: Path | None,
    timings: Timings,
    wanted: Mapping[str, Kernel],
) -> Timings:
    """One round. Where so many large kernels do not fit together, half of them at a time."""

    def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
        fixed = wanted.get(signature(graph, op))
        return (fixed,) if fixed else choose.candidates(graph, op, core)

    try:
        compiled = plan(model, board, schedule_kind="layer", candidates=candidates)
        _, profile = api.profile(compiled, board, where=where, out=out)
    except FitError:
        layers = sorted(wanted)
        if len(layers) == 1:
            return timings.with_found(layers[0], wanted[layers[0]], 0)
        for half in (layers[::2], layers[1::2]):
            part = {layer: wanted[layer] for layer in half}
            timings = _try(model, board, where, out, timings, part)
        return timings
    cycles = {layer.name: layer.cycles for layer in profile.layers}
    for op in compiled.graph.ops:
        layer = signature(compiled.graph, op)
        if layer in wanted and identity(wanted[layer]) not in timings.cycles.get(layer, {}):
            timings = timings.with_found(layer, wanted[layer], cycles[op.name])
    return timings


def _compiler() -> str:
    folder = toolchain_folder()
    if folder is None:
        return ""  # PlatformIO will fetch one
    command = [str(folder / "arm-none-eabi-gcc"), "-dumpfullversion"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(answer.stdout).strip()
