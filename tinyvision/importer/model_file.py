"""The parts of a ``.tflite`` file as plain data, every index checked, nothing interpreted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinyvision.importer import schema
from tinyvision.importer.flatbuffer import FlatBuffer, Table

# Far beyond any network for a microcontroller, and small enough to stay harmless.
MAX_TENSORS = MAX_OPERATORS = 8192
MAX_BUFFERS = 16384
MAX_OPERANDS = 1024
MAX_AXES = 64
MAX_CHANNELS = 1 << 20

OPTIONAL = -1


@dataclass(frozen=True)
class RawQuant:
    """Quantization as stored; ``custom`` is a scheme other than the affine one."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...] | None
    axis: int
    custom: bool


@dataclass(frozen=True)
class RawTensor:
    """``data`` is (position, length) of the constant's bytes in the file, None where computed.

    ``signature`` repeats the shape with -1 where it was open at conversion; ``dynamic`` means that
    it was open altogether.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dynamic: bool
    signature: tuple[int, ...] | None
    type: int
    data: tuple[int, int] | None
    external_data: bool
    quant: RawQuant | None
    is_variable: bool
    is_sparse: bool
    is_variant: bool


@dataclass(frozen=True)
class RawOperator:
    """``inputs`` and ``outputs`` are tensor indices, ``OPTIONAL`` where an input is left out."""

    index: int
    code: int
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Table | None
    custom_code: str
    extras: tuple[str, ...]


@dataclass(frozen=True)
class RawModel:
    """The file's only subgraph. ``subgraphs`` is the number of them: others are not read."""

    file: FlatBuffer
    subgraphs: int
    tensors: tuple[RawTensor, ...]
    operators: tuple[RawOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(data: bytes, where: str) -> RawModel:
    """Reads everything the importer uses. Raises ModelError for anything that is not sound."""
    file = FlatBuffer(data, where)
    root = file.root()
    version = root.integer(0, "uint32")
    if version != schema.VERSION:
        raise file.damaged(f"its schema version is {version}, not {schema.VERSION}")
    root.string(3, "the description")
    for table in root.tables(6, "metadata", MAX_BUFFERS):
        table.string(0, f"the name of {table.what}")
    codes = [
        _operator_code(file, table) for table in root.tables(1, "operator code", MAX_OPERATORS)
    ]
    buffers = [_buffer(table) for table in root.tables(4, "buffer", MAX_BUFFERS)]
    _refuse_overlap(file, (span for span, _ in buffers if span))
    subgraphs = root.tables(2, "subgraph", MAX_OPERATORS)
    if not subgraphs:
        raise file.damaged("it holds no subgraph")
    main = subgraphs[0]
    main.string(4, "the name of the subgraph")
    quants: dict[int, RawQuant] = {}
    tensors = tuple(
        _tensor(file, index, table, buffers, quants)
        for index, table in enumerate(main.tables(0, "tensor", MAX_TENSORS))
    )
    operators = tuple(
        _operator(file, index, table, codes)
        for index, table in enumerate(main.tables(3, "operator", MAX_OPERATORS))
    )
    inputs = tuple(main.numbers(1, "int32", "the list of inputs", MAX_TENSORS) or ())
    outputs = tuple(main.numbers(2, "int32", "the list of outputs", MAX_TENSORS) or ())
    model = RawModel(file, len(subgraphs), tensors, operators, inputs, outputs)
    _check_flow(model)
    return model


def _operator_code(file: FlatBuffer, table: Table) -> tuple[int, int, str]:
    """(builtin code, version, name of a custom operator)."""
    old, new = table.integer(0, "int8"), table.integer(3, "int32")
    code = max(old, new)  # old writers know the 8-bit field only
    if min(old, new) < 0 or (old and new and old != min(new, 127)):
        raise file.damaged(f"{table.what} is {old} in one field and {new} in the other")
    custom = table.string(1, f"the custom code of {table.what}") or ""
    return code, table.integer(2, "int32", 1), custom


def _buffer(table: Table) -> tuple[tuple[int, int] | None, bool]:
    """The span of a buffer's bytes, and whether they lie outside the FlatBuffer."""
    span = table.bytes_span(0, table.what)
    if span is not None and span[1] == 0:
        span = None
    external = table.integer(1, "uint64") > 1 or table.integer(2, "uint64") > 1
    return span, external


def _refuse_overlap(file: FlatBuffer, spans: Iterable[tuple[int, int]]) -> None:
    """Buffers may be one and the same, but not share a part."""
    end = 0
    for start, length in sorted(set(spans)):
        if start < end:
            raise file.damaged(f"two buffers overlap at byte {start}")
        end = start + length


def _tensor(
    file: FlatBuffer,
    index: int,
    table: Table,
    buffers: list[tuple[tuple[int, int] | None, bool]],
    quants: dict[int, RawQuant],
) -> RawTensor:
    buffer = table.integer(2, "uint32")
    if buffer >= max(len(buffers), 1):
        raise file.damaged(f"{table.what} takes its data from buffer {buffer} of {len(buffers)}")
    # Buffer 0 is empty by convention and stands for "no data".
    data, external = buffers[buffer] if buffer else (None, False)
    quant_table = table.table(4, f"the quantization of {table.what}")
    quant = None
    if quant_table is not None:
        if quant_table.position not in quants:
            quants[quant_table.position] = _quant(quant_table)
        quant = quants[quant_table.position]
    shape = tuple(table.numbers(0, "int32", f"the shape of {table.what}", MAX_AXES) or ())
    signature = table.numbers(7, "int32", f"the shape signature of {table.what}", MAX_AXES)
    return RawTensor(
        index=index,
        name=table.string(3, f"the name of {table.what}") or "",
        shape=shape,
        dynamic=not shape and not table.scalar(8, "bool", False),
        signature=None if signature is None else tuple(signature),
        type=table.integer(1, "int8"),
        data=data,
        external_data=external,
        quant=quant,
        is_variable=bool(table.scalar(5, "bool", False)),
        is_sparse=table.has(6),
        is_variant=table.has(9),
    )


def _quant(table: Table) -> RawQuant:
    for field, limits in enumerate(("minima", "maxima")):  # for information only
        table.numbers(field, "float32", f"the {limits} in {table.what}", MAX_CHANNELS)
    zero_points = table.numbers(3, "int64", f"the zero points in {table.what}", MAX_CHANNELS)
    return RawQuant(
        scales=tuple(
            table.numbers(2, "float32", f"the scales in {table.what}", MAX_CHANNELS) or ()
        ),
        zero_points=None if zero_points is None else tuple(zero_points),
        axis=table.integer(6, "int32"),
        custom=table.integer(4, "uint8") != 0,
    )


def _operator(
    file: FlatBuffer, index: int, table: Table, codes: list[tuple[int, int, str]]
) -> RawOperator:
    code_index = table.integer(0, "uint32")
    if code_index >= len(codes):
        raise file.damaged(f"{table.what} is of kind {code_index}, but {len(codes)} are listed")
    code, version, custom_code = codes[code_index]
    extras = []
    variables = table.bytes_span(7, f"the variable inputs of {table.what}")
    if variables and any(file.data[variables[0] : variables[0] + variables[1]]):
        extras.append("mutating_variable_inputs")
    if table.numbers(8, "int32", f"the intermediates of {table.what}", MAX_OPERANDS):
        extras.append("intermediates")
    if table.integer(9, "uint64") or table.integer(10, "uint64"):
        extras.append("large_custom_options")
    if table.integer(11, "uint8"):
        extras.append("builtin_options_2")
    custom_options = table.bytes_span(5, f"the custom options of {table.what}")
    if custom_options and custom_options[1]:
        extras.append("custom_options")
    return RawOperator(
        index=index,
        code=code,
        version=version,
        inputs=tuple(table.numbers(1, "int32", f"the inputs of {table.what}", MAX_OPERANDS) or ()),
        outputs=tuple(
            table.numbers(2, "int32", f"the outputs of {table.what}", MAX_OPERANDS) or ()
        ),
        options_type=table.integer(3, "uint8"),
        options=table.table(4, f"the options of {table.what}"),
        custom_code=custom_code,
        extras=tuple(extras),
    )


def _check_flow(model: RawModel) -> None:
    """Every tensor that is read has been written before, exactly once, and the outputs exist."""
    file, count = model.file, len(model.tensors)

    def checked(indices: tuple[int, ...], what: str) -> tuple[int, ...]:
        for index in indices:
            if not 0 <= index < count:
                raise file.damaged(f"{what} is tensor {index}, but there are {count}")
        return indices

    defined = {t.index for t in model.tensors if t.data is not None or t.external_data}
    for index in checked(model.inputs, "an input of the model"):
        if index in defined:
            raise file.damaged(f"input tensor {index} is a constant, or listed twice")
        defined.add(index)
    # A variable tensor holds its value from the run before, an empty one needs none.
    defined |= {t.index for t in model.tensors if t.is_variable or 0 in t.shape}
    for op in model.operators:
        what = f"operator {op.index}"
        for index in checked(tuple(i for i in op.inputs if i != OPTIONAL), f"an input of {what}"):
            if index not in defined:
                raise file.damaged(f"{what} reads tensor {index} before anything has written it")
        for index in checked(op.outputs, f"an output of {what}"):
            if index in defined:
                raise file.damaged(f"{what} writes tensor {index}, which has a value already")
            defined.add(index)
    for index in checked(model.outputs, "an output of the model"):
        if index not in defined:
            raise file.damaged(f"output tensor {index} is never written")
