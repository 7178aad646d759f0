"""The importer gives back the graph that a file was written from."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.one_op import constant, one_op, tensor, tflite_run
from tests.support.op_strategies import STRATEGIES, requantize_unsigned
from tests.support.tflite_writer import Written, draft, write
from tinyvision import importer
from tinyvision.errors import ModelError
from tinyvision.importer.labels import with_labels
from tinyvision.ir import ops, reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType, Tensor
from tinyvision.ir.verify import verify

MODELS = Path(__file__).parents[3] / "shared" / "models"


def essence(op: Op, graph: Graph) -> dict[str, Any]:
    """An operator's attributes without its name, and steps that nothing depends on made one."""
    fields = {f.name: getattr(op, f.name) for f in dataclasses.fields(op) if f.name != "name"}
    if isinstance(op, ops.Slice):
        counts = graph.tensors[op.outputs[0]].shape
        fields["strides"] = tuple(
            1 if count == 1 else stride for stride, count in zip(op.strides, counts, strict=True)
        )
    return {"kind": op.kind, **fields}


def assert_same(actual: Graph, expected: Graph) -> None:
    verify(actual)
    assert [essence(op, actual) for op in actual.ops] == [
        essence(o, expected) for o in expected.ops
    ]
    assert (actual.inputs, actual.outputs) == (expected.inputs, expected.outputs)
    assert set(actual.tensors) == set(expected.tensors)
    for name, tensor_ in expected.tensors.items():
        other = actual.tensors[name]
        assert (other.shape, other.dtype) == (tensor_.shape, tensor_.dtype)
        assert (other.data is None) == (tensor_.data is None)
        if tensor_.data is not None:
            np.testing.assert_array_equal(other.data, tensor_.data)
        if tensor_.quant is None:
            assert other.quant is None
            continue
        assert other.quant is not None
        assert other.quant.scales == tensor_.quant.scales
        assert other.quant.zero_points == tensor_.quant.zero_points
        if len(tensor_.quant.scales) > 1:
            assert other.quant.axis == tensor_.quant.axis


def writable(graph: Graph) -> bool:
    """Weights with a zero point, which the oracle knows but TFLite's specification forbids, are
    refused by the importer.
    """
    op = graph.ops[0]
    if not isinstance(op, ops.FullyConnected):
        return True
    weights = graph.tensors[op.inputs[1]].quant
    return weights is not None and not any(weights.zero_points)


@pytest.mark.parametrize("kind", STRATEGIES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_written_graph_comes_back(kind: str, data: st.DataObject) -> None:
    graph = data.draw(STRATEGIES[kind].filter(writable))
    assert_same(importer.from_bytes(write(graph)), graph)


@settings(max_examples=15, deadline=None)
@given(graph=requantize_unsigned())
def test_bytes_are_requantized(graph: Graph) -> None:
    assert_same(importer.from_bytes(write(graph)), graph)


def test_the_writer_knows_every_operator_of_a_file() -> None:
    concrete = {name for name, kind in vars(ops).items() if isinstance(kind, type)}
    concrete &= {kind.__name__ for kind in Op.__subclasses__()}
    assert set(STRATEGIES) == concrete - {"Lookup"}


def test_an_interface_becomes_operators() -> None:
    x, y = tensor("x", (1, 4), 0.5, 3), tensor("y", (1, 4), 0.25, -3)
    op = ops.Requantize(name="op", inputs=("x",), outputs=("y",))
    graph = dataclasses.replace(
        one_op(op, [x, y]), interface={"x": DType.UINT8, "y": DType.FLOAT32}
    )
    loaded = importer.from_bytes(write(graph))
    verify(loaded)
    assert [op.kind for op in loaded.ops] == ["Requantize", "Requantize", "Dequantize"]
    assert loaded.tensors[loaded.inputs[0]].dtype is DType.UINT8
    assert loaded.tensors[loaded.outputs[0]].dtype is DType.FLOAT32


@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "TransposeConv2D", "FullyConnected"])
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_missing_bias_is_zeros(kind: str, data: st.DataObject) -> None:
    graph = data.draw(STRATEGIES[kind].filter(writable))
    file = draft(graph)
    op = file.operators[0]
    left_out = data.draw(st.booleans())
    op.inputs = [*op.inputs[:-1], ""] if left_out else op.inputs[:-1]
    loaded = importer.from_bytes(file.serialize())
    verify(loaded)
    bias = loaded.tensors[loaded.ops[0].inputs[2]]
    assert bias.data is not None and not bias.data.any()
    assert bias.shape == graph.tensors["b"].shape


