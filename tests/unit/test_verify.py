"""Every rule of ``ir.verify``: a sound graph passes, and each way to break it is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.graph_builder import GraphBuilder, quantized
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Padding
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.ir.verify import verify


def sound() -> Graph:
    b = GraphBuilder()
    x = b.input((1, 8, 7, 3))
    conv = b.weighted(
        ops.Conv2D,
        x,
        np.ones((4, 3, 3, 3)),
        stride=(2, 2),
        padding=Padding(0, 1, 1, 1),
        scales=(0.1, 0.2, 0.3, 0.0),
    )
    act = b.op(ops.Logistic, conv, quant=(1 / 256, -128))
    pool = b.op(ops.AveragePool2D, act, window=(2, 2), stride=(2, 2))
    flat = b.op(ops.Reshape, pool, shape=(1, 16))
    dense = b.weighted(ops.FullyConnected, flat, np.ones((5, 16)))
    return b.build(dense)


def change_op(graph: Graph, name: str, /, **changes: Any) -> Graph:
    return replace(
        graph,
        ops=tuple(replace(op, **changes) if op.name == name else op for op in graph.ops),
    )


def change_tensor(graph: Graph, name: str, /, **changes: Any) -> Graph:
    tensor = replace(graph.tensors[name], **changes)
    return replace(graph, tensors={**graph.tensors, name: tensor})


def test_a_sound_graph_passes() -> None:
    verify(sound())


def test_the_message_names_the_operator_and_the_rule() -> None:
    graph = change_op(sound(), "conv2d0", clamp=(-200, 3))
    with pytest.raises(ValueError, match=r"Conv2D 'conv2d0': clamp \(-200, 3\) leaves -128..127"):
        verify(graph)


@pytest.mark.parametrize(
    ("name", "changes", "rule"),
    [
        ("conv2d0", {"clamp": (5, 4)}, "clamp"),
        ("conv2d0", {"stride": (0, 1)}, "strides"),
        ("conv2d0", {"dilation": (0, 1)}, "dilations"),
        ("conv2d0", {"stride": (1, 1)}, "should be"),
        ("conv2d0", {"padding": Padding(3, 0, 0, 0)}, "smaller than"),
        ("conv2d0", {"padding": Padding(-1, 0, 0, 0)}, "negative"),
        ("conv2d0", {"inputs": ("in0", "const")}, "takes 3 inputs"),
        ("conv2d0", {"inputs": ("nowhere", "const", "const_2")}, "not a tensor"),
        ("conv2d0", {"inputs": ("logistic1", "const", "const_2")}, "before it is computed"),
        ("conv2d0", {"outputs": ("in0",)}, "defined twice"),
        ("conv2d0", {"inputs": ("in0", "in0", "const_2")}, "bias must have 1"),
        ("logistic1", {"name": "conv2d0"}, "unique"),
        ("averagepool2d2", {"window": (4, 9)}, "larger than"),
    ],
)
def test_broken_operators(name: str, changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        verify(change_op(sound(), name, **changes))


@pytest.mark.parametrize(
    ("name", "changes", "rule"),
    [
        ("in0", {"quant": None}, "no scale"),
        ("in0", {"quant": quantized(0.0, 0)}, "positive scale"),
        ("in0", {"quant": quantized(0.1, 128)}, "zero points"),
        ("in0", {"quant": quantized(float("nan"), 0)}, "finite"),
        ("in0", {"quant": QuantParams((0.1,) * 2, (0, 0))}, "axis"),
        ("in0", {"quant": QuantParams((0.1,) * 2, (0, 0), 3)}, "2 scales for 3 channels"),
        ("in0", {"dtype": DType.UINT8}, "should be int8"),
        ("in0", {"shape": (1, 8, 7, 0)}, "empty"),
        ("in0", {"name": "other"}, "its own name"),
        ("logistic1", {"quant": quantized(1 / 256, 0)}, "one scale|zero point -128"),
        ("averagepool2d2", {"quant": quantized(0.1, 0)}, "one scale and zero point"),
        ("reshape3", {"shape": (1, 15)}, "as many elements"),
        ("const", {"quant": None}, "no scale"),
        ("const", {"quant": QuantParams((0.1,) * 4, (1,) * 4, 0)}, "zero point of the weights"),
        ("const", {"quant": QuantParams((0.1,) * 3, (0,) * 3, 1)}, "along axis 0"),
    ],
)
def test_broken_tensors(name: str, changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        verify(change_tensor(sound(), name, **changes))


def test_weights_must_be_constant() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 2))
    weights = b.input((3, 1, 1, 2), (0.1, 0))
    bias = b.constant(np.zeros(3), dtype=DType.INT32)
    with pytest.raises(ValueError, match="weights must be constant"):
        verify(b.build(b.op(ops.Conv2D, x, weights, bias, stride=(1, 1))))


def test_softmax_needs_a_sum_that_fits() -> None:
    b = GraphBuilder()
    with pytest.raises(ValueError, match="overflows"):
        verify(b.build(b.op(ops.Softmax, b.input((1, 4096)), quant=(1 / 256, -128))))


def test_edges() -> None:
    graph = sound()
    (output,) = graph.outputs
    for broken, rule in (
        (replace(graph, inputs=()), "must be an input"),
        (replace(graph, outputs=(output, output)), "listed twice"),
        (replace(graph, outputs=("in0",)), "not computed"),
        (replace(graph, outputs=("nowhere",)), "not a tensor"),
        (replace(graph, interface={"conv2d0": DType.FLOAT32}), "neither input nor output"),
        (replace(graph, interface={"in0": DType.INT64}), "cannot be int64"),
    ):
        with pytest.raises(ValueError, match=rule):
            verify(broken)
    stray = {**graph.tensors, "stray": Tensor("stray", (1,), DType.INT32)}
    with pytest.raises(ValueError, match="nothing computes"):
        verify(replace(graph, tensors=stray))


def binary(shape_a: tuple[int, ...], shape_b: tuple[int, ...]) -> Graph:
    b = GraphBuilder()
    return b.build(b.op(ops.Add, b.input(shape_a), b.input(shape_b), quant=(0.1, 0)))


def test_broadcasting() -> None:
    verify(binary((1, 4, 4, 3), (3,)))
    verify(binary((1, 1, 1, 3), (1, 4, 4, 1)))
    with pytest.raises(ValueError, match="broadcast"):
        binary((1, 4, 4, 3), (2,))


@pytest.mark.parametrize(
    ("kind", "attributes", "shape", "expected"),
    [
        (ops.Pad, {"pads": ((0, 0), (1, 2), (0, 1), (0, 0))}, (), (1, 8, 6, 3)),
        (ops.Mean, {"axes": (1, 2)}, (), (1, 3)),
        (ops.Mean, {"axes": (1, 2), "keep_dims": True}, (), (1, 1, 1, 3)),
        (ops.Transpose, {"perm": (0, 3, 1, 2)}, (), (1, 3, 5, 5)),
        (ops.Slice, {"begin": (0, 4, 0, 0), "strides": (1, -2, 1, 1)}, (1, 3, 5, 3), (1, 3, 5, 3)),
        (ops.ResizeNearest, {}, (1, 10, 7, 3), (1, 10, 7, 3)),
        (ops.MaxPool2D, {"window": (3, 2), "stride": (2, 1)}, (), (1, 2, 4, 3)),
    ],
)
def test_output_shapes(
    kind: type[ops.Op],
    attributes: dict[str, Any],
    shape: tuple[int, ...],
    expected: tuple[int, ...],
) -> None:
    b = GraphBuilder()
    graph = b.build(b.op(kind, b.input((1, 5, 5, 3)), shape=shape, **attributes))
    verify(graph)
    assert graph.tensor(graph.outputs[0]).shape == expected


@pytest.mark.parametrize(
    ("kind", "attributes", "shape", "rule"),
    [
        (ops.Pad, {"pads": ((0, 0), (1, 2))}, (), "pair of pads"),
        (
            ops.Pad,
            {"pads": ((0, 0), (5, 0), (0, 0), (0, 0)), "mode": ops.PadMode.REFLECT},
            (),
            "mi",
        ),
        (ops.Mean, {"axes": (2, 1)}, (), "sorted"),
        (ops.Mean, {"axes": (4,)}, (), "within"),
        (ops.Transpose, {"perm": (0, 1, 1, 2)}, (), "permute"),
        (ops.Slice, {"begin": (0, 4, 0, 0), "strides": (1, 1, 1, 1)}, (1, 2, 5, 3), "leaves"),
        (ops.Slice, {"begin": (0, 4, 0, 0), "strides": (1, 0, 1, 1)}, (1, 1, 5, 3), "stride"),
        (ops.MaxPool2D, {"window": (3, 2), "stride": (2, 1), "padding": Padding(3)}, (), "smaller"),
    ],
)
def test_shapes_that_do_not_go_together(
    kind: type[ops.Op], attributes: dict[str, Any], shape: tuple[int, ...], rule: str
) -> None:
    b = GraphBuilder()
    with pytest.raises(ValueError, match=rule):
        b.op(kind, b.input((1, 5, 5, 3)), shape=shape, **attributes)


def test_transposed_convolution() -> None:
    b = GraphBuilder()
    y = b.weighted(
        ops.TransposeConv2D,
        b.input((1, 3, 3, 2)),
        np.ones((4, 3, 3, 2)),
        stride=(2, 2),
        padding=Padding(0, 1, 0, -1),
    )
    graph = b.build(y)
    verify(graph)
    assert graph.tensor(y).shape == (1, 6, 8, 4)
