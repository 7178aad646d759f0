"""The plan: what runs in which order and which bytes of which bank everything occupies. Data
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import Grain

ALIGNMENT = 8
"""Every offset is a multiple of this: kernels may read words and pairs of words."""

STATE_BYTES = 4
"""Where a stream whose input comes in rows remembers its next turn."""


def align(size_bytes: int) -> int:
    """``size_bytes`` rounded up to the alignment."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Buffer:
    """A tensor's or a step's scratch memory: bytes ``[offset, offset + size_bytes)`` of a bank.

    Alive from step ``first_step`` to ``last_step`` inclusive. Step -1 is the writing of the
    inputs, step ``len(steps)`` the reading of the outputs. Scratch has neither shape nor dtype.
    What steps of a stream use is alive throughout its segment here; which rows are alive when
    follows from the segment's turns. ``slots``: 0, or the rows that a ring has, in which row ``r``
    of the tensor lies in slot ``(r + phase) % slots`` until another needs it. ``channels``: 0, or
    how many of
    a tensor's channels are there at one time. ``tile``: (0, 0), or the rows and columns that there
    is memory for of a tensor of which only a patch segment's current tile needs some; they begin
    with the tile's first. ``pieces``: into how many each row of a ring is cut (``kernels.pieces``)
    where the stream works on these; then ``slots`` are for pieces.
    """

    name: str
    bank: str
    offset: int
    size_bytes: int
    first_step: int
    last_step: int
    is_scratch: bool = False
    shape: tuple[int, ...] = ()
    dtype: DType | None = None
    slots: int = 0
    channels: int = 0
    tile: tuple[int, int] = (0, 0)
    phase: int = 0
    pieces: int = 1

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    def alive(self, step: int) -> bool:
        return self.first_step <= step <= self.last_step


@dataclass(frozen=True)
class Step:
    """One kernel call: operator ``op`` (its name) by ``kernel``; ``scratch`` names its scratch
    buffer or is "".

    ``kind`` is the operator's class; ``inputs`` and ``outputs`` name its buffers, an input that is
    a constant has none and is left out. ``sums`` names the buffer of a step of a stream that adds
    up rows, or is "". ``channels``: 0, or how many a step of a stream computes at a time, from the
    input's rows to its own. A convolution of which that is said takes no turns: the depthwise one
    that reads it computes its rows anew in every turn (``schedule.slicing``), in its own scratch.
    ``columns``: of a step of a patch segment the kernels that compute rows of each column of tiles;
    ``kernel`` stands for all of them. ``rows``: how many a step of a stream computes in a turn,
    ``first_rows`` in the first; or one of the ``pieces`` into which rows are cut.
    """

    op: str
    kernel: Kernel
    macs: int
    scratch: str = ""
    kind: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    sums: str = ""
    channels: int = 0
    columns: tuple[Kernel, ...] = ()
    rows: int = 1
    first_rows: int = 1
    pieces: int = 1

    @property
    def grain(self) -> Grain:
        """What a step of a stream computes in a turn."""
        return Grain(self.rows, self.pieces)


@dataclass(frozen=True)
class Segment:
    """Contiguous steps ``[first_step, last_step]`` that are scheduled as one; ``kind`` says how:
    "layer", one operator after the other, "stream", row by row, or "patch", all of them for one
    tile of what they compute after the other.

    ``sram_bytes``: the most that is alive at once during them. ``turns`` of a stream: which step,
    counted from ``first_step``, computes its next rows (see ``kernels.rows``); -1 stands for the
    arrival of the next row of the network's input, where that comes in rows; then ``state`` names
    the buffer that says which turn is next. ``grid``: rows and columns of a patch's tiles (see
    ``schedule.tiling``); ``halo``: rows and columns of its input that neighbouring tiles both read;
    ``macs_executed``: with what they both compute.
    """

    kind: str
    first_step: int
    last_step: int
    sram_bytes: int
    turns: tuple[int, ...] = ()
    state: str = ""
    grid: tuple[int, int] = (1, 1)
    halo: tuple[int, int] = (0, 0)
    macs_executed: int = 0

    @property
    def is_stream(self) -> bool:
        return self.kind == "stream"

    @property
    def is_patch(self) -> bool:
        return self.kind == "patch"

    @property
    def is_one(self) -> bool:
        """Whether all of it runs as one layer of the generated code."""
        return self.kind != "layer"


