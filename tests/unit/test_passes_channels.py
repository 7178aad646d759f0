"""Dead- and constant-channel elimination, one situation a test."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.equivalence import assert_same_bits
from tests.support.graph_builder import GraphBuilder
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Padding
from tinyvision.ir.types import Array
from tinyvision.passes.dead_channels import dead_channels
from tinyvision.passes.ranges import ranges

ZERO_POINT = 7
# What a channel without weights holds: the bias below, requantized, and the zero point.
QUANT = (0.05, ZERO_POINT)


class Net(GraphBuilder):
    """Convolutions with random weights, some of whose rows or columns are zero."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def noise(self, *shape: int) -> Array:
        values = self.rng.integers(1, 128, shape)
        signed: Array = values * self.rng.choice([-1, 1], shape)
        return signed

    def conv(
        self,
        x: str,
        outputs: int,
        dead: tuple[int, ...] = (),
        unread: tuple[int, ...] = (),
        kernel: int = 1,
        pad: int = 0,
        bias: int = 4000,
    ) -> str:
        """Outputs ``dead`` have no weights and bias ``bias``, inputs ``unread`` no weights."""
        weights = self.noise(outputs, kernel, kernel, self.shape(x)[3])
        weights[list(dead)] = 0
        weights[..., list(unread)] = 0
        biases = self.rng.integers(-2000, 2000, outputs)
        biases[list(dead)] = bias
        return self.weighted(
            ops.Conv2D,
            x,
            weights,
            biases,
            stride=(1, 1),
            padding=Padding(pad, pad, pad, pad),
            quant=QUANT,
            scales=tuple(0.003 + 0.001 * i for i in range(outputs)),
        )

    def depthwise(self, x: str, multiplier: int = 1, dead: tuple[int, ...] = ()) -> str:
        outputs = self.shape(x)[3] * multiplier
        weights = self.noise(1, 3, 3, outputs)
        weights[..., list(dead)] = 0
        return self.weighted(
            ops.DepthwiseConv2D,
            x,
            weights,
            self.rng.integers(-2000, 2000, outputs),
            stride=(1, 1),
            padding=Padding(1, 1, 1, 1),
            multiplier=multiplier,
            quant=QUANT,
            scales=(0.004,),
        )


def channels_after(graph: Graph) -> dict[str, int]:
    """Channels of each computed tensor after the pass, which must not change a bit."""
    after = dead_channels(graph)
    assert_same_bits(graph, after)
    return {name: after.tensor(name).shape[-1] for op in after.ops for name in op.outputs}


def test_nothing_to_do_returns_the_graph_itself() -> None:
    b = Net()
    graph = b.build(b.conv(b.conv(b.input((1, 4, 4, 3)), 4), 2))
    assert dead_channels(graph) is graph


def test_constants_go_into_the_bias() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 6, dead=(0, 3, 4))
    y = b.conv(a, 2)
    known = ranges(b.build(y))[a]
    assert list(np.flatnonzero(known.is_constant)) == [0, 3, 4]
    assert known.low[0] != ZERO_POINT
    assert channels_after(b.build(y)) == {a: 3, y: 2}


@pytest.mark.parametrize(("bias", "left"), [(4000, 6), (0, 3)])
def test_a_constant_passes_a_border_only_if_it_is_the_zero_point(bias: int, left: int) -> None:
    b = Net()
    a = b.conv(b.input((1, 5, 4, 3)), 6, dead=(1, 2, 5), bias=bias)
    y = b.conv(a, 2, kernel=3, pad=1)
    assert channels_after(b.build(y)) == {a: left, y: 2}


@pytest.mark.parametrize(("bias", "left"), [(4000, 6), (0, 3)])
def test_transposed_convolution_has_borders_everywhere(bias: int, left: int) -> None:
    b = Net()
    a = b.conv(b.input((1, 5, 4, 3)), 6, dead=(1, 2, 5), bias=bias)
    y = b.weighted(ops.TransposeConv2D, a, b.noise(2, 3, 3, 6), stride=(2, 2))
    z = b.conv(y, 2)
    assert channels_after(b.build(z))[a] == left


