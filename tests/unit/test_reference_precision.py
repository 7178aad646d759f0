"""Where TFLite computes a multiplier in float32 and where in double.

Each case is a pair of scales and a value found by search for which the two differ by one in the
output; random tests hit such a case about once in ten thousand.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.one_op import assert_equals_tflite, constant, one_op, quant, tensor
from tinyvision.ir import ops, reference
from tinyvision.ir.types import QuantParams

UNARY = {"name": "op", "inputs": ("x",), "outputs": ("y",)}
BINARY = {"name": "op", "inputs": ("a", "b"), "outputs": ("y",)}
WEIGHTED = {"name": "op", "inputs": ("x", "w", "b"), "outputs": ("y",)}
RATIO = (0.03152397274971008, 0.1687392294406891)  # 184 times it: 34 in double, 35 in float32
PRODUCT = (0.08024381846189499, 0.0036913221701979637, 0.029505165293812752)
ACCUMULATOR = 3635  # times the product of scales: 37 in double, 36 in float32


def unary(op, x, y, value):
    """A graph, its input, and where to read."""
    graph = one_op(op, [tensor("x", (1, 1), *x), tensor("y", (1, 1), *y)])
    return graph, [np.array([[value]], np.int8)]


def binary(op, a, b, y, values):
    names = zip("aby", (a, b, y), strict=True)
    graph = one_op(op, [tensor(name, (1, 1), *params) for name, params in names])
    return graph, [np.array([[value]], np.int8) for value in values]


def weighted(op, x_shape, weights_shape, channels, per_axis):
    """Inputs at the zero point: the bias is the accumulator."""
    x_scale, w_scale, y_scale = PRODUCT
    count = 2 if per_axis else 1
    params = QuantParams((w_scale,) * count, (0,) * count, channels if per_axis else None)
    tensors = [
        tensor("x", x_shape, x_scale),
        constant("w", np.ones(weights_shape, np.int8), params),
        constant("b", np.full(2, ACCUMULATOR, np.int32), quant(x_scale * w_scale)),
        tensor("y", (*x_shape[:-1], 2), y_scale),
    ]
    return one_op(op, tensors), [np.zeros(x_shape, np.int8)]


def conv(per_axis):
    op = ops.Conv2D(**WEIGHTED, stride=(1, 1))
    return weighted(op, (1, 1, 1, 3), (2, 1, 1, 3), 0, per_axis)


def depthwise(per_axis):
    op = ops.DepthwiseConv2D(**WEIGHTED, stride=(1, 1))
    return weighted(op, (1, 1, 1, 2), (1, 1, 1, 2), 3, per_axis)


def transpose_conv(per_axis):
    op = ops.TransposeConv2D(**WEIGHTED, stride=(1, 1))
    return weighted(op, (1, 1, 1, 3), (2, 1, 1, 3), 0, per_axis)


def fully_connected(per_axis):
    return weighted(ops.FullyConnected(**WEIGHTED), (1, 3), (2, 3), 0, per_axis)


def mean():
    x = tensor("x", (1, 6, 5, 1), 0.002277434803545475, 70)
    op = ops.Mean(**UNARY, axes=(1, 2), keep_dims=True)
    graph = one_op(op, [x, tensor("y", (1, 1, 1, 1), 0.0022324342280626297, 47)])
    data = np.zeros(x.shape, np.int8)
    data[0, 0, 0, 0] = -89
    return graph, [data]


def prelu():
    alpha = constant("alpha", np.array([[45]], np.int8), quant(0.01))
    tensors = [tensor("x", (1, 1), RATIO[0], -128), alpha, tensor("y", (1, 1), RATIO[1])]
    graph = one_op(ops.Prelu(name="op", inputs=("x", "alpha"), outputs=("y",)), tensors)
    return graph, [np.array([[184 - 128]], np.int8)]


X, Y = (RATIO[0], -128), (RATIO[1], 0)
CASES = {
    "quantize": (unary(ops.Requantize(**UNARY), X, Y, 56), 34),
    "relu": (
        unary(ops.Requantize(**UNARY, clamp=(0, 127), float32_ratio=True), X, Y, 56),
        35,
    ),
    "leaky_relu, positive": (unary(ops.LeakyRelu(**UNARY, alpha=0.1), X, Y, 56), 35),
    "leaky_relu, negative": (
        unary(
            ops.LeakyRelu(**UNARY, alpha=0.26784539222717285),
            (0.04405684024095535, 127),
            (0.023796971887350082, 0),
            -182 + 127,
        ),
        -90,
    ),
    "prelu, positive": (prelu(), 35),
    "mul": (
        binary(
            ops.Mul(**BINARY),
            (0.04355349391698837, 0),
            (0.006266595330089331, 0),
            (0.035956986248493195, 0),
            (98, 123),
        ),
        91,
    ),
    "add": (
        binary(
            ops.Add(**BINARY),
            (0.027653448283672333, -48),
            (0.2686735689640045, -88),
            (0.3926661014556885, 74),
            (-17, -32),
        ),
        115,
    ),
    "sub": (
        binary(
            ops.Sub(**BINARY),
            (0.007933545857667923, -41),
            (0.04015909880399704, -31),
            (0.03407005965709686, 54),
            (-68, -41),
        ),
        60,
    ),
    "mean": (mean(), -28),
    "conv": (conv(False), 37),
    "conv, per axis": (conv(True), 37),
    "depthwise": (depthwise(False), 37),
    "depthwise, per axis": (depthwise(True), 37),
    "transpose_conv": (transpose_conv(False), 37),
    "transpose_conv, per axis": (transpose_conv(True), 37),
    "fully_connected": (fully_connected(False), 36),
    "fully_connected, per axis": (fully_connected(True), 37),
}


@pytest.mark.parametrize("case", CASES)
def test_precision_of_the_multiplier(case):
    (graph, inputs), expected = CASES[case]
    assert set(reference.run(graph, inputs)[0].flat) == {expected}


@pytest.mark.parametrize("case", CASES)
def test_precision_equals_tflite(case):
    (graph, inputs), _ = CASES[case]
    assert_equals_tflite(graph, inputs)


def test_fully_connected_per_axis_means_the_same_for_any_rank():
    """tflite-runtime leaves such an output half unwritten; ours is that of the flat one."""
    flat, (x,) = fully_connected(True)
    tensors = dict(flat.tensors)
    tensors["x"] = tensor("x", (1, 1, 3), PRODUCT[0])
    tensors["y"] = tensor("y", (1, 1, 2), PRODUCT[2])
    deep = one_op(flat.ops[0], list(tensors.values()))
    np.testing.assert_array_equal(
        reference.run(deep, [x.reshape(1, 1, 3)])[0].ravel(), reference.run(flat, [x])[0].ravel()
    )
