"""What cannot be compiled is refused by name, and all of it at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite

from tests.support.one_op import quant, tensor
from tests.support.tflite_samples import (
    add,
    concatenate,
    conv,
    dense,
    depthwise,
    leaky,
    mean,
    pad,
    pool,
    reshape,
    resize,
    softmax,
    split,
    strided,
    unary,
)  # fmt: skip
from tests.support.tflite_writer import TfliteFile, Written, draft, table
from tinyvision import importer
from tinyvision.errors import ModelError, UnsupportedError
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor

Bend = Callable[[TfliteFile], Any]


def option(**fields: Any) -> Bend:
    return lambda file: file.operators[-1].fields.update(fields)


def operator(**fields: Any) -> Bend:
    def bend(file: TfliteFile) -> None:
        file.operators[-1] = dataclasses.replace(file.operators[-1], **fields)

    return bend


def change(name: str, **fields: Any) -> Bend:
    """Replaces fields of the tensor named ``name``."""

    def bend(file: TfliteFile) -> None:
        index = file.index[name]
        file.tensors[index] = dataclasses.replace(file.tensors[index], **fields)

    return bend


def element_type(name: str, kind: str) -> Bend:
    return lambda file: file.types.update({name: getattr(tflite.TensorType, kind)})


def constants(values: Any, place: int = -1) -> Bend:
    """Gives an operand that was written as a constant other values."""

    def bend(file: TfliteFile) -> None:
        op = file.operators[-1]
        data = np.array(values, np.int32)
        name = file.add(Tensor("bent", data.shape, DType.INT32, data=data))
        inputs = list(op.inputs)
        inputs[place] = name
        file.operators[-1] = dataclasses.replace(op, inputs=inputs)

    return bend


def unnamed(quant_: QuantParams | None, *names: str) -> Bend:
    def bend(file: TfliteFile) -> None:
        for name in names:
            change(name, quant=quant_)(file)

    return bend


FLOAT, F = DType.FLOAT32, np.float32

CASES: list[tuple[str, Callable[[], Graph], Bend, str]] = [
    ("unknown operator", softmax, operator(code="COS", options=""),
     "COS: the op"),
    ("custom operator", softmax, operator(code="CUSTOM", options=""), "custom operator ''"),
    ("newer version", conv, operator(version=9), "version 9 is not supported, at most 8"),
    ("version 0", conv, operator(version=0), "version 0 is not supported"),
    ("other options", conv, operator(options="Pool2DOptions", fields={}), "those of another op"),
    ("fused TANH", conv, option(FusedActivationFunction=4), "fused activation TANH"),
    ("fused SIGN_BIT", add, option(FusedActivationFunction=5), "fused activation SIGN_BIT"),
    ("unknown activation", add, option(FusedActivationFunction=6), "has the unknown value 6"),
    ("unknown padding", conv, option(Padding=2), "padding has the unknown value 2"),
    ("stride 0", conv, option(StrideH=0), "stride of 0x1 is out of range"),
    ("negative stride", pool, option(StrideW=-1), "stride of 2x-1 is out of range"),
    ("huge dilation", conv, option(DilationHFactor=2**30), "dilation of"),
    ("large dilation", conv, option(DilationHFactor=20000), "reaches over 40001 elements"),
    ("dilation leaves nothing", conv, option(DilationHFactor=3),
     "window is larger than the padded"),
    ("window 0", pool, option(FilterHeight=0), "window of 0x2 is out of range"),
    ("int64 bias", conv, change("b", dtype=DType.INT64, data=np.ones(2, np.int64)),
     "bias is int64"),
    ("bias at run time", dense, change("b", data=None), "before anything"),
    ("weights at run time", dense, lambda f: change("w", data=None)(f) or f.inputs.append("w"),
     "weights are computed at run time"),
    ("bias type", conv, option(QuantizedBiasType=4), "quantized_bias_type = INT64"),
    ("bias zero point", dense, change("b", quant=quant(0.25, 1)), "bias has a zero point"),
    ("bias scale", dense, change("b", quant=quant(0.5)), "input and weights give 0.25"),
    ("bias size", dense, change("b", data=np.ones(3, np.int32), shape=(3,)),
     "shape (3,), not (4,)"),
    ("weight zero point", dense, change("w", quant=quant(0.5, 3)), "weights have a zero point"),
    ("per-axis zero point", conv, change("w", quant=QuantParams((0.5, 0.25), (0, 1), 0)),
     "weights have a zero point"),
    ("weights along another axis", conv, change("w", quant=QuantParams((0.5, 0.25), (0, 0), 3)),
     "each index of axis 3, not 0"),
    ("weights without scale", conv, change("w", quant=None), "weights are not quantized"),
    ("int4 weights", conv, element_type("w", "INT4"), "INT4 tensors are not supported"),
    ("float16 weights", conv, element_type("w", "FLOAT16"), "FLOAT16 tensors are not supported"),
    ("unknown type", conv, lambda f: f.types.update(w=99), "type 99 tensors"),
    ("hybrid", dense, change("x", dtype=FLOAT, quant=None), "computes in float32, not in int8"),
    ("float weights", dense, change("w", dtype=FLOAT, data=np.ones((4, 6), F)),
     "weights are float32"),
    ("int16 activations", add, change("a", dtype=DType.INT16), "computes in int16"),
    ("uint8 inside", add, change("a", dtype=DType.UINT8),
     "uint8 is supported only at the model's"),
    ("activation without scale", add, change("a", quant=None), "needs a quantized tensor"),
    ("activation per channel", add, change("a", quant=QuantParams((1.0,) * 4, (0,) * 4, 0)),
     "scale per channel"),
    ("weights format", dense, option(WeightsFormat=1), "weights_format = SHUFFLED4x16INT8"),
    ("keep_num_dims", dense, option(KeepNumDims=True), ""),
    ("per channel in three axes", dense, lambda f: (
        change("x", shape=(1, 1, 6))(f), change("y", shape=(1, 1, 4))(f),
        option(KeepNumDims=True)(f), change("w", quant=QuantParams((0.5,) * 4, (0,) * 4, 0))(f)),
     "scale per channel with an output of more than two axes"),
    ("depth multiplier", depthwise, option(DepthMultiplier=3), "depth_multiplier = 3 contradicts"),
    ("pool rescales", pool, change("y", quant=quant(0.5)), "differ from those of 'x'"),
    ("concat rescales", concatenate, change("b", quant=quant(0.5)), "differ from those of 'y'"),
    ("concat fuses", concatenate, option(FusedActivationFunction=1), "fused activation"),
    ("concat axis", concatenate, option(Axis=1), "axis 1 is not one of 1"),
    ("reshape rescales", reshape, change("y", quant=quant(1.0, 3)), "differ from those of 'x'"),
    ("reshape contradicts", reshape, constants([3, 2]), "shape (6,), not (3, 2)"),
    ("shape at run time", reshape, lambda f: (f.add(Tensor("s", (1,), DType.INT32))
     and f.inputs.append("s")) or operator(inputs=["x", "s"])(f), "sizes are computed at run time"),
    ("dynamic shape", reshape, change("x", shape=(-1, 3)), "is not fixed"),
    ("empty tensor", reshape, change("x", shape=(0, 3)), "holds no elements"),
    ("seven axes", reshape, change("x", shape=(1, 1, 1, 1, 1, 2, 3)), "7 axes"),
    ("softmax scale", softmax, change("y", quant=quant(0.5)), "not 0.00390625 and -128"),
    ("softmax beta", softmax, option(Beta=0.0), "beta = 0"),
    ("softmax beta NaN", softmax, option(Beta=float("nan")), "option beta is nan"),
    ("logistic zero point", lambda: unary(ops.Logistic, 1 / 256, -128),
     change("y", quant=quant(1 / 256, 0)), "zero point 0"),
    ("alpha", leaky, option(Alpha=-0.5), "alpha = -0.5 is negative"),
    ("alpha infinite", leaky, option(Alpha=float("inf")), "option alpha is inf"),
    ("add overflows", add, change("y", quant=quant(1e-7)), "beyond int32"),
    ("hard swish overflows", lambda: unary(ops.HardSwish), change("y", quant=quant(1e-4)),
     "beyond int32"),
    ("conv overflows", conv, change("y", quant=quant(1e-30)), "beyond int32"),
    ("relu6 overflows", lambda: unary(ops.Requantize, clamp=(0, 6), float32_ratio=True),
     lambda f: (change("x", quant=quant(1e-12))(f), change("y", quant=quant(1e-12))(f)),
     "6 is beyond int32"),
    ("both corners", resize, option(AlignCorners=True, HalfPixelCenters=True),
     "exclude each other"),
    ("resize contradicts", resize, constants([5, 5]), "shape (1, 4, 4, 1), not (1, 5, 5, 1)"),
    ("mean without axes", mean, constants(np.zeros(0)), "holds no elements"),
    ("mean axis", mean, constants([2]), "axis 2 is not one of 2"),
    ("pads", pad, constants([[-1, 3]], 1), "are out of range"),
    ("pads at odd", pad, constants([1, 1, 1], 1), "there are 3 pads, not 2"),
    ("pad value scale", pad, change("op/value", quant=quant(0.5)), "differ from those of 'y'"),
    ("splits", split, option(NumSplits=3), "num_splits = 3 contradicts 2 outputs"),
    ("slice offset", strided, option(Offset=True), "offset is not supported"),
    ("slice stride", strided, constants([0]), "stride is 0"),
    ("slice of nothing", strided, constants([9], 1), "takes nothing from axis 0"),
    ("slice contradicts", strided, constants([1]), "shape (3,), not (5,)"),
    ("float computation", lambda: unary(ops.Logistic, 1 / 256, -128),
     lambda f: (change("x", dtype=FLOAT, quant=None)(f), change("y", dtype=FLOAT, quant=None)(f)),
     "computes in float32"),
    ("too few inputs", add, operator(inputs=["a"]), "it has 1 inputs, not 2"),
    ("too many outputs", add, lambda f: f.add(tensor("z", (4,))) and operator(outputs=["y",
     "z"])(f),
     "it has 2 outputs, not 1"),
    ("left out", add, operator(inputs=["a", ""]), "its input 1 is missing"),
    ("no outputs", add, lambda f: f.outputs.clear(), "the model has no output"),
    ("output twice", add, lambda f: f.outputs.append("y"), "an output is listed twice"),
    ("input is output", add, lambda f: f.outputs.append("a"), "an input is also an output"),
]  # fmt: skip


def more_of(name: str, **fields: Any) -> Bend:
    """Further fields for the table of tensor ``name``; a callable builds what is not a number."""

    def make(b: flatbuffers.Builder) -> dict[str, Any]:
        return {key: value(b) if callable(value) else value for key, value in fields.items()}

    return lambda file: file.more.update({name: make})


def operator_more(**fields: Any) -> Bend:
    def make(b: flatbuffers.Builder) -> dict[str, Any]:
        return {key: value(b) if callable(value) else value for key, value in fields.items()}

    return operator(more=make)


def vector(*values: int, dtype: str = "uint8") -> Callable[[flatbuffers.Builder], int]:
    return lambda b: int(b.CreateNumpyVector(np.array(values, dtype)))


def custom_quantization(b: flatbuffers.Builder) -> int:
    details = table(b, "CustomQuantization", Custom=vector(1, 2)(b))
    return table(b, "QuantizationParameters", DetailsType=1, Details=details)


def sparsity(b: flatbuffers.Builder) -> int:
    return table(b, "SparsityParameters")


RARE: list[tuple[str, Callable[[], Graph], Bend, str]] = [
    ("subgraphs", add, lambda f: setattr(f, "subgraphs", 2), "the model has 2 subgraphs"),
    ("variable tensor", add, more_of("a", IsVariable=True), "variable tensors keep state"),
    ("sparse weights", conv, more_of("w", Sparsity=sparsity), "sparse tensors are not supported"),
    ("variant tensor", add, more_of("a", VariantTensors=vector(dtype="int32")), "variant tensors"),
    ("custom quantization", add, more_of("a", Quantization=custom_quantization),
     "custom quantization"),
    ("intermediates", add, operator_more(Intermediates=vector(0, dtype="int32")),
     "its intermediates are not supported"),
    ("variable inputs", add, operator_more(MutatingVariableInputs=vector(0, 1)),
     "its mutating_variable_inputs are not supported"),
    ("fixed inputs", add, operator_more(MutatingVariableInputs=vector(0, 0)), ""),
    ("custom options", add, operator_more(CustomOptions=vector(9)), "its custom_options"),
    ("large options", add, operator_more(LargeCustomOptionsOffset=8), "its large_custom_options"),
    ("second options", add, operator_more(BuiltinOptions2Type=1), "its builtin_options_2"),
]  # fmt: skip
CASES += RARE


@pytest.mark.parametrize(
    ("make", "bend", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_refused_by_name(make: Callable[[], Graph], bend: Bend, message: str) -> None:
    file = draft(make())
    importer.from_bytes(file.serialize())
    bend(file)
    data = file.serialize()
    if not message:
        importer.from_bytes(data)
        return
    with pytest.raises(ModelError) as caught:
        importer.from_bytes(data, "bent.tflite")
    assert message in str(caught.value)
    assert str(caught.value).startswith("bent.tflite: ")


def test_all_problems_at_once() -> None:
    file = draft(conv())
    option(FusedActivationFunction=0, StrideH=1, QuantizedBiasType=7)(file)
    change("w", quant=QuantParams((0.5, 0.25), (0, 1), 0))(file)
    z, out = file.add(tensor("z", (1, 3, 3, 2))), file.add(tensor("out", (1, 3, 3, 2)))
    file.operator(Written("ELU", ["y"], [z]))
    file.operator(Written("COS", [z], [out], "CosOptions"))
    file.outputs = [out]
    data = file.serialize()
    report = importer.check_bytes(data)
    assert not report.ok
    assert [(p.op, p.kind) for p in report.problems] == [
        (0, "CONV_2D"), (0, "CONV_2D"), (1, "ELU"), (2, "COS"),
    ]  # fmt: skip
    assert report.problems[0].tensor == "w"
    assert report.operators == {"CONV_2D": 1, "ELU": 1, "COS": 1}
    with pytest.raises(UnsupportedError) as caught:
        importer.from_bytes(data)
    assert len(caught.value.problems) == 4
    json = report.to_json()
    assert json["supported"] is False and json["problems"][3]["kind"] == "COS"


def test_the_same_problem_many_times_is_one_line() -> None:
    file = draft(unary(ops.Requantize))
    for i in range(50):
        last = file.outputs[0]
        file.outputs = [file.add(tensor(f"t{i}", (1, 4)))]
        file.operator(Written("ELU", [last], file.outputs))
    assert len(importer.check_bytes(file.serialize()).problems) == 50
    with pytest.raises(UnsupportedError, match=r"50 things.*\(50 times\)") as caught:
        importer.from_bytes(file.serialize())
    assert len(caught.value.problems) == 1


def test_options_of_another_operator() -> None:
    """Options where an operator has none are not passed over."""
    file = draft(unary(ops.Logistic, 1 / 256, -128))
    file.operators[0].options = "LeakyReluOptions"
    file.operators[0].fields = {"Alpha": 0.5}
    with pytest.raises(UnsupportedError, match="those of another operator"):
        importer.from_bytes(file.serialize())
