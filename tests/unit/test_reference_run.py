"""Running whole graphs: feeds and reads in external element types, every tensor, errors, time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.one_op import (
    assert_equals_tflite,
    constant,
    one_op,
    quant,
    random_inputs,
    tensor,
)
from tests.support.op_strategies import SCALES, SEEDS, ZERO_POINTS
from tinyvision.ir import ops, reference
from tinyvision.ir.types import DType, Tensor

EDGES = st.sampled_from((None, DType.FLOAT32, DType.UINT8))


def maximum(shape, scale=0.5, zero_point=0):
    """A graph of two inputs that computes next to nothing."""
    params = quant(scale, zero_point)
    tensors = [Tensor(name, shape, DType.INT8, params) for name in "aby"]
    return one_op(ops.Maximum(name="op", inputs=("a", "b"), outputs=("y",)), tensors)


@given(SCALES, ZERO_POINTS, EDGES, EDGES, EDGES, SEEDS)
def test_edges_convert_as_quantize_and_dequantize_do(scale, zero_point, a, b, y, seed):
    interface = {name: dtype for name, dtype in zip("aby", (a, b, y), strict=True) if dtype}
    graph = replace(maximum((3, 50), scale, zero_point), interface=interface)
    assert_equals_tflite(graph, random_inputs(graph, np.random.default_rng(seed)))


@given(SCALES, ZERO_POINTS, st.integers(-260, 260))
def test_ties_at_a_float_input_are_rounded_away_from_zero(scale, zero_point, half_steps):
    graph = replace(maximum((1, 1), scale, zero_point), interface={"a": DType.FLOAT32})
    x = np.float32(half_steps * 0.5) * np.float32(scale)
    fed = np.array([[np.nextafter(x, np.float32(0))], [x], [np.nextafter(x, np.float32(np.inf))]])
    for value in fed:
        assert_equals_tflite(graph, [value.reshape(1, 1), np.full((1, 1), -128, np.int8)])


def test_float_inputs_saturate_and_nan_is_the_zero_point():
    """C leaves these undefined (x86 gives -128 or 127 by accident); here they are as on Arm."""
    graph = replace(maximum((1, 5), 0.5, -5), interface={"a": DType.FLOAT32})
    values = np.array([[1e30, -1e30, np.inf, -np.inf, np.nan]], np.float32)
    y = reference.run(graph, [values, np.full((1, 5), -128, np.int8)])[0]
    np.testing.assert_array_equal(y, [[127, -128, 127, -128, -5]])


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8])
def test_lookup(dtype):
    info = np.iinfo(dtype.numpy)
    values = np.random.default_rng(0).integers(info.min, info.max + 1, 256).astype(dtype.numpy)
    tensors = [
        tensor("x", (2, 256), dtype=dtype),
        constant("table", values, quant(1.0)),
        tensor("y", (2, 256), dtype=dtype),
    ]
    graph = one_op(ops.Lookup(name="op", inputs=("x", "table"), outputs=("y",)), tensors)
    x = np.arange(info.min, info.max + 1).astype(dtype.numpy)
    y = reference.run(graph, [np.stack([x, x[::-1]])])[0]
    np.testing.assert_array_equal(y, np.stack([values, values[::-1]]))


@given(SCALES, ZERO_POINTS, SCALES, ZERO_POINTS)
def test_lookup_stands_in_for_a_unary_operator(x_scale, x_zero, y_scale, y_zero):
    x, y = tensor("x", (256,), x_scale, x_zero), tensor("y", (256,), y_scale, y_zero)
    op = ops.HardSwish(name="op", inputs=("x",), outputs=("y",))
    unary = one_op(op, [x, y])
    values = np.arange(-128, 128).astype(np.int8)
    (table,) = reference.evaluate(unary, op, [values])
    lookup = one_op(
        ops.Lookup(name="op", inputs=("x", "table"), outputs=("y",)),
        [x, constant("table", table), y],
    )
    np.testing.assert_array_equal(
        reference.run(lookup, [values[::-1]])[0], reference.run(unary, [values[::-1]])[0]
    )


def test_inputs_by_name_and_every_tensor():
    graph = maximum((1, 2))
    a, b = np.array([[1, 5]], np.int8), np.array([[3, -4]], np.int8)
    values = reference.run_all(graph, {"b": b, "a": a})
    assert set(values) == {"a", "b", "y"}
    np.testing.assert_array_equal(values["b"], b)
    np.testing.assert_array_equal(values["y"], [[3, 5]])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([np.zeros((1, 2), np.int8)], "takes 2 inputs, got 1"),
        ({"a": np.zeros((1, 2), np.int8)}, "takes"),
        ([np.zeros((1, 2), np.int8), np.zeros((2, 1), np.int8)], "'b' is int8"),
        ([np.zeros((1, 2), np.float32), np.zeros((1, 2), np.int8)], "'a' is int8"),
    ],
)
def test_wrong_feeds_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        reference.run(maximum((1, 2)), inputs)


def test_an_output_of_another_shape_is_refused():
    op = ops.Transpose(name="op", inputs=("x",), outputs=("y",), perm=(1, 0))
    graph = one_op(op, [tensor("x", (2, 3)), tensor("y", (2, 3))])
    with pytest.raises(ValueError, match="'op' gives"):
        reference.run(graph, [np.zeros((2, 3), np.int8)])


def test_softmax_of_equal_and_of_distant_values():
    """One dominating value takes everything, two equal ones share, ten split evenly."""
    op = ops.Softmax(name="op", inputs=("x",), outputs=("y",))
    graph = one_op(op, [tensor("x", (3, 10), 1.0), tensor("y", (3, 10), 1 / 256, -128)])
    x = np.full((3, 10), -128, np.int8)
    x[0, 3] = 127
    x[1, 2] = x[1, 7] = 100
    y = reference.run(graph, [x])[0].astype(int) + 128
    assert list(y[0]) == [0, 0, 0, 255] + [0] * 6
    assert list(y[1]) == [0, 0, 128, 0, 0, 0, 0, 128, 0, 0]
    assert set(y[2]) == {26}


def test_softmax_of_more_values_than_it_can_tell_apart():
    """600 equal values have 1/600 each, which rounds to 0."""
    op = ops.Softmax(name="op", inputs=("x",), outputs=("y",))
    graph = one_op(op, [tensor("x", (1, 600), 0.1), tensor("y", (1, 600), 1 / 256, -128)])
    assert set(reference.run(graph, [np.zeros((1, 600), np.int8)])[0].flat) == {-128}
    few = one_op(op, [tensor("x", (1, 511), 0.1), tensor("y", (1, 511), 1 / 256, -128)])
    assert_equals_tflite(few, [np.zeros((1, 511), np.int8)])


@pytest.mark.parametrize("scale", [1e-8, 1e-6, 0.1, 100.0])
@pytest.mark.parametrize("ratio", [0.01, 1.0, 450.0, 600.0, 5000.0])
def test_hard_swish_of_extreme_scales(scale, ratio):
    """Shifts of 16 bits and more in 16-bit arithmetic."""
    op = ops.HardSwish(name="op", inputs=("x",), outputs=("y",))
    graph = one_op(op, [tensor("x", (256,), scale, 3), tensor("y", (256,), scale * ratio, -5)])
    assert_equals_tflite(graph, [np.arange(-128, 128).astype(np.int8)])


@pytest.mark.parametrize("scale", [2**-25, 1e-4, 9.0, 17.0, 33.0, 1e4])
def test_softmax_of_extreme_scales(scale):
    op = ops.Softmax(name="op", inputs=("x",), outputs=("y",))
    graph = one_op(op, [tensor("x", (4, 6), scale), tensor("y", (4, 6), 1 / 256, -128)])
    x = np.random.default_rng(0).integers(-128, 128, (4, 6), np.int8)
    x[0], x[1, :2] = 5, (126, 127)
    assert_equals_tflite(graph, [x])


@pytest.mark.parametrize("scale", [1e-6, 10.0, 1000.0])
@pytest.mark.parametrize("kind", [ops.Logistic, ops.Tanh])
def test_sigmoids_of_extreme_scales(kind, scale):
    fixed = (1 / 256, -128) if kind is ops.Logistic else (1 / 128, 0)
    op = kind(name="op", inputs=("x",), outputs=("y",))
    graph = one_op(op, [tensor("x", (256,), scale, 3), tensor("y", (256,), *fixed)])
    assert_equals_tflite(graph, [np.arange(-128, 128).astype(np.int8)])


@pytest.mark.parametrize("ratio", [1e-9, 1e-6, 1e3, 1e9])
@pytest.mark.parametrize("alpha", [0.0, 0.25, 100.0])
def test_leaky_relu_of_extreme_scales(alpha, ratio):
    """Left shifts wrap in 32 bits; right shifts beyond 31 give zero."""
    op = ops.LeakyRelu(name="op", inputs=("x",), outputs=("y",), alpha=alpha)
    graph = one_op(op, [tensor("x", (256,), 0.05, 3), tensor("y", (256,), 0.05 * ratio, -5)])
    if alpha / ratio < 2**30:
        assert_equals_tflite(graph, [np.arange(-128, 128).astype(np.int8)])


def test_resize_never_leaves_its_input():
    """3 to 5000: the step of 0.6 / 1024 is rounded to 1 / 1024 and runs past the end."""
    op = ops.ResizeBilinear(name="op", inputs=("x",), outputs=("y",))
    graph = one_op(op, [tensor("x", (1, 1, 3, 1)), tensor("y", (1, 1, 5000, 1))])
    x = np.array([10, 20, 30], np.int8).reshape(1, 1, 3, 1)
    y = reference.run(graph, [x])[0].ravel()
    assert y[0] == 10 and set(y[2048:]) == {30}


def test_convolution_is_fast():
    """4.7 million multiplications, a sample of the size of a small network."""
    rng = np.random.default_rng(0)
    op = ops.Conv2D(
        name="op",
        inputs=("x", "w", "b"),
        outputs=("y",),
        stride=(1, 1),
        padding=ops.Padding(1, 1, 1, 1),
    )
    tensors = [
        tensor("x", (1, 32, 32, 16), 0.02, -3),
        constant("w", rng.integers(-127, 128, (32, 3, 3, 16), np.int8), quant(0.01)),
        constant("b", rng.integers(-999, 999, 32, np.int32), quant(0.0002)),
        tensor("y", (1, 32, 32, 32), 0.1, 7),
    ]
    graph = one_op(op, tensors)
    inputs = random_inputs(graph, rng)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        reference.run(graph, inputs)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25
