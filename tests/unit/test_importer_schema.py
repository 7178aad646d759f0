"""The importer's tables of TFLite's schema agree with the code that flatc generated from it."""

from __future__ import annotations

import flatbuffers
import pytest
import tflite

from tinyvision.importer import schema
from tinyvision.importer.flatbuffer import FlatBuffer, Table
from tinyvision.importer.registry import OPERATORS

# Fields that the schema marks as deprecated have no accessor any more.
DEPRECATED = {("ResizeBilinearOptions", "new_height"), ("ResizeBilinearOptions", "new_width")}


def camel(name: str) -> str:
    """The generated accessor's name of a schema field."""
    return "".join(part.capitalize() for part in name.split("_"))


def build(table: str, **fields: object) -> Table:
    b = flatbuffers.Builder(64)
    vector = None
    for value in fields.values():
        if isinstance(value, list):
            getattr(tflite, f"{table}Start{camel(next(iter(fields)))}Vector")(b, len(value))
            for item in reversed(value):
                b.PrependInt32(item)
            vector = b.EndVector()
    getattr(tflite, f"{table}Start")(b)
    for name, value in fields.items():
        stored = vector if isinstance(value, list) else value
        getattr(tflite, f"{table}Add{camel(name)}")(b, stored)
    b.Finish(getattr(tflite, f"{table}End")(b))
    return FlatBuffer(bytes(b.Output()), "test").root()


def read(options: Table, number: int, field: schema.OptionField) -> object:
    if field.kind == "int32s":
        return options.numbers(number, "int32", field.name, 64) or []
    return options.scalar(number, field.kind, field.default)


@pytest.mark.parametrize("table", schema.OPTIONS)
def test_options(table: str) -> None:
    known = schema.OPTIONS[table]
    assert getattr(tflite.BuiltinOptions, table) == known.number
    accessors = {
        name
        for name in vars(getattr(tflite, table))
        if name[0].isupper()
        and not name.startswith("GetRoot")
        and not name.endswith(("AsNumpy", "Length", "IsNone", "BufferHasIdentifier"))
    } - {"Init"}
    fields = {field.name for field in known.fields if (table, field.name) not in DEPRECATED}
    assert accessors == {camel(name) for name in fields}
    for number, field in enumerate(known.fields):
        if field.name not in fields:
            continue
        sample: object = {"int32s": [5, -6], "float32": 0.75, "bool": not field.default}.get(
            field.kind, 7
        )
        options = build(table, **{field.name: sample})
        assert read(options, number, field) == sample
        assert read(build(table), number, field) == field.default or field.kind == "int32s"
        others = [other for other in range(len(known.fields)) if other != number]
        assert not any(options.has(other) for other in others)


def test_default_values_are_those_of_the_generated_accessors() -> None:
    for table, known in schema.OPTIONS.items():
        raw = build(table)
        generated = getattr(tflite, table)()
        generated.Init(bytearray(raw.file.data), raw.position)
        for field in known.fields:
            if (table, field.name) not in DEPRECATED and field.kind != "int32s":
                assert getattr(generated, camel(field.name))() == field.default


def test_operators() -> None:
    for code, operator in OPERATORS.items():
        assert getattr(tflite.BuiltinOperator, operator.name) == code
        assert operator.options in ("", *schema.OPTIONS)
        assert operator.convert or operator.fold
    assert schema.operator_name(tflite.BuiltinOperator.BATCH_MATMUL) == "BATCH_MATMUL"
    assert schema.operator_name(99999) == "operator code 99999"


@pytest.mark.parametrize(
    ("names", "enumeration"),
    [
        (schema.TENSOR_TYPES, tflite.TensorType),
        (schema.ACTIVATIONS, tflite.ActivationFunctionType),
        (schema.PADDINGS, tflite.Padding),
        (schema.MIRROR_PAD_MODES, tflite.MirrorPadMode),
        (schema.WEIGHTS_FORMATS, tflite.FullyConnectedOptionsWeightsFormat),
    ],
)
def test_enumerations(names: tuple[str, ...], enumeration: type) -> None:
    assert {name: number for number, name in enumerate(names)} == {
        name: value for name, value in vars(enumeration).items() if isinstance(value, int)
    }
