"""Streams in C: which row function each step calls, and where its rows lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinyvision.codegen.functions import AddKernel, Function
from tinyvision.codegen.instances import build, fully_connected_rows, mean_rows
from tinyvision.codegen.instances.instance import C_TYPES, ConstArg, Instance, TensorArg
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import (
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Op,
    Pad,
    ResizeBilinear,
    ResizeNearest,
)
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.pieces import Tile, fold, one_piece, tile
from tinyvision.kernels.rows import one_row, row_use, some_rows, window_rows
from tinyvision.kernels.slices import Span, channel_slice, spans
from tinyvision.schedule.interleave import ARRIVAL
from tinyvision.schedule.plan import Plan, Segment, Step, align
from tinyvision.schedule.replay import row_bytes, rows_in_turns


@dataclass(frozen=True)
class Place:
    """Rows of a tensor, or pieces of them, or other memory: row ``r`` begins at ``bank[bank] +
    offset + (r + phase) % slots * row_bytes``; ``slots`` is 0 where every row has a place of its
    own, ``row_bytes`` 0 where there is one.
    """

    bank: int
    offset: int
    slots: int
    row_bytes: int
    c_type: str
    note: str
    phase: int = 0


@dataclass(frozen=True)
class Window:
    """The input rows under output row ``r``: ``r * stride - top`` and ``taps`` in all, ``dilation``
    apart, as far as they lie within ``height``.
    """

    stride: int
    top: int
    taps: int
    dilation: int
    height: int


NO_WINDOW = Window(1, 0, 1, 1, 1)


@dataclass(frozen=True)
class Strided:
    """A constant of which slice ``i`` has what begins at ``i * stride``."""

    name: str
    stride: int


Argument = Place | Strided | str


@dataclass(frozen=True)
class TileOf:
    """Tiles of ``shape`` at ``place``, of a tensor of ``height`` rows and ``width`` columns, of the
    pieces of which there is memory for ``slots``.
    """

    shape: Tile
    place: Place
    height: int
    width: int
    slots: int


@dataclass(frozen=True)
class SliceRun:
    """``count`` slices of ``channels`` each, from channel ``first`` on, that the same functions
    compute: ``before`` one row of the input for one slice, ``function`` a row of the output.
    """

    first: int
    channels: int
    count: int
    before: StreamStep
    function: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Slices:
    """A step that computes its input, some channels after the other, in ``part`` of its output of
    ``pixels`` pixels of ``depth`` channels at ``output``.
    """

    runs: tuple[SliceRun, ...]
    part: Place
    output: Place
    pixels: int
    depth: int


@dataclass(frozen=True)
class StreamStep:
    """One step of a stream. ``style``: "rows" calls a kernel of a whole operator on one row,
    "window" a row function with the input rows under a window, "pool" the same with those that
    exist alone, "sums" one that adds up rows, "repeat" one with the input row that the ``table``
    has for a row of the output, "blend" one with two of them and a weight, "pad" writes the
    padding where a row has no input, "slices" does what ``slices`` says, "silent" is done by
    another step, "tile" puts the ``tile`` of a piece together and calls a kernel on that.

    ``arguments`` are the call's in order: a ``Place``, or the name of a constant; the input
    under a window is ``input``. Style "band": "window" for all rows of a turn at once. ``rows``
    of ``height`` are computed in a turn (it ends before a row whose number and ``phase`` make a
    multiple of them), by one call or ``by_row``; fewer than that by ``rest``, row by row. Where
    rows are cut into ``pieces``, these stand for rows.
    """

    op: Op
    style: str
    function: str
    arguments: tuple[Argument, ...]
    input: Place
    window: Window
    table: str = ""
    value: int = 0
    size_bytes: int = 0
    slices: Slices | None = None
    rows: int = 1
    height: int = 1
    phase: int = 0
    rest: StreamStep | None = None
    tile: TileOf | None = None
    pieces: int = 1

    @property
    def by_row(self) -> bool:
        """Whether each row has a call of its own."""
        return self.style not in ("rows", "band")

    @property
    def ignores_row(self) -> bool:
        """Whether every row lies in the same place."""
        places = [arg for arg in self.arguments if isinstance(arg, Place)]
        return self.style in ("rows", "repeat") and not any(place.row_bytes for place in places)


@dataclass(frozen=True)
class Stream:
    """``turns``: (step, row) in order; the step after the last stands for a row that comes in."""

    index: int
    steps: tuple[StreamStep, ...]
    turns: tuple[tuple[int, int], ...]
    c_type: str

    @property
    def counts_rows(self) -> bool:
        """Whether some turn calls a function for each of several rows."""
        return any(step.by_row and step.rows > 1 for step in self.steps)


@dataclass(frozen=True)
class Arrival:
    """The network's input that comes in rows: ``rows`` of ``row_bytes`` (``elements`` each,
    ``external_bytes`` as they are fed) go to a ring of ``slots`` at ``offset`` of ``bank``; the
    number of the next turn is kept at ``state_offset`` of ``state_bank``. ``frame_bank`` holds the
    whole input for who has it at once. Where the stream works on ``pieces`` of rows, all these are
    of pieces.
    """

    bank: int
    offset: int
    slots: int
    phase: int
    rows: int
    row_bytes: int
    elements: int
    external_bytes: int
    state_bank: int
    state_offset: int
    frame_bank: int
    frame_bytes: int
    pieces: int = 1


def arrival(graph: Graph, plan: Plan, banks: Mapping[str, int]) -> Arrival | None:
    """How the input comes in rows, or None where it lies in memory."""
    if not plan.rows_arrive:
        return None
    (name,) = plan.inputs
    tensor, buffer = graph.tensor(name), plan.buffers[name]
    state = plan.buffers[plan.segments[0].state]
    rows, size = row_bytes(buffer)
    elements = tensor.elements // rows
    return Arrival(
        bank=banks[buffer.bank],
        offset=buffer.offset,
        slots=buffer.slots,
        phase=buffer.phase,
        rows=rows,
        row_bytes=size,
        elements=elements,
        external_bytes=elements * graph.external_dtype(name).size_bytes,
        state_bank=banks[state.bank],
        state_offset=state.offset,
        frame_bank=len(banks),
        frame_bytes=plan.input_bytes,
        pieces=buffer.pieces,
    )


def row_instance(
    graph: Graph, op: Op, kernel: Kernel, count: int = 1
) -> tuple[str, Instance, Window]:
    """How a row of ``op``'s output comes about, or ``count`` where one call computes them: the
    style of the step, the call, and its window.
    """
    use = row_use(graph, op)
    assert use is not None
    if use.accumulates:
        if isinstance(op, FullyConnected):
            return "sums", fully_connected_rows.build(graph, op, kernel), NO_WINDOW
        return "sums", mean_rows.build(graph, op, kernel), NO_WINDOW
    if use.is_aligned and not isinstance(op, Pad):  # the first operand may be a constant
        return "rows", build(*some_rows(graph, op, count), kernel), NO_WINDOW
    height = graph.tensor(op.inputs[0]).shape[1]
    if isinstance(op, Pad):
        window = Window(1, op.pads[1][0], 1, 1, height)
        return "pad", build(*one_row(graph, op), kernel), window
    instance = build(graph, op, kernel)
    instance = replace(instance, context={**instance.context, "rows_only": 1})
    if isinstance(op, (ResizeNearest, ResizeBilinear)):
        return "repeat" if isinstance(op, ResizeNearest) else "blend", instance, NO_WINDOW
    assert isinstance(op, (Conv2D, DepthwiseConv2D, AveragePool2D, MaxPool2D))
    stride, top, _ = window_rows(graph, op)
    if isinstance(op, (AveragePool2D, MaxPool2D)):
        return "pool", instance, Window(stride, top, op.window[0], 1, height)
    taps = graph.tensor(op.inputs[1]).shape[1]
    if kernel.rows:
        taps += (kernel.rows - 1) * stride
        return "band", instance, Window(stride, top, taps, 1, height)
    return "window", instance, Window(stride, top, taps, op.dilation[0], height)


def piece_instance(
    graph: Graph, op: Op, kernel: Kernel, pieces: int
) -> tuple[str, Instance, Tile | None]:
    """How a piece of a row of ``op``'s output comes about: the style of the step, the call, and the
    tile that it is made of, if it is.
    """
    found = tile(graph, op, pieces)
    if found is not None:
        return "tile", build(*one_piece(graph, op, pieces), kernel), found
    folded = fold(graph, op, pieces)
    assert folded is not None
    style, instance, _ = row_instance(*folded, kernel)
    return style, instance, None


class StreamBuilder:
    """Builds the streams of one plan. ``add_kernel`` and ``constants`` collect what they need."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        banks: Mapping[str, int],
        add_kernel: AddKernel,
        constants: list[tuple[str, ConstArg]],
    ) -> None:
        self.graph, self.plan, self.banks = graph, plan, banks
        self.add_kernel, self.constants = add_kernel, constants
        self.ops = {op.name: op for op in graph.ops}

    def stream(self, index: int, segment: Segment, prefix: str) -> Stream:
        """The stream of ``segment``, layer ``index`` of the generated code; names of constants
        begin with ``prefix``.
        """
        steps = self.plan.steps[segment.first_step : segment.last_step + 1]
        taken = [0] * len(steps)
        turns = []
        arrived = 0
        for number in segment.turns:
            if number == ARRIVAL:
                turns.append((len(steps), arrived))
                arrived += 1
                continue
            use = rows_in_turns(self.graph, self.ops[steps[number].op], steps[number])
            assert use is not None
            turns.append((number, use.block(taken[number])[0]))
            taken[number] += 1
        largest = max(max(turn) for turn in turns)
        return Stream(
            index,
            tuple(self._step(step, f"{prefix}_s{n:02d}") for n, step in enumerate(steps)),
            tuple(turns),
            "uint8_t" if largest < 256 else "uint16_t",
        )

    def _step(self, step: Step, prefix: str) -> StreamStep:
        op = self.ops[step.op]
        if step.channels:
            return self._sliced(step, op, prefix)
        use = rows_in_turns(self.graph, op, step)
        assert use is not None
        built = self._called(step, op, prefix, step.rows)
        rest = None
        if (use.phase or use.height % step.rows) and built.style == "rows":
            rest = self._called(step, op, prefix, 1)
        return replace(built, rows=step.rows, height=use.height, phase=use.phase, rest=rest)

    def _called(self, step: Step, op: Op, prefix: str, count: int) -> StreamStep:
        """``step`` with calls for ``count`` rows, or for a piece of one."""
        shape, window = None, NO_WINDOW
        if step.pieces > 1:
            style, instance, shape = piece_instance(self.graph, op, step.kernel, step.pieces)
        else:
            style, instance, window = row_instance(self.graph, op, step.kernel, count)
        source = self.plan.buffers.get(op.inputs[0])
        tile_bytes = align(shape.size_bytes) if shape is not None else 0
        function = self.add_kernel(step.kernel.template, instance)
        arguments: list[Argument] = []
        table = ""
        for arg in instance.args:
            if isinstance(arg, TensorArg):
                arguments.append(self._place(arg.tensor, arg.tensor in op.outputs, step.pieces))
            elif isinstance(arg, ConstArg):
                if count == step.rows:
                    self.constants.append((f"{prefix}_{arg.role}", arg))
                if style in ("repeat", "blend") and arg.role == "rows":
                    table = f"{prefix}_{arg.role}"
                else:
                    arguments.append(f"{prefix}_{arg.role}")
            else:
                arguments.append(self._scratch(step, style, tile_bytes))
        if style == "sums":
            arguments.insert(1, self._memory(step.sums, "int32_t", "sums"))
        arguments += function.further
        output = self._place(op.outputs[0], True, step.pieces)
        tiles = None
        if shape is not None:
            assert source is not None
            place = self._memory(step.scratch, "int8_t", "a tile of the input")
            slots = source.slots or row_bytes(source, step.pieces)[0]
            _, height, width, _ = source.shape
            tiles = TileOf(shape, place, height, width, slots)
            arguments[0] = "tile"
        return StreamStep(
            op=op,
            style=style,
            function=function.name,
            arguments=tuple(
                arguments[1:] if style in ("window", "band", "pool", "sums") else arguments
            ),
            input=output if source is None else self._place(op.inputs[0], False, step.pieces),
            window=window,
            table=table,
            value=op.value & 0xFF if isinstance(op, Pad) else 0,
            size_bytes=row_bytes(self.plan.buffers[op.outputs[0]])[1],
            tile=tiles,
            pieces=step.pieces,
        )

    def _sliced(self, step: Step, op: Op, prefix: str) -> StreamStep:
        held = self._place(op.inputs[0], False)
        before_step = self.plan.expander_of(step)
        if before_step is None:
            return StreamStep(op, "silent", "", (), self._place(op.inputs[0], False), NO_WINDOW)
        before = self.ops[before_step.op]
        x, y = (self.graph.tensor(name) for name in (op.inputs[0], op.outputs[0]))
        part_bytes = align(y.shape[2] * step.channels)
        part = self._memory(step.scratch, "int8_t", "a part of a row")
        runs: list[list[_Slice]] = []
        for span in spans(x.shape[3], step.channels):
            style, outer, window = row_instance(*channel_slice(self.graph, op, span), step.kernel)
            inner_style, inner, inner_window = row_instance(
                *channel_slice(self.graph, before, span), before_step.kernel
            )
            found = _Slice(
                span,
                self.add_kernel(before_step.kernel.template, inner),
                self.add_kernel(step.kernel.template, outer),
                inner,
                outer,
            )
            if runs and runs[-1][0].alike(found):
                runs[-1].append(found)
            else:
                runs.append([found])
        written = replace(held, c_type="int8_t")
        built = []
        for number, run in enumerate(runs):
            one = run[0]
            scratch = self._scratch(step, inner_style, part_bytes)
            arguments = self._slice_arguments(
                [s.inner for s in run],
                f"{prefix}_before{number}",
                [self._place(before.inputs[0], False), written],
                scratch,
                one.inner_function,
            )
            before_rows = StreamStep(
                op=before,
                style=inner_style,
                function=one.inner_function.name,
                arguments=arguments[1:] if inner_style == "window" else arguments,
                input=self._place(before.inputs[0], False),
                window=inner_window,
            )
            arguments = self._slice_arguments(
                [s.outer for s in run],
                f"{prefix}_run{number}",
                [held, part],
                self._scratch(step, style, part_bytes),
                one.function,
            )
            first, end = one.span
            called = one.function.name
            built.append(SliceRun(first, end - first, len(run), before_rows, called, arguments[1:]))
        slices = Slices(
            tuple(built), part, self._place(op.outputs[0], True), y.shape[2], y.shape[3]
        )
        return StreamStep(op, "slices", "", (), held, window, slices=slices)

    def _slice_arguments(
        self,
        instances: Sequence[Instance],
        prefix: str,
        tensors: list[Place],
        scratch: Place,
        function: Function,
    ) -> tuple[Argument, ...]:
        """The arguments of a call for any of several slices, whose constants follow each other."""
        arguments: list[Argument] = []
        places = iter(tensors)
        for position, arg in enumerate(instances[0].args):
            if isinstance(arg, TensorArg):
                arguments.append(next(places))
            elif isinstance(arg, ConstArg):
                name = f"{prefix}_{arg.role}"
                parts = [i.args[position] for i in instances]
                values = [part.values.reshape(-1) for part in parts if isinstance(part, ConstArg)]
                self.constants.append((name, ConstArg(arg.role, np.concatenate(values))))
                alone = len(instances) == 1
                arguments.append(name if alone else Strided(name, values[0].size))
            else:
                arguments.append(scratch)
        return (*arguments, *function.further)

    def _scratch(self, step: Step, style: str, offset: int = 0) -> Place:
        c_type = "uint8_t" if style in ("rows", "tile") else "int16_t"
        place = self._memory(step.scratch, c_type, "scratch")
        return replace(place, offset=place.offset + offset)

    def _place(self, name: str, written: bool, pieces: int = 0) -> Place:
        buffer = self.plan.buffers[name]
        rows, size = row_bytes(buffer, pieces)
        slots = buffer.slots if buffer.slots < rows else 0
        c_type = C_TYPES[self.graph.tensor(name).dtype.value]
        return Place(
            self.banks[buffer.bank],
            buffer.offset,
            slots,
            0 if rows == 1 or buffer.slots == 1 else size,
            c_type if written else f"const {c_type}",
            name,
            buffer.phase if slots else 0,
        )

    def _memory(self, name: str, c_type: str, note: str) -> Place:
        buffer = self.plan.buffers[name]
        return Place(self.banks[buffer.bank], buffer.offset, 0, 0, c_type, note)


@dataclass(frozen=True)
class _Slice:
    span: Span
    inner_function: Function
    function: Function
    inner: Instance
    outer: Instance

    def alike(self, other: _Slice) -> bool:
        """Whether one loop can do both."""
        functions = self.inner_function, self.function
        return functions == (other.inner_function, other.function)