def _identity(x: Tensor, y: Tensor, written: Written, **constants: Any) -> tuple[Graph, bytes]:
    """A file with one operator that the representation states otherwise, and its graph."""
    file = draft(one_op(ops.Reshape(name="op", inputs=("x",), outputs=("y",)), [x, y]))
    for name, values in constants.items():
        file.add(constant(name, np.array(values, np.int32)))
    file.operators = [written]
    data = file.serialize()
    graph = importer.from_bytes(data)
    verify(graph)
    return graph, data


@pytest.mark.parametrize(
    ("before", "after", "written", "constants"),
    [
        ((1, 4, 1, 3), (4, 3), Written("SQUEEZE", ["x"], ["y"], "SqueezeOptions"), {}),
        (
            (1, 4, 1, 3),
            (1, 4, 3),
            Written("SQUEEZE", ["x"], ["y"], "SqueezeOptions", {"SqueezeDims": [-2]}),
            {},
        ),
        (
            (4, 3),
            (4, 1, 3),
            Written("EXPAND_DIMS", ["x", "c"], ["y"], "ExpandDimsOptions"),
            {"c": 1},
        ),
        ((4, 3), (4, 3, 1), Written("EXPAND_DIMS", ["x", "c"], ["y"]), {"c": -1}),
        ((4, 3), (2, 6), Written("RESHAPE", ["x", "c"], ["y"], "ReshapeOptions"), {"c": [2, -1]}),
        (
            (4, 3),
            (12,),
            Written("RESHAPE", ["x"], ["y"], "ReshapeOptions", {"NewShape": [12]}),
            {},
        ),
    ],
)
def test_reshapes_under_other_names(
    before: tuple[int, ...], after: tuple[int, ...], written: Written, constants: dict[str, Any]
) -> None:
    graph, _ = _identity(tensor("x", before), tensor("y", after), written, **constants)
    assert [op.kind for op in graph.ops] == ["Reshape"]
    assert graph.tensors["y"].shape == after


X = np.arange(2 * 5 * 7, dtype=np.int8).reshape(2, 5, 7)
STRIDED = [
    ([0, 1, 2], [2, 4, 7], [1, 2, 3], {}, X[0:2, 1:4:2, 2:7:3]),
    ([0, -1, -1], [2, -9, 0], [1, -2, -3], {}, X[:, -1:-9:-2, -1:0:-3]),
    ([9, 9, 9], [0, 0, 0], [1, 1, 1], {"BeginMask": 7, "EndMask": 7}, X),
    ([1, 2, 0], [2, 3, 7], [1, 1, 1], {"ShrinkAxisMask": 3}, X[1, 2]),
    ([-1, 0, 0], [0, 5, 7], [1, 1, 1], {"ShrinkAxisMask": 1}, X[-1]),
    ([0, 3], [0, 6], [1, 1], {"EllipsisMask": 1}, X[..., 3:6]),
    ([1, 0], [2, 0], [1, 1], {"EllipsisMask": 2, "ShrinkAxisMask": 1}, X[1]),
    ([0, 0, 1], [0, 2, 3], [1, 1, 1], {"NewAxisMask": 1}, X[None, 0:2, 1:3]),
    ([1], [2], [1], {}, X[1:2]),
]


@pytest.mark.parametrize(("begin", "end", "stride", "masks", "expected"), STRIDED)
def test_strided_slices_take_what_numpy_takes(
    begin: list[int], end: list[int], stride: list[int], masks: dict[str, int], expected: np.ndarray
) -> None:
    written = Written(
        "STRIDED_SLICE", ["x", "b", "e", "s"], ["y"], "StridedSliceOptions", masks, version=4
    )
    graph, data = _identity(
        tensor("x", X.shape), tensor("y", expected.shape), written, b=begin, e=end, s=stride
    )
    np.testing.assert_array_equal(reference.run(graph, [X])[0], expected)
    np.testing.assert_array_equal(tflite_run(data, [X])[0], expected)


