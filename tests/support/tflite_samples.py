"""A small graph for each operator, all of which a ``.tflite`` file can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.one_op import constant, one_op, quant, tensor
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor


def conv() -> Graph:
    weights = QuantParams((0.5, 0.25), (0, 0), 0)
    tensors = [
        tensor("x", (1, 5, 5, 2), 0.5),
        constant("w", np.ones((2, 3, 3, 2), np.int8), weights),
        constant("b", np.ones(2, np.int32), QuantParams((0.25, 0.125), (0, 0), 0)),
        tensor("y", (1, 3, 3, 2), 1.0),
    ]
    op = ops.Conv2D(name="op", inputs=("x", "w", "b"), outputs=("y",), stride=(1, 1))
    return one_op(op, tensors)


def depthwise() -> Graph:
    tensors = [
        tensor("x", (1, 5, 5, 2), 0.5),
        constant("w", np.ones((1, 3, 3, 4), np.int8), quant(0.5)),
        constant("b", np.ones(4, np.int32), quant(0.25)),
        tensor("y", (1, 3, 3, 4), 1.0),
    ]
    op = ops.DepthwiseConv2D(
        name="op", inputs=("x", "w", "b"), outputs=("y",), multiplier=2, stride=(1, 1)
    )
    return one_op(op, tensors)


def dense() -> Graph:
    tensors = [
        tensor("x", (1, 6), 0.5),
        constant("w", np.ones((4, 6), np.int8), quant(0.5)),
        constant("b", np.ones(4, np.int32), quant(0.25)),
        tensor("y", (1, 4), 1.0),
    ]
    op = ops.FullyConnected(name="op", inputs=("x", "w", "b"), outputs=("y",))
    return one_op(op, tensors)


def pool() -> Graph:
    op = ops.MaxPool2D(name="op", inputs=("x",), outputs=("y",), window=(2, 2), stride=(2, 2))
    return one_op(op, [tensor("x", (1, 4, 4, 2)), tensor("y", (1, 2, 2, 2))])


def add() -> Graph:
    op = ops.Add(name="op", inputs=("a", "b"), outputs=("y",))
    return one_op(op, [tensor("a", (4,)), tensor("b", (4,)), tensor("y", (4,), 2.0)])


def concatenate() -> Graph:
    op = ops.Concatenation(name="op", inputs=("a", "b"), outputs=("y",), axis=0)
    return one_op(op, [tensor("a", (4,)), tensor("b", (4,)), tensor("y", (8,))])


def unary(kind: type[ops.Op], scale: float = 1.0, zero_point: int = 0, **fields: Any) -> Graph:
    op = kind(name="op", inputs=("x",), outputs=("y",), **fields)
    return one_op(op, [tensor("x", (1, 4)), tensor("y", (1, 4), scale, zero_point)])


def softmax() -> Graph:
    return unary(ops.Softmax, 1 / 256, -128)


def leaky() -> Graph:
    return unary(ops.LeakyRelu, alpha=0.5)


def reshape() -> Graph:
    op = ops.Reshape(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [tensor("x", (2, 3)), tensor("y", (6,))])


def resize() -> Graph:
    op = ops.ResizeBilinear(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [tensor("x", (1, 2, 2, 1)), tensor("y", (1, 4, 4, 1))])


def mean() -> Graph:
    op = ops.Mean(name="op", inputs=("x",), outputs=("y",), axes=(1,))
    return one_op(op, [tensor("x", (1, 4)), tensor("y", (1,))])


def pad() -> Graph:
    op = ops.Pad(name="op", inputs=("x",), outputs=("y",), pads=((1, 1),), value=5)
    return one_op(op, [tensor("x", (4,)), tensor("y", (6,))])


def split() -> Graph:
    op = ops.Split(name="op", inputs=("x",), outputs=("y", "z"), axis=0)
    return one_op(op, [tensor("x", (4,)), tensor("y", (2,)), tensor("z", (2,))])


def strided() -> Graph:
    op = ops.Slice(name="op", inputs=("x",), outputs=("y",), begin=(0,), strides=(2,))
    return one_op(op, [tensor("x", (5,)), tensor("y", (3,))])


def transpose_conv() -> Graph:
    tensors = [
        tensor("x", (1, 3, 3, 2), 0.5),
        constant("w", np.ones((2, 3, 3, 2), np.int8), QuantParams((0.5, 0.25), (0, 0), 0)),
        constant("b", np.ones(2, np.int32), QuantParams((0.25, 0.125), (0, 0), 0)),
        tensor("y", (1, 6, 6, 2), 4.0),
    ]
    padding = ops.Padding(0, 1, 0, 1)
    op = ops.TransposeConv2D(
        name="op", inputs=("x", "w", "b"), outputs=("y",), stride=(2, 2), padding=padding
    )
    return one_op(op, tensors)


def average_pool() -> Graph:
    padding = ops.Padding(0, 1, 0, 1)
    op = ops.AveragePool2D(
        name="op", inputs=("x",), outputs=("y",), window=(3, 3), stride=(2, 2), padding=padding
    )
    return one_op(op, [tensor("x", (1, 4, 4, 2)), tensor("y", (1, 2, 2, 2))])


def subtract() -> Graph:
    op = ops.Sub(name="op", inputs=("a", "b"), outputs=("y",))
    b = constant("b", np.ones((1, 1, 2), np.int8), quant(0.5))
    return one_op(op, [tensor("a", (1, 3, 2)), b, tensor("y", (1, 3, 2), 2.0)])


def multiply() -> Graph:
    op = ops.Mul(name="op", inputs=("a", "b"), outputs=("y",), clamp=(0, 127))
    return one_op(op, [tensor("a", (2, 2)), tensor("b", (2, 1)), tensor("y", (2, 2), 2.0)])


def batch_matmul() -> Graph:
    op = ops.BatchMatMul(name="op", inputs=("a", "b"), outputs=("y",), adjoint_b=True)
    return one_op(op, [tensor("a", (2, 3)), tensor("b", (2, 3)), tensor("y", (2, 2))])


def extremum(kind: type[ops.Op]) -> Graph:
    op = kind(name="op", inputs=("a", "b"), outputs=("y",))
    return one_op(op, [tensor("a", (2, 2)), tensor("b", (2, 1)), tensor("y", (2, 2))])


def mirror_pad() -> Graph:
    pads, mode = ((0, 1), (2, 0)), ops.PadMode.REFLECT
    op = ops.Pad(name="op", inputs=("x",), outputs=("y",), pads=pads, mode=mode)
    return one_op(op, [tensor("x", (2, 4)), tensor("y", (3, 6))])


def zero_pad() -> Graph:
    op = ops.Pad(name="op", inputs=("x",), outputs=("y",), pads=((1, 1), (0, 2)))
    return one_op(op, [tensor("x", (2, 4)), tensor("y", (4, 6))])


def prelu() -> Graph:
    alpha = constant("alpha", np.ones((4,), np.int8), quant(0.5))
    op = ops.Prelu(name="op", inputs=("x", "alpha"), outputs=("y",))
    return one_op(op, [tensor("x", (1, 4)), alpha, tensor("y", (1, 4))])


def quantize() -> Graph:
    op = ops.Quantize(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [Tensor("x", (1, 4), DType.FLOAT32), tensor("y", (1, 4))])


def dequantize() -> Graph:
    op = ops.Dequantize(name="op", inputs=("x",), outputs=("y",))
    return one_op(op, [tensor("x", (1, 4)), Tensor("y", (1, 4), DType.FLOAT32)])


def transpose() -> Graph:
    op = ops.Transpose(name="op", inputs=("x",), outputs=("y",), perm=(2, 0, 1))
    return one_op(op, [tensor("x", (2, 3, 4)), tensor("y", (4, 2, 3))])


def split_unequally() -> Graph:
    op = ops.Split(name="op", inputs=("x",), outputs=("y", "z"), axis=1)
    return one_op(op, [tensor("x", (2, 4)), tensor("y", (2, 3)), tensor("z", (2, 1))])


def sliced() -> Graph:
    op = ops.Slice(name="op", inputs=("x",), outputs=("y",), begin=(0, 1), strides=(1, 1))
    return one_op(op, [tensor("x", (2, 4)), tensor("y", (2, 2))])


def resize_nearest() -> Graph:
    op = ops.ResizeNearest(name="op", inputs=("x",), outputs=("y",), half_pixel_centers=True)
    return one_op(op, [tensor("x", (1, 2, 2, 1)), tensor("y", (1, 4, 4, 1))])


SAMPLES: dict[str, Callable[[], Graph]] = {
    "conv": conv,
    "depthwise": depthwise,
    "transpose_conv": transpose_conv,
    "dense": dense,
    "pool": pool,
    "average_pool": average_pool,
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "batch_matmul": batch_matmul,
    "minimum": lambda: extremum(ops.Minimum),
    "maximum": lambda: extremum(ops.Maximum),
    "concatenate": concatenate,
    "softmax": softmax,
    "logistic": lambda: unary(ops.Logistic, 1 / 256, -128),
    "tanh": lambda: unary(ops.Tanh, 1 / 128, 0),
    "hard_swish": lambda: unary(ops.HardSwish),
    "gelu": lambda: unary(ops.Gelu),
    "leaky": leaky,
    "prelu": prelu,
    "requantize": lambda: unary(ops.Requantize, 2.0, 5),
    "relu": lambda: unary(ops.Requantize, 2.0, 5, clamp=(5, 127), float32_ratio=True),
    "quantize": quantize,
    "dequantize": dequantize,
    "reshape": reshape,
    "resize": resize,
    "resize_nearest": resize_nearest,
    "mean": mean,
    "pad": pad,
    "mirror_pad": mirror_pad,
    "zero_pad": zero_pad,
    "split": split,
    "split_unequally": split_unequally,
    "strided": strided,
    "sliced": sliced,
    "transpose": transpose,
}
