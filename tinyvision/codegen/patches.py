"""Patch segments in C: for each column of tiles the row functions of every operator, and where
their rows lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinyvision.codegen.functions import AddKernel
from tinyvision.codegen.instances.instance import C_TYPES, ConstArg, TensorArg
from tinyvision.codegen.streams import Window, row_instance
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Pad
from tinyvision.kernels.tiles import COLUMNS, restricted, spans_read
from tinyvision.schedule.plan import Plan, Segment
from tinyvision.schedule.tiling import Spans, Tiling, tiling_of


@dataclass(frozen=True)
class TilePlace:
    """Rows of a tensor for the current tile: row ``r`` begins at ``bank[bank] + offset +
    (r - rows[origin][0]) * row_bytes + left[column] * pixel_bytes``. ``origin``: the tensor's index
    among those of which there is a tile alone, or -1 where row 0 comes first; ``column``: its
    index among the whole ones, or -1 where rows begin with the tile's first column. ``row_bytes``
    is 0 for other memory and for tensors of one row.
    """

    bank: int
    offset: int
    origin: int
    row_bytes: int
    column: int
    pixel_bytes: int
    rows: int
    c_type: str
    note: str


@dataclass(frozen=True)
class TileStep:
    """One operator for some columns of tiles. ``style`` as of ``streams.StreamStep``; ``output``:
    the index of its output's rows.
    """

    name: str
    op: Op
    style: str
    function: str
    arguments: tuple[TilePlace | str, ...]
    input: TilePlace
    window: Window
    output: int
    width: int
    value: int = 0
    size_bytes: int = 0

    @property
    def uses_columns(self) -> bool:
        places = [arg for arg in (*self.arguments, self.input) if isinstance(arg, TilePlace)]
        return any(place.column >= 0 for place in places)


@dataclass(frozen=True)
class Strip:
    """Tiles in the ``columns`` of the grid, which all take the ``calls`` (names of steps)."""

    columns: tuple[int, ...]
    calls: tuple[str, ...]


@dataclass(frozen=True)
class PatchCode:
    """``rows``: for each row of the grid, of each tensor in ``row_names`` the first row and the one
    after the last; ``left``: for each column of it the first column of each in ``left_names``.
    """

    index: int
    steps: tuple[TileStep, ...]
    strips: tuple[Strip, ...]
    rows: tuple[tuple[tuple[int, int], ...], ...]
    row_names: tuple[str, ...]
    left: tuple[tuple[int, ...], ...]
    left_names: tuple[str, ...]


class PatchBuilder:
    """Builds the patch segments of one plan. ``add_kernel`` and ``constants`` collect what they
    need.
    """

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

    def patch(self, index: int, segment: Segment, prefix: str) -> PatchCode:
        """The code of ``segment``, layer ``index`` of the generated code; names of constants begin
        with ``prefix``.
        """
        return _Segment(self, tiling_of(self.graph, self.plan, segment), segment, prefix).code(
            index
        )


class _Segment:
    def __init__(self, of: PatchBuilder, tiles: Tiling, segment: Segment, prefix: str) -> None:
        self.of, self.graph, self.plan = of, of.graph, of.plan
        self.tiles, self.segment, self.prefix = tiles, segment, prefix
        self.row_names = (*tiles.inner, *tiles.outputs)
        self.left_names = (*tiles.inputs, *tiles.outputs)
        self.known: dict[tuple[str, bytes], str] = {}

    def code(self, index: int) -> PatchCode:
        steps: list[TileStep] = []
        calls: list[list[str]] = [[] for _ in self.tiles.columns]
        for number, op in enumerate(self.tiles.ops):
            known: dict[TileStep, str] = {}
            for column, spans in enumerate(self.tiles.columns):
                step = self._step(number, op, column, spans)
                if step not in known:
                    known[step] = f"patch_{index:02d}_step_{number:02d}_{len(known)}"
                calls[column].append(known[step])
            steps += [replace(step, name=name) for step, name in known.items()]
        strips = dict.fromkeys(map(tuple, calls))
        return PatchCode(
            index,
            tuple(steps),
            tuple(
                Strip(tuple(c for c, mine in enumerate(calls) if tuple(mine) == strip), strip)
                for strip in strips
            ),
            tuple(tuple(spans[n] for n in self.row_names) for spans in self.tiles.rows),
            self.row_names,
            tuple(tuple(spans[n][0] for n in self.left_names) for spans in self.tiles.columns),
            self.left_names,
        )

    def _step(self, number: int, op: Op, column: int, spans: Spans) -> TileStep:
        step = self.plan.steps[self.segment.first_step + number]
        output = op.outputs[0]
        reads = dict(
            zip(op.inputs, spans_read(self.graph, op, COLUMNS, spans[output]), strict=True)
        )
        alone, part = restricted(self.graph, op, COLUMNS, spans[output])
        style, instance, window = row_instance(alone, part, step.columns[column])
        template = step.columns[column].template
        function = self.of.add_kernel(template, instance)
        arguments: list[TilePlace | str] = []
        for arg in instance.args:
            if isinstance(arg, TensorArg):
                written = arg.tensor in op.outputs
                span = spans[arg.tensor] if written else reads[arg.tensor]
                assert span is not None
                arguments.append(self._place(arg.tensor, span[0], spans, written))
            elif isinstance(arg, ConstArg):
                arguments.append(self._constant(f"{self.prefix}_s{number:02d}_{arg.role}", arg))
            else:
                arguments.append(self._scratch(step.scratch, style))
        arguments += function.further
        source = reads[op.inputs[0]]
        place = self._place(op.inputs[0], source[0], spans, False) if source else None
        width = spans[output][1] - spans[output][0]
        tensor = self.graph.tensor(output)
        return TileStep(
            name="",
            op=op,
            style=style,
            function=function.name,
            arguments=tuple(arguments[1:] if style in ("window", "pool") else arguments),
            input=place or self._place(output, spans[output][0], spans, True),
            window=window,
            output=self.row_names.index(output),
            width=width,
            value=op.value & 0xFF if isinstance(op, Pad) else 0,
            size_bytes=width * tensor.shape[3] * tensor.dtype.size_bytes,
        )

    def _constant(self, name: str, arg: ConstArg) -> str:
        """The name of a constant, which columns of tiles share where theirs are equal."""
        key = name, arg.values.tobytes()
        if key not in self.known:
            others = sum(known == name for known, _ in self.known)
            self.known[key] = f"{name}_{others}" if others else name
            self.of.constants.append((self.known[key], arg))
        return self.known[key]

    def _place(self, name: str, first: int, spans: Spans, written: bool) -> TilePlace:
        """Where the rows of a tensor lie from column ``first`` on."""
        buffer, tensor = self.plan.buffers[name], self.graph.tensor(name)
        pixel = tensor.shape[3] * tensor.dtype.size_bytes
        inner = name in self.tiles.inner
        rows, columns = buffer.tile if inner else tensor.shape[1:3]
        c_type = C_TYPES[tensor.dtype.value]
        # A tensor of one column repeats it: nothing moves with the tiles.
        moves = not inner and tensor.shape[2] > 1
        return TilePlace(
            self.of.banks[buffer.bank],
            buffer.offset + (first - spans[name][0]) * pixel,
            self.row_names.index(name) if inner else -1,
            0 if tensor.shape[1] == 1 else columns * pixel,
            self.left_names.index(name) if moves else -1,
            pixel,
            rows,
            c_type if written else f"const {c_type}",
            name,
        )

    def _scratch(self, name: str, style: str) -> TilePlace:
        buffer = self.plan.buffers[name]
        c_type = "int16_t" if style in ("window", "pool") else "uint8_t"
        return TilePlace(
            self.of.banks[buffer.bank], buffer.offset, -1, 0, -1, 1, 1, c_type, "scratch"
        )