@dataclass(frozen=True)
class BankUse:
    """``used_bytes``: highest byte any buffer occupies; what the firmware reserves for the
    model.
    """

    name: str
    used_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """``macs`` counts the graph as imported, ``macs_executed`` what runs after passes and
    recomputation, ``macs_graph`` what would run without recomputation.

    ``banks`` are all of the board's, in its order; ``inputs`` and ``outputs`` name buffers.
    ``whole_input_bytes``: where the input comes in rows, what the model would need if it lay in
    memory as a whole instead. ``step_cycles``: an estimate for each step (``schedule.costs``).
    """

    model: str
    board: str
    schedule: str
    steps: tuple[Step, ...]
    buffers: Mapping[str, Buffer]
    segments: tuple[Segment, ...]
    banks: tuple[BankUse, ...]
    macs: int
    macs_executed: int
    flash_bytes: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    whole_input_bytes: int | None = None
    step_cycles: tuple[float, ...] = ()
    clock_mhz: float = 0.0

    @property
    def estimated_cycles(self) -> int:
        return round(sum(self.step_cycles))

    @property
    def estimated_ms(self) -> float:
        return self.estimated_cycles / self.clock_mhz / 1000 if self.clock_mhz else 0.0

    @property
    def rows_arrive(self) -> bool:
        """Whether the network's input comes row by row instead of lying in memory."""
        return bool(self.segments) and bool(self.segments[0].state)

    @cached_property
    def frame(self) -> BankUse | None:
        """Where the input comes in rows: the bank that can hold a whole one beside the model, for
        who has a frame buffer after all; its bytes are no part of the model's. None where no bank
        can, or the input lies in memory anyway.
        """
        if not self.rows_arrive:
            return None
        size_bytes = self.input_bytes
        fitting = (b for b in self.banks if b.used_bytes + size_bytes <= b.size_bytes)
        return next((BankUse(b.name, size_bytes, b.size_bytes) for b in fitting), None)

    @property
    def input_bytes(self) -> int:
        """Bytes of the whole inputs in memory."""
        sizes = 0
        for name in self.inputs:
            buffer = self.buffers[name]
            sizes += prod(buffer.shape) * (buffer.dtype.size_bytes if buffer.dtype else 1)
        return sizes

    @cached_property
    def units(self) -> tuple[tuple[int, int], ...]:
        """First and last step of everything that runs as one call: the layers of the generated
        code, which are single steps, whole streams and whole patches.
        """
        result: list[tuple[int, int]] = []
        for segment in self.segments:
            if segment.is_one:
                result.append((segment.first_step, segment.last_step))
            else:
                result += [(s, s) for s in range(segment.first_step, segment.last_step + 1)]
        return tuple(result) if self.segments else tuple((s, s) for s in range(len(self.steps)))

    def unit_name(self, unit: int) -> str:
        """The operator of a layer, the first and last of a segment that runs as one."""
        first, last = self.units[unit]
        if self.segment_of(first).is_one:
            return f"{self.steps[first].op} to {self.steps[last].op}"
        return self.steps[first].op

    def results(self, graph: Graph, unit: int) -> tuple[str, ...]:
        """The tensors of ``graph``, the plan's, that unit ``unit`` defines and that lie in memory
        whole when it is done.
        """
        first, last = self.units[unit]
        outputs = {op.name: op.outputs for op in graph.ops}
        names = (name for step in self.steps[first : last + 1] for name in outputs[step.op])
        if not self.segment_of(first).is_one:
            return tuple(names)
        return tuple(name for name in names if self.buffers[name].last_step > last)

    def expander_of(self, step: Step) -> Step | None:
        """The step whose rows ``step`` computes anew in its turns."""
        if not step.channels or step.kind != DepthwiseConv2D.__name__:
            return None
        return next((s for s in self.steps if s.outputs[0] == step.inputs[0]), None)

    def segment_of(self, step: int) -> Segment:
        """The segment that holds ``step``; where the plan has none, the step is one."""
        found = (s for s in self.segments if s.first_step <= step <= s.last_step)
        return next(found, Segment("layer", step, step, 0))

    @property
    def sram_bytes(self) -> int:
        """Everything the model needs in RAM: tensors and scratch, over all banks."""
        return sum(bank.used_bytes for bank in self.banks)

    @property
    def sram_with_input_bytes(self) -> int:
        """The same with the whole input resident, as it is unless it comes in rows."""
        return self.sram_bytes if self.whole_input_bytes is None else self.whole_input_bytes

    @property
    def macs_graph(self) -> int:
        """Multiplications the graph after the passes asks for, each counted once."""
        return sum(step.macs for step in self.steps)

    @property
    def recompute_factor(self) -> float:
        """How often a multiplication is executed on average; 1 where nothing is recomputed."""
        return self.macs_executed / self.macs_graph if self.macs_graph else 1.0

    @cached_property
    def live_bytes(self) -> tuple[int, ...]:
        """Bytes of memory that hold something at each step from -1 to ``len(steps)``.

        Shared bytes count once.
        """
        return tuple(
            sum(self.live_bytes_of(bank.name, step) for bank in self.banks)
            for step in range(-1, len(self.steps) + 1)
        )

    def live_bytes_of(self, bank: str, step: int) -> int:
        """Bytes of ``bank`` that hold something at ``step``; shared bytes count once."""
        spans = sorted(
            (b.offset, b.end) for b in self.buffers.values() if b.bank == bank and b.alive(step)
        )
        covered = reached = 0
        for start, end in spans:
            covered += max(0, end - max(start, reached))
            reached = max(reached, end)
        return covered

    @property
    def peak_step(self) -> int:
        """The first step at which most bytes hold something."""
        return self.live_bytes.index(max(self.live_bytes)) - 1

    def to_json(self) -> dict[str, Any]:
        """What ``plan --json`` prints; plain dictionaries, lists, numbers and strings."""
        return {
            "model": self.model,
            "board": self.board,
            "schedule": self.schedule,
            "sram_bytes": self.sram_bytes,
            "sram_with_input_bytes": self.sram_with_input_bytes,
            "banks": [
                {"name": b.name, "used_bytes": b.used_bytes, "size_bytes": b.size_bytes}
                for b in self.banks
            ],
            "flash_bytes": self.flash_bytes,
            "macs": self.macs,
            "macs_executed": self.macs_executed,
            "recompute_factor": self.recompute_factor,
            "estimated_cycles": self.estimated_cycles,
            "estimated_latency_ms": round(self.estimated_ms, 3),
            "fits": all(b.used_bytes <= b.size_bytes for b in self.banks),
            "peak_layer": self.steps[self.peak_step].op
            if 0 <= self.peak_step < len(self.steps)
            else None,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "segments": [
                {
                    "kind": s.kind,
                    "ops": [step.op for step in self.steps[s.first_step : s.last_step + 1]],
                    "sram_bytes": s.sram_bytes,
                    **(_patch_json(s) if s.is_patch else {}),
                }
                for s in self.segments
            ],
            "layers": [self._layer_json(index) for index in range(len(self.steps))],
            "buffers": [_buffer_json(b) for b in self.buffers.values()],
        }

    def _layer_json(self, index: int) -> dict[str, Any]:
        step = self.steps[index]
        return {
            "name": step.op,
            "op": step.kind,
            "kernel": step.kernel.variant,
            "input_shapes": [list(self.buffers[name].shape) for name in step.inputs],
            "output_shapes": [list(self.buffers[name].shape) for name in step.outputs],
            "macs": step.macs,
            "estimated_cycles": round(self.step_cycles[index]) if self.step_cycles else None,
            "scratch_bytes": step.kernel.scratch_bytes,
            "flash_bytes": step.kernel.flash_bytes,
            "sram_bytes": self.live_bytes[index + 1],
            "inputs": list(step.inputs),
            "outputs": list(step.outputs),
            "scratch": step.scratch or None,
            "channels": step.channels or None,
            "rows": step.rows,
            "first_rows": step.first_rows,
            "pieces": step.pieces,
        }


def _patch_json(segment: Segment) -> dict[str, Any]:
    return {
        "grid": list(segment.grid),
        "halo": list(segment.halo),
        "macs_executed": segment.macs_executed,
    }


def _buffer_json(buffer: Buffer) -> dict[str, Any]:
    return {
        "name": buffer.name,
        "bank": buffer.bank,
        "offset": buffer.offset,
        "size_bytes": buffer.size_bytes,
        "first_step": buffer.first_step,
        "last_step": buffer.last_step,
        "scratch": buffer.is_scratch,
        "shape": list(buffer.shape),
        "dtype": buffer.dtype.value if buffer.dtype else None,
        "slots": buffer.slots,
        "phase": buffer.phase,
        "pieces": buffer.pieces,
        "channels": buffer.channels or None,
        "tile": list(buffer.tile) if buffer.tile != (0, 0) else None,
    }
