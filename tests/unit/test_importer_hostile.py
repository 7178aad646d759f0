"""Broken and hostile files end in one ModelError that says what, where, why, and what to do."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite

from tests.support.one_op import tensor
from tests.support.tflite_samples import SAMPLES, add, conv, reshape
from tests.support.tflite_writer import TfliteFile, Written, draft, write
from tinyvision import importer
from tinyvision.errors import ModelError
from tinyvision.importer.flatbuffer import FlatBuffer
from tinyvision.importer.model_file import parse
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.ir.verify import verify


def refused(data: bytes, message: str = "") -> None:
    with pytest.raises(ModelError) as caught:
        importer.from_bytes(data, "evil.tflite")
    error = caught.value
    assert message in str(error)
    assert error.what and error.where == "evil.tflite" and error.why


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"PK\x03\x04" + bytes(99), b"\x89HDF\r\n\x1a\n", b"\0\0\0\0ONNX" * 9]
)
def test_other_files_are_named_as_such(data: bytes) -> None:
    refused(data, "not a .tflite file")


def test_every_truncation() -> None:
    data = write(conv())
    for length in range(len(data) - 8):
        with pytest.raises(ModelError):
            importer.from_bytes(data[:length])


@pytest.mark.parametrize("sample", ["reshape", "relu", "concatenate"])
def test_every_bit_flip(sample: str) -> None:
    """Each ends in a ModelError or, where the bit does not matter, in a sound graph."""
    data = write(SAMPLES[sample]())
    for position in range(len(data)):
        for bit in (1, 8, 128):
            flipped = bytearray(data)
            flipped[position] ^= bit
            try:
                verify(importer.from_bytes(bytes(flipped)))
            except ModelError:
                continue


# What the tables may say


def _reads_itself(file: TfliteFile) -> None:
    file.operators[0].inputs = ["y", "b"]


def _circle(file: TfliteFile) -> None:
    z = file.add(tensor("z", (4,)))
    file.operators = [Written("ADD", ["a", z], ["y"]), Written("ADD", ["a", "y"], [z])]


def _backwards(file: TfliteFile) -> None:
    z = file.add(tensor("z", (4,)))
    file.operators = [Written("RELU", [z], ["y"]), Written("RELU", ["a"], [z])]


def _written_twice(file: TfliteFile) -> None:
    file.operator(Written("ADD", ["a", "b"], ["y"]))


def _writes_input(file: TfliteFile) -> None:
    file.operators[0].outputs = ["a"]


def _no_such(where: str, index: int) -> Callable[[TfliteFile], None]:
    def bend(file: TfliteFile) -> None:
        file.index["wild"] = index
        if where == "inputs":
            file.operators[0].inputs = ["a", "wild"]
        elif where == "outputs":
            file.operators[0].outputs = ["wild"]
        else:
            file.outputs = ["wild"]

    return bend


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (_reads_itself, "operator 0 reads tensor 2 before anything has written it"),
        (_circle, "operator 0 reads tensor 3 before"),
        (_backwards, "operator 0 reads tensor 3 before"),
        (_written_twice, "operator 1 writes tensor 2, which has a value already"),
        (_writes_input, "operator 0 writes tensor 0, which has a value already"),
        (_no_such("inputs", 3), "an input of operator 0 is tensor 3, but there are 3"),
        (_no_such("inputs", -2), "tensor -2"),
        (_no_such("outputs", -1), "an output of operator 0 is tensor -1"),
        (_no_such("outputs", 2**31 - 1), "tensor 2147483647"),
        (_no_such("model", 7), "an output of the model is tensor 7"),
        (lambda file: file.operators.clear(), "output tensor 2 is never written"),
        (lambda file: file.inputs.append("a"), "listed twice"),
    ],
)
def test_flow(bend: Callable[[TfliteFile], Any], message: str) -> None:
    file = draft(add())
    bend(file)
    refused(file.serialize(), message)


def test_constants_are_not_overwritten() -> None:
    file = draft(conv())
    file.operators[0].outputs = ["w"]
    refused(file.serialize(), "operator 0 writes tensor 1")
    file = draft(conv())
    file.inputs.append("w")
    refused(file.serialize(), "input tensor 1 is a constant")


BAD_QUANT = [
    (QuantParams((float("nan"),), (0,)), "its scale is nan"),
    (QuantParams((float("inf"),), (0,)), "its scale is inf"),
    (QuantParams((0.0,), (0,)), "its scale is 0.0"),
    (QuantParams((-1.0,), (0,)), "its scale is -1.0"),
    (QuantParams((1e-40,), (0,)), "it must be positive and normal"),
    (QuantParams((1.0,), (128,)), "zero point 128 is not an int8"),
    (QuantParams((1.0,), (-(2**40),)), "is not an int8"),
    (QuantParams((1.0,), ()), "1 scales but 0 zero points"),
    (QuantParams((1.0, 1.0), (0,), 0), "2 scales but 1 zero points"),
    (QuantParams((1.0, 1.0), (0, 0), 0), "2 scales along axis 0 of shape (4,)"),
    (QuantParams((1.0,) * 4, (0,) * 4, 1), "4 scales along axis 1"),
    (QuantParams((1.0,) * 4, (0,) * 4, -1), "4 scales along axis -1"),
    (QuantParams((1.0,), (0,), 3), "1 scales along axis 3"),
]


@pytest.mark.parametrize(("quant", "message"), BAD_QUANT, ids=[case[1] for case in BAD_QUANT])
def test_quantization(quant: QuantParams, message: str) -> None:
    file = draft(add())
    file.tensors[0] = replace(file.tensors[0], quant=quant)
    refused(file.serialize(), message)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2**31 - 1,) * 4, "more than"),
        ((65536, 65536), "more than"),
        ((-1, 4), "is not fixed"),
        ((-(2**31),), "is not fixed"),
        ((1,) * 64, "64 axes are not supported"),
        ((1,) * 5000, "5000 entries"),
        ((0, 2**31 - 1), "holds no elements"),
    ],
)
def test_shapes(shape: tuple[int, ...], message: str) -> None:
    file = draft(reshape())
    file.tensors[0] = Tensor("x", shape, DType.INT8, file.tensors[0].quant)
    refused(file.serialize(), message)


def test_data_of_the_wrong_size() -> None:
    file = draft(conv())
    weights = file.tensors[1]
    data = np.ones((2, 3, 3, 3), np.int8)
    bent = replace(weights, data=data, shape=data.shape)
    object.__setattr__(bent, "shape", weights.shape)
    file.tensors[1] = bent
    refused(file.serialize(), "its buffer has 54 bytes, but int8 of shape (2, 3, 3, 2) takes 36")


def test_text_that_is_not_utf8() -> None:
    data = write(add()).replace(b"\x01\x00\x00\x00a\x00", b"\x01\x00\x00\x00\xff\x00")
    refused(data, "the name of tensor 0 is not UTF-8 text")
    data = write(add()).replace(b"\x01\x00\x00\x00a\x00", b"\x01\x00\x00\x00aa")
    refused(data, "the name of tensor 0 does not end with a zero byte")


# What the bytes may say


def spliced(data: bytes, position: int, word: int) -> bytes:
    return data[:position] + struct.pack("<I", word) + data[position + 4 :]


def test_offsets_that_lead_outside() -> None:
    data = write(add())
    for offset in (len(data), len(data) - 3, 2**31 - 1, 2**32 - 1):
        refused(spliced(data, 0, offset), "the root table")
    root = FlatBuffer(data, "").root()
    for field, offset in enumerate(root.offsets):
        for target in (2**32 - 1, len(data), 2**31):
            if offset and field not in (0, 5, 7):
                refused(spliced(data, root.position + offset, target))


def test_vectors_that_claim_too_much() -> None:
    data = write(conv())
    weights = next(t.data for t in parse(data, "").tensors if t.name == "w")
    assert weights is not None
    for length in (2**32 - 1, 2**31, len(data), weights[1] + 1):
        refused(spliced(data, weights[0] - 4, length))


def test_buffers_that_overlap() -> None:
    """A second buffer that begins inside the first one."""
    data = write(conv())
    root = FlatBuffer(data, "").root()
    buffers = [t for t in root.tables(4, "buffer", 9) if t.has(0)]
    first, _ = buffers[0].bytes_span(0, "") or (0, 0)
    at = buffers[1].position + buffers[1].offsets[0]
    inside = first + 8
    bent = bytearray(spliced(data, at, (inside - at) % 2**32))
    bent[inside : inside + 4] = struct.pack("<I", 8)
    refused(bytes(bent), "two buffers overlap at byte")


def _bomb(make: Callable[[flatbuffers.Builder], dict[str, int]], **counts: int) -> bytes:
    """A model whose vectors repeat one offset ``counts`` times."""
    b = flatbuffers.Builder(1 << 16)
    tables = make(b)

    def repeated(name: str) -> int:
        count = counts.get(name, 1)
        b.StartVector(4, count, 4)
        for _ in range(count):
            b.PrependUOffsetTRelative(tables[name])
        return int(b.EndVector())

    lists = {name: repeated(name) for name in ("Tensors", "Operators", "Buffers", "OperatorCodes")}
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, lists["Tensors"])
    tflite.SubGraphAddOperators(b, lists["Operators"])
    tables["Subgraphs"] = tflite.SubGraphEnd(b)
    subgraphs = repeated("Subgraphs")
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddSubgraphs(b, subgraphs)
    tflite.ModelAddBuffers(b, lists["Buffers"])
    tflite.ModelAddOperatorCodes(b, lists["OperatorCodes"])
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def _large_parts(b: flatbuffers.Builder) -> dict[str, int]:
    name = b.CreateString("n" * 50_000)
    ints = b.CreateNumpyVector(np.zeros(1000, np.int32))
    scales = b.CreateNumpyVector(np.ones(50_000, np.float32))
    zeros = b.CreateNumpyVector(np.zeros(50_000, np.int64))
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scales)
    tflite.QuantizationParametersAddZeroPoint(b, zeros)
    quantization = tflite.QuantizationParametersEnd(b)
    tables = {}
    tflite.TensorStart(b)
    tflite.TensorAddName(b, name)
    tflite.TensorAddQuantization(b, quantization)
    tables["Tensors"] = tflite.TensorEnd(b)
    tflite.OperatorStart(b)
    tflite.OperatorAddInputs(b, ints)
    tflite.OperatorAddOutputs(b, ints)
    tables["Operators"] = tflite.OperatorEnd(b)
    tflite.BufferStart(b)
    tables["Buffers"] = tflite.BufferEnd(b)
    tflite.OperatorCodeStart(b)
    tables["OperatorCodes"] = tflite.OperatorCodeEnd(b)
    return tables


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("Tensors", 8000),
        ("Tensors", 1_000_000),
        ("Operators", 8000),
        ("Operators", 1_000_000),
        ("Buffers", 16_000),
        ("Buffers", 1_000_000),
        ("OperatorCodes", 8000),
        ("Subgraphs", 8000),
    ],
)
def test_little_that_claims_to_be_much(part: str, count: int) -> None:
    data = _bomb(_large_parts, **{part: count})
    tracemalloc.start()
    begun = time.process_time()
    refused(data)
    seconds, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 5
    assert peak < 100e6


def test_files_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(ModelError, match="too large"):
        importer.load(path)


def test_hints_and_places_are_given() -> None:
    with pytest.raises(ModelError) as caught:
        importer.from_bytes(write(add())[:200], "cut.tflite")
    assert caught.value.hint
    assert "cut.tflite: the model file is damaged: " in str(caught.value)


def _coded(old: int, new: int) -> bytes:
    """The file of ``add`` with another operator code, which stands at the end: the field of old
    files, that of new ones, or both.
    """
    data = bytearray(write(add()))
    b = flatbuffers.Builder(64)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, old)
    tflite.OperatorCodeAddVersion(b, 1)
    tflite.OperatorCodeAddBuiltinCode(b, new)
    b.Finish(tflite.OperatorCodeEnd(b))
    table = bytes(b.Output())
    at = len(data) + (-len(data)) % 16
    data += bytes(at - len(data)) + table
    vector = FlatBuffer(bytes(data), "").root()
    slot = vector.position + vector.offsets[1]
    entry = slot + struct.unpack_from("<I", data, slot)[0] + 4
    root = at + struct.unpack_from("<I", table)[0]
    struct.pack_into("<I", data, entry, root - entry)
    return bytes(data)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(0, 18, "MUL"), (18, 0, "MUL"), (18, 18, "MUL"), (0, 0, "ADD"), (127, 150, "GELU")],
)
def test_operator_codes_of_old_and_new_files(old: int, new: int, kind: str) -> None:
    assert importer.check_bytes(_coded(old, new)).operators == {kind: 1}


@pytest.mark.parametrize(("old", "new"), [(3, 18), (-5, 0), (0, -7), (127, 18)])
def test_operator_codes_that_contradict_each_other(old: int, new: int) -> None:
    refused(_coded(old, new), f"is {old} in one field and {new} in the other")
