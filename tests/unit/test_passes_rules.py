"""What each small rewriting does, and where it must not: kinds of operators before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.equivalence import assert_same_bits
from tests.support.graph_builder import GraphBuilder
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Padding, PadMode
from tinyvision.ir.types import DType
from tinyvision.passes.crop_kernels import crop_kernels
from tinyvision.passes.edge_quantize import edge_quantize
from tinyvision.passes.fold_constants import fold_constants
from tinyvision.passes.fold_pads import fold_pads
from tinyvision.passes.fuse_activations import fuse_activations
from tinyvision.passes.pipeline import Pass
from tinyvision.passes.remove_identities import remove_identities
from tinyvision.passes.remove_reshapes import remove_reshapes
from tinyvision.passes.tables import tables

Q = (0.05, 3)


def kinds_after(transform: Pass, graph: Graph) -> list[str]:
    """The operators that are left, by kind, in order; not a bit may have changed."""
    after = transform(graph)
    assert_same_bits(graph, after)
    kinds = [op.kind for op in after.ops]
    if kinds == [op.kind for op in graph.ops]:
        assert after is graph
    return kinds


def conv(b: GraphBuilder, x: str, kernel: int = 1, **attributes: Any) -> str:
    rng = np.random.default_rng(len(b.ops))
    weights = rng.integers(-127, 128, (4, kernel, kernel, b.shape(x)[3]))
    return b.weighted(
        ops.Conv2D, x, weights, stride=(1, 1), quant=attributes.pop("quant", Q), **attributes
    )


# edge_quantize


@pytest.mark.parametrize("moved", [False, True])
def test_float_edges(moved: bool) -> None:
    b = GraphBuilder()
    x = b.input((1, 48) if moved else (1, 4, 4, 3), None, DType.FLOAT32)
    y = b.op(ops.Reshape, x, shape=(1, 4, 4, 3), dtype=DType.FLOAT32) if moved else x
    y = conv(b, b.op(ops.Quantize, y, quant=Q))
    y = b.op(ops.Dequantize, y, dtype=DType.FLOAT32)
    y = b.op(ops.Reshape, y, shape=(1, 64), dtype=DType.FLOAT32) if moved else y
    graph = b.build(y)
    expected = ["Reshape", "Conv2D", "Reshape"] if moved else ["Conv2D"]
    assert kinds_after(edge_quantize, graph) == expected
    after = edge_quantize(graph)
    assert after.interface == {x: DType.FLOAT32, y: DType.FLOAT32}
    assert after.tensor(x).dtype is after.tensor(y).dtype is DType.INT8


def test_uint8_edges() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3), (0.05, 131), DType.UINT8)
    y = conv(b, b.op(ops.Requantize, x, quant=(0.05, 3)))
    y = b.op(ops.Requantize, y, quant=(0.06, 200), dtype=DType.UINT8, clamp=(10, 255))
    graph = b.build(y)
    after = edge_quantize(graph)
    assert_same_bits(graph, after)
    assert after.interface == {x: DType.UINT8, y: DType.UINT8}
    assert after.ops[-1].clamp == (-118, 127)  # type: ignore[attr-defined]
    assert [op.kind for op in remove_identities(after).ops] == ["Conv2D", "Requantize"]


def test_quantizations_that_differ_stay() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3), None, DType.FLOAT32)
    first, second = b.op(ops.Quantize, x, quant=Q), b.op(ops.Quantize, x, quant=(0.1, 0))
    graph = b.build(conv(b, first), conv(b, second))
    assert edge_quantize(graph) is graph


def test_equal_quantizations_are_one() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3), None, DType.FLOAT32)
    first, second = b.op(ops.Quantize, x, quant=Q), b.op(ops.Quantize, x, quant=Q)
    graph = b.build(conv(b, first), conv(b, second))
    assert kinds_after(edge_quantize, graph) == ["Conv2D", "Conv2D"]


def test_a_tensor_that_leaves_as_int8_and_as_float_keeps_its_dequantize() -> None:
    b = GraphBuilder()
    y = conv(b, b.input((1, 4, 4, 3)))
    graph = b.build(y, b.op(ops.Dequantize, y, dtype=DType.FLOAT32))
    assert edge_quantize(graph) is graph


# fold_constants


def test_constants_are_computed_and_shrunk() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3))
    ones = b.op(ops.Logistic, b.constant(np.full((1, 4, 4, 3), 9), Q), quant=(1 / 256, -128))
    graph = b.build(b.op(ops.Mul, x, ones, quant=Q))
    assert kinds_after(fold_constants, graph) == ["Mul"]
    after = fold_constants(graph)
    assert after.tensor(after.ops[0].inputs[1]).shape == (1, 1, 1, 1)
    assert kinds_after(tables, after) == ["Lookup"]


def test_a_constant_branch_disappears_with_what_feeds_it() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 4))
    dead = b.weighted(ops.Conv2D, x, np.zeros((4, 1, 1, 4)), np.arange(4) * 999, stride=(1, 1))
    dead = b.op(ops.MaxPool2D, dead, window=(2, 2), stride=(1, 1), padding=Padding(1, 0, 1, 0))
    graph = b.build(b.op(ops.Add, x, dead, quant=Q))
    assert kinds_after(fold_constants, graph) == ["Add"]
    after = fold_constants(graph)
    assert after.tensor(after.ops[0].inputs[1]).shape == (1, 1, 1, 4)


def test_constant_outputs_and_what_cannot_take_a_constant_stay() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 4))
    dead = b.weighted(ops.Conv2D, x, np.zeros((4, 1, 1, 4)), np.arange(4) * 999, stride=(1, 1))
    graph = b.build(conv(b, dead))
    assert fold_constants(graph) is graph


# fold_pads


def padded(kind: str, value: int, pads: tuple[tuple[int, int], ...], also_read: bool) -> Graph:
    b = GraphBuilder()
    x = b.op(ops.Pad, b.input((1, 7, 6, 3), Q), pads=pads, value=value)
    outputs = [x] if also_read else []
    if kind == "conv":
        y = conv(b, x, kernel=3, padding=Padding(0, 1, 0, 1))
    elif kind == "depthwise":
        weights = np.random.default_rng(0).integers(-127, 128, (1, 3, 3, 3))
        y = b.weighted(ops.DepthwiseConv2D, x, weights, stride=(2, 2))
    elif kind == "max":
        y = b.op(ops.MaxPool2D, x, window=(3, 3), stride=(2, 2))
    else:
        y = b.op(ops.AveragePool2D, x, window=(3, 3), stride=(2, 2))
    return b.build(y, *outputs)


ONE = ((0, 0), (1, 1), (1, 0), (0, 0))


@pytest.mark.parametrize(
    ("kind", "value", "pads", "also_read", "folds"),
    [
        ("conv", 3, ONE, False, True),
        ("depthwise", 3, ONE, False, True),
        ("max", -128, ONE, False, True),
        ("max", 3, ONE, False, False),
        ("average", 3, ONE, False, False),
        ("conv", 0, ONE, False, False),
        ("conv", 3, ONE, True, False),
        ("conv", 3, ((0, 0), (0, 2), (0, 0), (0, 0)), False, False),
        ("conv", 3, ((0, 0), (1, 1), (1, 1), (1, 0)), False, False),
        ("conv", 3, ((1, 0), (1, 1), (1, 1), (0, 0)), False, False),
    ],
)
def test_pads(
    kind: str, value: int, pads: tuple[tuple[int, int], ...], also_read: bool, folds: bool
) -> None:
    graph = padded(kind, value, pads, also_read)
    assert ("Pad" not in kinds_after(fold_pads, graph)) == folds


def test_a_pad_with_several_consumers_folds_into_all_or_none() -> None:
    b = GraphBuilder()
    x = b.op(ops.Pad, b.input((1, 5, 5, 3), Q), pads=ONE, value=3)
    both = b.build(conv(b, x, kernel=3), conv(b, x, kernel=2))
    assert kinds_after(fold_pads, both) == ["Conv2D", "Conv2D"]
    one = b.build(*both.outputs, b.op(ops.Logistic, x, quant=(1 / 256, -128)))
    assert fold_pads(one) is one


# crop_kernels


@pytest.mark.parametrize("kind", [ops.Conv2D, ops.DepthwiseConv2D])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pad", "cropped"),
    [
        ((3, 3), (7, 7), 1, 1, (3, 3, 3, 3), (5, 5)),
        ((5, 3), (7, 7), 1, 1, (3, 3, 3, 3), (7, 5)),
        ((1, 1), (3, 3), 1, 1, (1, 1, 1, 1), (1, 1)),
        ((1, 4), (3, 3), 2, 1, (1, 1, 0, 1), (1, 3)),
        ((2, 9), (5, 3), 1, 2, (4, 4, 2, 2), (1, 3)),
        ((3, 3), (5, 5), 1, 1, (4, 0, 0, 4), (3, 3)),
        ((3, 3), (2, 3), 1, 3, (1, 2, 2, 4), (2, 2)),
        ((9, 9), (7, 7), 1, 1, (3, 3, 3, 3), (7, 7)),
        ((1, 3), (5, 3), 4, 1, (4, 4, 1, 1), (5, 2)),
    ],
)
def test_taps_that_only_meet_padding(
    kind: type[ops.Op],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    dilation: int,
    pad: tuple[int, int, int, int],
    cropped: tuple[int, int],
) -> None:
    b = GraphBuilder()
    x = b.input((1, *size, 4), Q)
    lead = 4 if kind is ops.Conv2D else 1
    weights = np.random.default_rng(0).integers(-127, 128, (lead, *kernel, 4))
    y = b.weighted(
        kind,
        x,
        weights,
        stride=(stride, stride),
        dilation=(dilation, dilation),
        padding=Padding(*pad),
        quant=Q,
    )
    graph = b.build(y)
    after = crop_kernels(graph)
    assert_same_bits(graph, after)
    assert after.tensor(after.ops[0].inputs[1]).shape[1:3] == cropped
    assert (after is graph) == (kernel == cropped)


# fuse_activations


def test_clamps_and_shifts_go_into_the_convolution() -> None:
    b = GraphBuilder()
    y = conv(b, b.input((1, 4, 4, 3)), quant=(0.05, -30), clamp=(-100, 120))
    y = b.op(ops.Maximum, y, b.constant(np.array([-40]), (0.05, -30)))
    y = b.op(ops.Requantize, y, quant=(0.05, 10), clamp=(10, 99))
    graph = b.build(y)
    assert kinds_after(fuse_activations, graph) == ["Conv2D"]
    fused = fuse_activations(graph)
    assert fused.ops[0].clamp == (10, 99)  # type: ignore[attr-defined]
    assert fused.tensor(y).zero_point == 10


def test_a_pool_takes_a_clamp_but_no_shift() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3), Q)
    pool = b.op(ops.MaxPool2D, x, window=(2, 2), stride=(2, 2))
    clamped = b.build(b.op(ops.Requantize, pool, quant=Q, clamp=(3, 127)))
    assert kinds_after(fuse_activations, clamped) == ["MaxPool2D"]
    b.ops.pop()
    shifted = b.build(b.op(ops.Requantize, pool, quant=(0.05, 20)))
    assert fuse_activations(shifted) is shifted


def test_what_is_no_clamp_or_is_read_elsewhere_stays() -> None:
    b = GraphBuilder()
    y = conv(b, b.input((1, 4, 4, 3)))
    rescaled = b.build(b.op(ops.Requantize, y, quant=(0.0501, 3)))
    assert fuse_activations(rescaled) is rescaled
    b.ops.pop()
    shared = b.build(b.op(ops.Requantize, y, quant=Q, clamp=(3, 127)), y)
    assert fuse_activations(shared) is shared


# remove_identities


def test_nothing_is_left_of_identities() -> None:
    b = GraphBuilder()
    x = conv(b, b.input((1, 4, 6, 3)))
    y = b.op(ops.Slice, x, begin=(0,) * 4, strides=(1,) * 4, shape=b.shape(x))
    y = b.op(ops.Pad, y, pads=((0, 0),) * 4, value=9)
    y = b.op(ops.MaxPool2D, y, window=(1, 1), stride=(1, 1))
    y = b.op(ops.Concatenation, y, axis=3)
    (y,) = b.split(y, (4,), 3)
    y = b.op(ops.Transpose, y, perm=(0, 1, 2, 3))
    y = b.op(ops.Reshape, y, shape=b.shape(x))
    y = b.op(ops.Requantize, y, quant=Q)
    y = b.op(ops.Minimum, y, b.constant(np.array(127), Q))
    graph = b.build(y)
    assert kinds_after(remove_identities, graph) == ["Conv2D"]


@pytest.mark.parametrize(
    ("clamp", "left"), [((-20, 90), ["Conv2D", "Requantize"]), ((-60, 127), ["Conv2D"])]
)
def test_a_clamp_beyond_the_reachable_is_none(clamp: tuple[int, int], left: list[str]) -> None:
    b = GraphBuilder()
    x = conv(b, b.input((1, 4, 6, 3)), clamp=(-50, 100))
    graph = b.build(b.op(ops.Requantize, x, quant=Q, clamp=clamp))
    assert kinds_after(remove_identities, graph) == left


def test_what_reverses_is_no_identity() -> None:
    b = GraphBuilder()
    x = conv(b, b.input((1, 4, 6, 3)))
    y = b.op(ops.Slice, x, begin=(0, 3, 0, 0), strides=(1, -1, 1, 1), shape=b.shape(x))
    graph = b.build(y)
    assert remove_identities(graph) is graph


def test_split_and_concatenation_in_order_only() -> None:
    b = GraphBuilder()
    first, second = b.split(b.input((1, 4, 6, 4)), (2, 2), 3)
    graph = b.build(conv(b, b.op(ops.Concatenation, first, second, axis=3)))
    assert kinds_after(remove_identities, graph) == ["Split", "Conv2D"]
    b.ops = b.ops[:1]
    swapped = b.build(conv(b, b.op(ops.Concatenation, second, first, axis=3)))
    assert remove_identities(swapped) is swapped


def test_nested_concatenations_along_one_axis() -> None:
    b = GraphBuilder()
    x, y, z = (b.input((1, 2, 4, 4)) for _ in range(3))
    inner = b.op(ops.Concatenation, y, z, axis=3)
    graph = b.build(b.op(ops.Concatenation, x, inner, y, axis=3))
    assert kinds_after(remove_identities, graph) == ["Concatenation"]
    b.ops.clear()
    other = b.op(ops.Concatenation, y, z, axis=1)
    wide = b.op(ops.Concatenation, other, other, axis=3)
    crossed = b.build(wide)
    assert remove_identities(crossed) is crossed
    b.ops.pop()
    turned = b.op(ops.Concatenation, other, b.input((1, 4, 4, 1)), axis=3)
    crossed = b.build(turned)
    assert remove_identities(crossed) is crossed


def test_nested_slices() -> None:
    b = GraphBuilder()
    x = b.input((1, 9, 6, 4))
    y = b.op(ops.Slice, x, begin=(0, 8, 1, 0), strides=(1, -2, 1, 1), shape=(1, 4, 5, 4))
    y = b.op(ops.Slice, y, begin=(0, 1, 0, 1), strides=(1, 2, 3, 1), shape=(1, 2, 2, 3))
    assert kinds_after(remove_identities, b.build(y)) == ["Slice"]


@pytest.mark.parametrize(
    ("value", "mode", "left"),
    [
        (5, PadMode.CONSTANT, ["Pad"]),
        (6, PadMode.CONSTANT, ["Pad", "Pad"]),
        (0, PadMode.REFLECT, ["Pad", "Pad"]),
    ],
)
def test_nested_pads(value: int, mode: PadMode, left: list[str]) -> None:
    b = GraphBuilder()
    x = b.op(ops.Pad, b.input((1, 3, 3, 2)), pads=ONE, value=value, mode=mode)
    graph = b.build(b.op(ops.Pad, x, pads=((0, 0), (0, 2), (1, 1), (1, 0)), value=5))
    assert kinds_after(remove_identities, graph) == left


# remove_reshapes


def test_reshapes_around_fully_connected_and_mean() -> None:
    b = GraphBuilder()
    x = b.op(ops.Mean, b.input((1, 4, 4, 3)), axes=(1, 2), keep_dims=True)
    x = b.op(ops.Reshape, x, shape=(1, 3))
    y = b.weighted(ops.FullyConnected, x, np.ones((8, 3)))
    y = b.op(ops.Reshape, y, shape=(1, 1, 1, 8))
    assert kinds_after(remove_reshapes, b.build(y)) == ["Mean", "FullyConnected"]


def test_mean_takes_the_axes_of_the_reshape() -> None:
    b = GraphBuilder()
    x = b.op(ops.Mean, b.input((1, 4, 5, 3)), axes=(1, 2), keep_dims=True)
    y = b.op(ops.Softmax, b.op(ops.Reshape, x, shape=(1, 3)), quant=(1 / 256, -128))
    assert kinds_after(remove_reshapes, b.build(y)) == ["Mean", "Softmax"]


def test_transposes() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 5, 3))
    y = b.op(ops.Transpose, x, perm=(0, 3, 1, 2))
    y = b.op(ops.Transpose, y, perm=(0, 1, 3, 2))
    assert kinds_after(remove_reshapes, b.build(y)) == ["Transpose"]
    z = b.op(ops.Transpose, b.input((4, 1, 5, 1)), perm=(1, 0, 3, 2))
    z = b.op(ops.Reshape, z, shape=(4, 5))
    b.ops = b.ops[-2:]
    assert kinds_after(remove_reshapes, b.build(z)) == ["Reshape"]


@pytest.mark.parametrize("keep_dims", [False, True])
def test_a_mean_over_transposed_axes(keep_dims: bool) -> None:
    b = GraphBuilder()
    x = b.op(ops.Transpose, b.input((2, 4, 5, 3)), perm=(0, 3, 1, 2))
    x = b.op(ops.Mean, x, axes=(3,), keep_dims=keep_dims)
    y = b.op(ops.Mean, x, axes=(2,), keep_dims=keep_dims)
    left = kinds_after(lambda graph: remove_identities(remove_reshapes(graph)), b.build(y))
    assert left == (["Mean", "Mean", "Reshape"] if keep_dims else ["Mean", "Mean"])


def test_functions_move_up_to_what_absorbs_them() -> None:
    b = GraphBuilder()
    x = conv(b, b.input((1, 4, 4, 3)))
    y = b.op(ops.Reshape, x, shape=(1, 64))
    y = b.op(ops.Requantize, y, quant=Q, clamp=(3, 127))
    graph = b.build(b.weighted(ops.FullyConnected, y, np.ones((2, 64))))
    moved = remove_reshapes(graph)
    assert_same_bits(graph, moved)
    assert [op.kind for op in moved.ops] == ["Conv2D", "Requantize", "FullyConnected"]
    assert kinds_after(fuse_activations, moved) == ["Conv2D", "FullyConnected"]


def test_an_operand_of_other_rank_keeps_a_function_where_it_is() -> None:
    b = GraphBuilder()
    x = b.op(ops.Reshape, b.input((2, 8)), shape=(1, 4, 4, 1))
    y = b.op(ops.Add, x, b.constant(np.full((1, 1, 1, 1), 9), Q), quant=(0.1, 0))
    graph = b.build(y)
    assert remove_reshapes(graph) is graph


# tables


def test_chains_of_functions_become_one_table() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3), (0.05, 131), DType.UINT8)
    y = b.op(ops.Requantize, x, quant=Q)
    y = b.op(ops.HardSwish, y, quant=(0.04, -100))
    y = b.op(ops.Mul, b.constant(np.array(77), (0.01, 3)), y, quant=(0.02, 0))
    y = b.op(ops.Add, y, y, quant=(0.05, 0))
    y = b.op(ops.Requantize, y, quant=(0.05, 128), dtype=DType.UINT8, clamp=(0, 255))
    assert kinds_after(tables, b.build(y)) == ["Lookup"]


def test_a_table_that_others_read_stays() -> None:
    b = GraphBuilder()
    first = b.op(ops.Tanh, b.input((1, 4, 4, 3)), quant=(1 / 128, 0))
    second = b.op(ops.LeakyRelu, first, quant=Q, alpha=0.3)
    graph = b.build(conv(b, first), second)
    assert kinds_after(tables, graph) == ["Lookup", "Lookup", "Conv2D"]


def test_operands_with_several_values_have_no_table() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 3))
    graph = b.build(b.op(ops.Add, x, b.constant(np.array([1, 2, 3]), Q), quant=Q))
    assert tables(graph) is graph