def test_a_transposed_convolution_of_a_constant_is_not_constant() -> None:
    """Its outputs see different parts of the kernel, so a saturated bound must not be assumed."""
    b = Net()
    a = b.conv(b.input((1, 4, 4, 1)), 1, dead=(0,), bias=-4000)
    y = b.weighted(ops.TransposeConv2D, a, np.full((3, 2, 2, 1), 100), stride=(3, 3))
    known = ranges(b.build(b.conv(y, 2)))[y]
    assert not known.is_constant.any()


def test_saturated_channels_are_constant() -> None:
    b = Net()
    x = b.input((1, 4, 4, 2), QUANT)
    weights, bias = b.noise(4, 1, 1, 2), np.array([0, 10**6, -(10**6), 0])
    a = b.weighted(ops.Conv2D, x, weights, bias, stride=(1, 1), quant=QUANT, clamp=(-20, 90))
    y = b.conv(a, 2)
    known = ranges(b.build(y))[a]
    assert list(zip(known.low, known.high, strict=True))[1:3] == [(90, 90), (-20, -20)]
    assert channels_after(b.build(y)) == {a: 2, y: 2}


def test_channels_that_nobody_reads() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 6)
    d = b.depthwise(a)
    y = b.conv(d, 2, unread=(0, 5))
    assert channels_after(b.build(y)) == {a: 4, d: 4, y: 2}


def test_what_only_dead_channels_read_is_dead() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 4)
    middle = b.weighted(
        ops.Conv2D, a, np.eye(4).reshape(4, 1, 1, 4) * 99, stride=(1, 1), quant=QUANT
    )
    y = b.conv(middle, 2, unread=(1, 2))
    assert channels_after(b.build(y)) == {a: 2, middle: 2, y: 2}


def test_depthwise_with_multiplier_removes_whole_groups() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 4)
    d = b.depthwise(a, multiplier=2)
    y = b.conv(d, 2, unread=(2, 3, 4))
    assert channels_after(b.build(y)) == {a: 3, d: 6, y: 2}


def test_depthwise_of_one_channel_loses_single_outputs() -> None:
    b = Net()
    d = b.depthwise(b.input((1, 4, 4, 1)), multiplier=5, dead=(1, 4))
    y = b.conv(d, 2)
    assert channels_after(b.build(y)) == {d: 3, y: 2}


def test_both_sides_of_an_addition_agree() -> None:
    b = Net()
    x = b.conv(b.input((1, 4, 4, 3)), 5, dead=(0, 1))
    branch = b.conv(x, 5, dead=(1, 2))
    total = b.op(ops.Add, branch, x, quant=QUANT)
    y = b.conv(total, 2)
    assert channels_after(b.build(y)) == {x: 4, branch: 4, total: 4, y: 2}


def test_constant_operands_shrink() -> None:
    b = Net()
    x = b.conv(b.input((1, 4, 4, 3)), 5, dead=(0, 3))
    alpha = b.constant(b.noise(1, 1, 5), (0.01, 0))
    rectified = b.op(ops.Prelu, x, alpha, quant=QUANT)
    factor = b.constant(b.noise(5), (0.01, 3))
    product = b.op(ops.Mul, factor, rectified, quant=QUANT)
    y = b.conv(product, 2)
    assert channels_after(b.build(y)) == {x: 3, rectified: 3, product: 3, y: 2}


@pytest.mark.parametrize("reshaped", [True, False])
def test_fully_connected_reads_a_channel_many_times(reshaped: bool) -> None:
    b = Net()
    a = b.conv(b.input((1, 2, 3, 3)), 4, dead=(1,))
    flat = b.op(ops.Reshape, a, shape=(1, 24)) if reshaped else a
    y = b.weighted(ops.FullyConnected, flat, b.noise(3, 24), shape=(1, 3), quant=QUANT)
    graph = b.build(y)
    after = dead_channels(graph)
    assert_same_bits(graph, after)
    assert after.tensor(a).shape == (1, 2, 3, 3)
    assert after.tensor(after.ops[-1].inputs[1]).shape == (3, 18)