def test_shape_arithmetic_leaves_a_plain_reshape() -> None:
    """What a converter writes for Reshape((-1, 3)) of a model with a dynamic batch."""
    x, y = tensor("x", (1, 4, 3)), tensor("y", (1, 12))
    file = draft(one_op(ops.Reshape(name="op", inputs=("x",), outputs=("y",)), [x, y]))
    for name, value in (("zero", [0]), ("one", [1]), ("rest", 12)):
        file.add(constant(name, np.array(value, np.int32)))
    for name, shape in (("shape", (3,)), ("batch", ()), ("sizes", (2,))):
        file.add(Tensor(name, shape, DType.INT32))
    file.operators = [
        Written("SHAPE", ["x"], ["shape"], "ShapeOptions", {"OutType": 2}),
        Written(
            "STRIDED_SLICE",
            ["shape", "zero", "one", "one"],
            ["batch"],
            "StridedSliceOptions",
            {"ShrinkAxisMask": 1},
        ),
        Written("PACK", ["batch", "rest"], ["sizes"], "PackOptions", {"ValuesCount": 2}),
        Written("RESHAPE", ["x", "sizes"], ["y"], "ReshapeOptions"),
    ]
    graph = importer.from_bytes(file.serialize())
    verify(graph)
    assert [op.kind for op in graph.ops] == ["Reshape"]
    assert set(graph.tensors) == {"x", "y"}


def test_names_are_made_unique_and_printable() -> None:
    op = ops.Requantize(name="op", inputs=("x",), outputs=("y",))
    file = draft(one_op(op, [tensor("x", (4,)), tensor("y", (4,))]))
    file.tensors[1] = dataclasses.replace(file.tensors[1], name="x")
    graph = importer.from_bytes(file.serialize())
    assert (graph.inputs, graph.outputs) == (("x",), ("x_1",))

    file.tensors = [dataclasses.replace(t, name="") for t in file.tensors]
    graph = importer.from_bytes(file.serialize())
    assert (graph.inputs, graph.outputs) == (("tensor_0",), ("tensor_1",))

    names = ("a\x1b[2J\n", "é" * 999)
    file.tensors = [
        dataclasses.replace(t, name=n) for t, n in zip(file.tensors, names, strict=True)
    ]
    graph = importer.from_bytes(file.serialize())
    assert (graph.inputs, graph.outputs) == (("a_[2J_",), ("é" * 200,))


def _plain() -> Graph:
    op = ops.Requantize(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [tensor("x", (1, 3)), tensor("y", (1, 3))])


def test_labels_come_from_the_archive_at_the_end() -> None:
    assert importer.from_bytes(write(_plain())).labels == ()
    labelled = dataclasses.replace(_plain(), labels=("cat", "dög", "none of these"))
    assert importer.from_bytes(write(labelled)).labels == labelled.labels


def test_labels_and_fit_as_training_writes_them() -> None:
    graph = importer.from_bytes(with_labels(write(_plain()), ("cat", "dög"), "crop"))
    assert (graph.labels, graph.fit) == (("cat", "dög"), "crop")
    assert importer.from_bytes(write(_plain())).fit == "stretch"
    assert importer.from_bytes(with_labels(write(_plain()), (), "sideways")).fit == "stretch"


@pytest.mark.parametrize("kind", ["bomb", "cut", "binary"])
def test_bad_labels_are_none(kind: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
        content = {"bomb": b"a" * (1 << 22), "cut": b"cat\ndog\n" * 99, "binary": b"\xff\xfe\x80"}
        z.writestr("labels.txt", content[kind])
    data = archive.getvalue()
    if kind == "cut":
        data = data[:40] + bytes(20) + data[60:]
    assert importer.from_bytes(write(_plain()) + data).labels == ()


def test_loading_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "wake_word.tflite"
    path.write_bytes(write(_plain()))
    assert importer.load(path).name == "wake_word"
    assert importer.load(str(path)).name == "wake_word"
    report = importer.check(path)
    assert report.ok and report.operators == {"QUANTIZE": 1}
    assert len(importer.model_hash(path.read_bytes())) == 16
    for missing in (tmp_path / "no.tflite", tmp_path):
        with pytest.raises(ModelError, match="cannot be read"):
            importer.load(missing)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.tflite")), ids=lambda path: path.stem)
def test_real_models_load(path: Path) -> None:
    graph = importer.load(path)
    verify(graph)
    assert importer.check(path).ok
    golden = np.load(path.with_suffix(".golden.npz"))
    external = graph.tensors[graph.inputs[0]]
    assert golden["inputs"].shape[1:] in (external.shape, external.shape[1:])
    assert golden["inputs"].dtype == external.dtype.numpy
