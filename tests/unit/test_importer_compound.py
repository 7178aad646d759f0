"""Operators that become several of the representation, or one of several; open shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.one_op import constant, one_op, quant, tensor, tflite_run
from tests.support.tflite_samples import conv, depthwise
from tests.support.tflite_writer import TfliteFile, Written, draft
from tinyvision import importer
from tinyvision.errors import UnsupportedError
from tinyvision.ir import ops, reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Padding
from tinyvision.ir.types import Array, DType, QuantParams, Tensor
from tinyvision.ir.verify import verify


def file_of(
    x_shape: tuple[int, ...], y_shapes: dict[str, tuple[int, ...]], *written: Written, **ints: Any
) -> TfliteFile:
    x = tensor("x", x_shape)
    ys = [tensor(name, shape) for name, shape in y_shapes.items()]
    file = draft(one_op(ops.Reshape(name="op", inputs=("x",), outputs=(ys[0].name,)), [x, ys[0]]))
    for y in ys[1:]:
        file.add(y)
    file.outputs = list(y_shapes)
    for name, values in ints.items():
        file.add(constant(name, np.array(values, np.int32)))
    file.operators = list(written)
    return file


def load(file: TfliteFile) -> Graph:
    graph = importer.from_bytes(file.serialize())
    verify(graph)
    return graph


def values(*shape: int) -> Array:
    return np.random.default_rng(0).integers(-128, 128, shape, np.int8)


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


@pytest.mark.parametrize("multiples", [(1, 2, 1, 3), (2, 1, 1, 1), (1, 1, 1, 1)])
def test_tile(multiples: tuple[int, ...]) -> None:
    x = values(1, 2, 3, 2)
    expected = np.tile(x, multiples)
    written = Written("TILE", ["x", "m"], ["y"], "TileOptions", version=3)
    graph = load(file_of(x.shape, {"y": expected.shape}, written, m=multiples))
    np.testing.assert_array_equal(reference.run(graph, [x])[0], expected)


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_pack(axis: int) -> None:
    x = values(2, 3, 2)
    expected = np.stack([x, x, x], axis)
    written = Written(
        "PACK", ["x"] * 3, ["y"], "PackOptions", {"ValuesCount": 3, "Axis": axis}, version=2
    )
    file = file_of(x.shape, {"y": expected.shape}, written)
    np.testing.assert_array_equal(reference.run(load(file), [x])[0], expected)
    np.testing.assert_array_equal(tflite_run(file.serialize(), [x])[0], expected)


@pytest.mark.parametrize("axis", [0, -2])
def test_unpack(axis: int) -> None:
    x = values(2, 2, 3)
    expected = [np.take(x, index, axis) for index in range(2)]
    written = Written(
        "UNPACK", ["x"], ["y", "z"], "UnpackOptions", {"Num": 2, "Axis": axis}, version=2
    )
    shape = expected[0].shape
    file = file_of(x.shape, {"y": shape, "z": shape}, written)
    for results in (reference.run(load(file), [x]), tflite_run(file.serialize(), [x])):
        np.testing.assert_array_equal(results, expected)


@pytest.mark.parametrize(("axes", "keep"), [([1, 2], False), ([-1], True), ([0, 1, 2, 3], False)])
def test_reduce_max(axes: list[int], keep: bool) -> None:
    x = values(2, 3, 4, 5)
    expected = x.max(tuple(axes), keepdims=keep)
    written = Written(
        "REDUCE_MAX", ["x", "a"], ["y"], "ReducerOptions", {"KeepDims": keep}, version=2
    )
    file = file_of(x.shape, {"y": expected.shape}, written, a=axes)
    np.testing.assert_array_equal(reference.run(load(file), [x])[0], expected)
    np.testing.assert_array_equal(tflite_run(file.serialize(), [x])[0], expected)


def test_depth_to_space_and_back() -> None:
    x = values(2, 3, 2, 12)
    deep = Written(
        "DEPTH_TO_SPACE", ["x"], ["y"], "DepthToSpaceOptions", {"BlockSize": 2}, version=1
    )
    back = Written(
        "SPACE_TO_DEPTH", ["y"], ["z"], "SpaceToDepthOptions", {"BlockSize": 2}, version=2
    )
    file = file_of(x.shape, {"y": (2, 6, 4, 3), "z": x.shape}, deep, back)
    spread = x.reshape(2, 3, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 4, 3)
    for results in (reference.run(load(file), [x]), tflite_run(file.serialize(), [x])):
        np.testing.assert_array_equal(results[0], spread)
        np.testing.assert_array_equal(results[1], x)


# Dilated convolutions that the converter spells with batches


def batched(graph: Graph, block: int, pads: list[int], crops: list[int]) -> TfliteFile:
    """The file of a convolution (VALID) with its input and output sorted into batches.

    The shapes between are those of the first batch, as converters leave them.
    """
    file = draft(graph)
    x, y = graph.tensors["x"], graph.tensors["y"]
    height = x.shape[1] + pads[0] + pads[1]
    width = x.shape[2] + pads[2] + pads[3]
    window = graph.tensors["w"].shape[1:3]
    inner = (height // block, width // block)
    outer = (inner[0] - window[0] + 1, inner[1] - window[1] + 1)
    out = (
        outer[0] * block - crops[0] - crops[1],
        outer[1] * block - crops[2] - crops[3],
    )
    channels = y.shape[3]
    file.tensors[file.index["y"]] = replace(y, shape=(1, *out, channels))
    for name, near, shape in (
        ("x_batches", x, (1, *inner, x.shape[3])),
        ("y_batches", y, (1, *outer, channels)),
    ):
        file.add(replace(near, name=name, shape=shape))
        file.signatures[name] = (-1, *shape[1:])
    for name, numbers in (
        ("block", [block, block]),
        ("pads", [pads[:2], pads[2:]]),
        ("crops", [crops[:2], crops[2:]]),
    ):
        file.add(constant(name, np.array(numbers, np.int32)))
    middle = file.operators[0]
    middle.inputs, middle.outputs = ["x_batches", *middle.inputs[1:]], ["y_batches"]
    file.operators = [
        Written("SPACE_TO_BATCH_ND", ["x", "block", "pads"], ["x_batches"], version=2),
        middle,
        Written("BATCH_TO_SPACE_ND", ["y_batches", "block", "crops"], ["y"], version=2),
    ]
    return file


@pytest.mark.parametrize("make", [conv, depthwise])
@pytest.mark.parametrize(
    ("size", "pads", "crops", "padding"),
    [
        ((10, 8), [0, 0, 0, 0], [0, 0, 0, 0], Padding()),
        ((10, 8), [2, 2, 2, 2], [0, 0, 0, 0], Padding(2, 2, 2, 2)),
        ((9, 7), [2, 3, 2, 3], [0, 1, 0, 1], Padding(2, 2, 2, 2)),
        ((9, 8), [3, 2, 2, 2], [1, 0, 0, 0], Padding(2, 2, 2, 2)),
    ],
)
def test_batches_around_a_convolution_are_a_dilation(
    make: Any, size: tuple[int, int], pads: list[int], crops: list[int], padding: Padding
) -> None:
    graph = make()
    rng = np.random.default_rng(1)
    weights = graph.tensors["w"]
    tensors = dict(graph.tensors)
    tensors["x"] = tensor("x", (1, *size, 2), 0.5, 7)
    tensors["w"] = replace(weights, data=rng.integers(-128, 128, weights.shape, np.int8))
    # The writer wants a sound graph: the shape between the batches does not matter to it.
    valid = (1, size[0] - 2, size[1] - 2, weights.shape[3] if make is depthwise else 2)
    tensors["y"] = tensor("y", valid, 90.0, -3)
    file = batched(replace(graph, tensors=tensors), 2, pads, crops)
    loaded = load(file)
    assert kinds(loaded) == [graph.ops[0].kind]
    op = loaded.ops[0]
    assert isinstance(op, ops.Conv2D | ops.DepthwiseConv2D)
    assert (op.dilation, op.padding) == ((2, 2), padding)
    x = values(1, *size, 2)
    expected = tflite_run(file.serialize(), [x])[0]
    np.testing.assert_array_equal(reference.run(loaded, [x])[0], expected)


def test_batches_around_nothing_are_refused() -> None:
    written = Written("SPACE_TO_BATCH_ND", ["x", "b", "p"], ["y"], version=2)
    file = file_of((1, 4, 4, 2), {"y": (4, 2, 2, 2)}, written, b=[2, 2], p=[[0, 0], [0, 0]])
    with pytest.raises(UnsupportedError, match="SPACE_TO_BATCH_ND: it is supported only around"):
        importer.from_bytes(file.serialize())


def test_a_strided_convolution_between_batches_is_refused() -> None:
    graph = conv()
    tensors = {**graph.tensors, "x": tensor("x", (1, 6, 6, 2), 0.5), "y": tensor("y", (1, 4, 4, 2))}
    file = batched(replace(graph, tensors=tensors), 2, [2, 2, 2, 2], [0, 0, 0, 0])
    assert kinds(load(file)) == ["Conv2D"]
    file.operators[1].fields |= {"StrideH": 2}
    with pytest.raises(UnsupportedError):
        importer.from_bytes(file.serialize())


# Shapes that were open at conversion


def open_reshape(signature: tuple[int, ...] | None) -> TfliteFile:
    """A Reshape to a computed shape, stated as (1, 1), and an operator after it."""
    file = file_of((2, 3, 4), {"y": (1, 1)})
    file.add(tensor("z", (6, 4)))
    file.add(Tensor("sizes", (2,), DType.INT32))
    file.operators = [
        Written("PACK", ["rows", "columns"], ["sizes"], "PackOptions", {"ValuesCount": 2}),
        Written("RESHAPE", ["x", "sizes"], ["y"], "ReshapeOptions"),
        Written("RELU", ["y"], ["z"], version=2),
    ]
    file.add(constant("rows", np.array(6, np.int32)))
    file.add(constant("columns", np.array(4, np.int32)))
    file.outputs = ["z"]
    if signature is not None:
        file.signatures["y"] = signature
    return file


def test_an_open_shape_is_inferred() -> None:
    graph = load(open_reshape((-1, -1)))
    assert kinds(graph) == ["Reshape", "Requantize"]
    assert graph.tensors["y"].shape == (6, 4)
    assert load(open_reshape((-1, 4))).tensors["y"].shape == (6, 4)


@pytest.mark.parametrize("signature", [None, (1, 1), (-1, 5), (-1, -1, -1)])
def test_a_fixed_shape_is_not(signature: tuple[int, ...] | None) -> None:
    with pytest.raises(UnsupportedError, match=r"shape \(1, 1\), not \(6, 4\)"):
        importer.from_bytes(open_reshape(signature).serialize())


def test_an_open_batch_of_an_elementwise_operator_is_inferred() -> None:
    written = Written("RELU", ["x"], ["y"], version=2)
    file = file_of((3, 4), {"y": (1, 4)}, written)
    file.signatures["y"] = (-1, 4)
    assert load(file).tensors["y"].shape == (3, 4)


def test_quantization_of_hidden_tensors_is_kept() -> None:
    written = Written("TILE", ["x", "m"], ["y"], "TileOptions", version=3)
    file = file_of((2, 3), {"y": (4, 6)}, written, m=[2, 2])
    params = quant(0.25, 9)
    for name in ("x", "y"):
        file.tensors[file.index[name]] = replace(file.tensors[file.index[name]], quant=params)
    graph = load(file)
    assert {t.quant for t in graph.tensors.values()} == {QuantParams((0.25,), (9,))}


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.UINT8])
def test_elements_of_other_types_are_moved(dtype: DType) -> None:
    """What converters leave between a model's input and its quantization."""
    params = None if dtype is DType.FLOAT32 else quant(0.5, 130)
    file = file_of((2, 3), {"y": (3, 2)}, p=[1, 0])
    for name in ("x", "y"):
        index = file.index[name]
        file.tensors[index] = replace(file.tensors[index], dtype=dtype, quant=params)
    z = file.add(tensor("z", (3, 2), 0.5, 2))
    file.operators = [
        Written("TRANSPOSE", ["x", "p"], ["y"], "TransposeOptions"),
        Written("QUANTIZE", ["y"], [z], "QuantizeOptions"),
    ]
    file.outputs = [z]
    graph = load(file)
    assert kinds(graph) == ["Transpose", "Quantize" if params is None else "Requantize"]
    x = np.arange(6, dtype=dtype.numpy).reshape(2, 3) + dtype.numpy.type(127)
    expected = tflite_run(file.serialize(), [x])[0]
    np.testing.assert_array_equal(reference.run(graph, [x])[0], expected)


def test_elements_do_not_change_their_type_in_passing() -> None:
    file = file_of((2, 3), {"y": (6,)}, s=[6])
    file.operators = [Written("RESHAPE", ["x", "s"], ["y"], "ReshapeOptions")]
    index = file.index["y"]
    file.tensors[index] = replace(file.tensors[index], dtype=DType.FLOAT32, quant=None)
    with pytest.raises(UnsupportedError, match="'x' is int8, not float32"):
        importer.from_bytes(file.serialize())