def test_reshape_to_fewer_channels_removes_what_repeats() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 6)
    r = b.op(ops.Reshape, a, shape=(1, 4, 8, 3))
    y = b.conv(r, 2, unread=(1,))
    assert channels_after(b.build(y)) == {a: 4, r: 2, y: 2}


def test_channels_move_through_pools_means_and_resizes() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 5, dead=(2, 4))
    pooled = b.op(ops.AveragePool2D, a, window=(2, 2), stride=(1, 1), padding=Padding(1, 0, 1, 0))
    large = b.op(ops.ResizeBilinear, pooled, shape=(1, 6, 6, 5))
    mean = b.op(ops.Mean, large, axes=(1, 2), quant=(0.04, -3))
    y = b.weighted(ops.FullyConnected, mean, b.noise(3, 5), quant=QUANT)
    assert channels_after(b.build(y)) == {a: 3, pooled: 3, large: 3, mean: 3, y: 3}


def test_concatenation_split_and_slice() -> None:
    b = Net()
    x = b.input((1, 4, 4, 3))
    left, right = b.conv(x, 4, dead=(0,)), b.conv(x, 6, dead=(1, 5))
    both = b.op(ops.Concatenation, left, right, axis=3)
    first, second = b.split(both, (5, 5), 3)
    part = b.op(ops.Slice, second, begin=(0, 0, 0, 2), strides=(1, 1, 1, 1), shape=(1, 4, 4, 3))
    y, z = b.conv(first, 2), b.conv(part, 2)
    # Of 4 + 6 channels 0, 5 and 9 are constant; the slice does not read 5 and 6.
    assert channels_after(b.build(y, z)) == {
        left: 3, right: 3, both: 6, first: 4, second: 2, part: 2, y: 2, z: 2,
    }  # fmt: skip


def test_channels_that_only_pad() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 3, dead=(1,))
    padded = b.op(ops.Pad, a, pads=((0, 0), (0, 0), (0, 0), (2, 1)), value=-9)
    y = b.conv(padded, 2)
    assert channels_after(b.build(y)) == {a: 2, padded: 2, y: 2}


def test_a_padded_constant_is_none() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 3, dead=(1,))
    padded = b.op(ops.Pad, a, pads=((0, 0), (1, 1), (1, 1), (0, 0)), value=-9)
    y = b.conv(padded, 2)
    assert channels_after(b.build(y)) == {a: 3, padded: 3, y: 2}


def test_outputs_and_inputs_keep_their_shape() -> None:
    b = Net()
    x = b.input((1, 4, 4, 3))
    a = b.conv(x, 4, dead=(1, 2), unread=(0,))
    y = b.conv(a, 2)
    graph = b.build(a, y)
    assert channels_after(graph) == {a: 4, y: 2}
    assert dead_channels(graph).tensor(x).shape == (1, 4, 4, 3)


def test_one_channel_is_left() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 4, dead=(0, 1, 2, 3))
    y = b.conv(a, 2)
    assert channels_after(b.build(y)) == {a: 1, y: 2}


def test_weights_that_others_share_stay() -> None:
    b = Net()
    x = b.input((1, 4, 4, 3), QUANT)
    a = b.conv(x, 3, dead=(1,))
    y = b.conv(a, 3)
    shared = b.ops[-1].inputs[1:]
    z = b.op(ops.Conv2D, x, *shared, stride=(1, 1), quant=QUANT)
    assert channels_after(b.build(y, z)) == {a: 2, y: 3, z: 3}


def test_grouped_convolutions_keep_their_channels() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 4, dead=(1,))
    y = b.weighted(ops.Conv2D, a, b.noise(6, 1, 1, 2), stride=(1, 1), quant=QUANT)
    z = b.conv(y, 2, unread=(3,))
    assert channels_after(b.build(z)) == {a: 4, y: 6, z: 2}


def test_a_bias_that_would_overflow_is_left_alone() -> None:
    b = Net()
    a = b.conv(b.input((1, 4, 4, 3)), 3, dead=(1,))
    y = b.weighted(ops.Conv2D, a, b.noise(2, 1, 1, 3), np.array([0, 2**31 - 5000]), stride=(1, 1))
    assert channels_after(b.build(y)) == {a: 3, y: 2}
