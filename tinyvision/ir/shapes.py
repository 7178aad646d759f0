"""The shapes that an operator's inputs and attributes imply for its outputs."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeVar

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Padding

Shape = tuple[int, ...]


def output_shapes(graph: Graph, op: Op) -> tuple[Shape, ...]:
    """The shape of every output of ``op``, in order.

    Where the operator leaves something open, that much is taken from the outputs' declaration:
    all of a Reshape's, the leading axes of a FullyConnected's, the height and width of a resize,
    the extents of a Slice and of a Split. Raises ValueError, saying why, where inputs, attributes
    and that declaration do not go together.
    """
    inputs = tuple(tensor.shape for tensor in graph.input_tensors(op))
    declared = tuple(tensor.shape for tensor in graph.output_tensors(op))
    return _RULES[type(op)](op, inputs, declared)


def window_outputs(extent: int, window: int, stride: int, before: int, after: int) -> int:
    """Positions of a ``window`` over ``extent`` elements with ``before`` and ``after`` added."""
    return (extent + before + after - window) // stride + 1


def dilated(kernel: int, dilation: int) -> int:
    """Elements from the first to the last tap of a kernel, inclusive."""
    return (kernel - 1) * dilation + 1


def broadcast(first: Shape, second: Shape) -> Shape:
    """numpy's broadcasting of two shapes; ValueError where they do not go together."""
    try:
        return tuple(int(extent) for extent in np.broadcast_shapes(first, second))
    except ValueError:
        raise ValueError(f"shapes {first} and {second} cannot be broadcast") from None


_OpT = TypeVar("_OpT", bound=Op)
_Rule = Callable[[Op, tuple[Shape, ...], tuple[Shape, ...]], tuple[Shape, ...]]
_RULES: dict[type[Op], _Rule] = {}


def _rule(*kinds: type[Op]) -> Callable[[Callable[..., tuple[Shape, ...]]], _Rule]:
    def register(function: Callable[..., tuple[Shape, ...]]) -> _Rule:
        _RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(rule)


def _rank4(shape: Shape, what: str = "the input") -> tuple[int, int, int, int]:
    _require(len(shape) == 4, f"{what} must have four axes, has {len(shape)}")
    batch, height, width, channels = shape
    return batch, height, width, channels


def _windows(
    height: int,
    width: int,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
) -> tuple[int, int]:
    _require(min(stride) >= 1, "strides must be positive")
    _require(min(window) >= 1, "the window must not be empty")
    sides = (padding.top, padding.bottom, padding.left, padding.right)
    _require(min(sides) >= 0, "padding must not be negative")
    _require(
        max(sides[:2]) < window[0] and max(sides[2:]) < window[1],
        "padding must be smaller than the (dilated) window",
    )
    rows = window_outputs(height, window[0], stride[0], padding.top, padding.bottom)
    columns = window_outputs(width, window[1], stride[1], padding.left, padding.right)
    _require(rows >= 1 and columns >= 1, "the window is larger than the padded input")
    return rows, columns


@_rule(ops.Conv2D)
def _conv2d(op: ops.Conv2D, inputs: tuple[Shape, ...], _: tuple[Shape, ...]) -> tuple[Shape, ...]:
    batch, height, width, channels = _rank4(inputs[0])
    outputs, kernel_h, kernel_w, group_channels = _rank4(inputs[1], "the weights")
    _require(
        channels % group_channels == 0 and outputs % (channels // group_channels) == 0,
        f"{channels} input and {outputs} output channels do not divide into groups of "
        f"{group_channels}",
    )
    _require(inputs[2] == (outputs,), f"the bias must have {outputs} elements")
    _require(min(op.dilation) >= 1, "dilations must be positive")
    window = dilated(kernel_h, op.dilation[0]), dilated(kernel_w, op.dilation[1])
    return ((batch, *_windows(height, width, window, op.stride, op.padding), outputs),)


@_rule(ops.DepthwiseConv2D)
def _depthwise(
    op: ops.DepthwiseConv2D, inputs: tuple[Shape, ...], _: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    batch, height, width, channels = _rank4(inputs[0])
    one, kernel_h, kernel_w, outputs = _rank4(inputs[1], "the weights")
    _require(one == 1, "the first axis of the weights must be 1")
    _require(
        outputs == channels * op.multiplier,
        f"{channels} input channels times multiplier {op.multiplier} are not {outputs} outputs",
    )
    _require(inputs[2] == (outputs,), f"the bias must have {outputs} elements")
    _require(min(op.dilation) >= 1, "dilations must be positive")
    window = dilated(kernel_h, op.dilation[0]), dilated(kernel_w, op.dilation[1])
    return ((batch, *_windows(height, width, window, op.stride, op.padding), outputs),)


@_rule(ops.TransposeConv2D)
def _transpose_conv(
    op: ops.TransposeConv2D, inputs: tuple[Shape, ...], _: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    batch, height, width, channels = _rank4(inputs[0])
    outputs, kernel_h, kernel_w, weight_channels = _rank4(inputs[1], "the weights")
    _require(channels == weight_channels, "weights and input differ in channels")
    _require(inputs[2] == (outputs,), f"the bias must have {outputs} elements")
    _require(min(op.stride) >= 1, "strides must be positive")
    pad = op.padding
    _require(pad.top >= 0 and pad.left >= 0, "top and left crops must not be negative")
    rows = (height - 1) * op.stride[0] + kernel_h - pad.top - pad.bottom
    columns = (width - 1) * op.stride[1] + kernel_w - pad.left - pad.right
    _require(rows >= 1 and columns >= 1, "nothing is left after cropping")
    return ((batch, rows, columns, outputs),)


@_rule(ops.FullyConnected)
def _fully_connected(
    _: ops.FullyConnected, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    _require(len(inputs[1]) == 2, "the weights must have two axes")
    outputs, columns = inputs[1]
    _require(
        prod(inputs[0]) % columns == 0, f"the input does not divide into rows of {columns} elements"
    )
    _require(inputs[2] == (outputs,), f"the bias must have {outputs} elements")
    rows = prod(inputs[0]) // columns
    shape = declared[0]
    _require(
        len(shape) >= 1 and shape[-1] == outputs and prod(shape) == rows * outputs,
        f"{rows} rows of {outputs} outputs do not make {shape}",
    )
    return (shape,)


@_rule(ops.BatchMatMul)
def _batch_matmul(
    op: ops.BatchMatMul, inputs: tuple[Shape, ...], _: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    a, b = inputs
    _require(min(len(a), len(b)) >= 2, "both inputs must have at least two axes")
    rows, depth = a[:-3:-1] if op.adjoint_a else a[-2:]
    other, columns = b[:-3:-1] if op.adjoint_b else b[-2:]
    _require(depth == other, f"rows of {depth} and columns of {other} do not match")
    return ((*broadcast(a[:-2], b[:-2]), rows, columns),)


@_rule(ops.Add, ops.Sub, ops.Mul, ops.Minimum, ops.Maximum)
def _binary(_: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    return (broadcast(inputs[0], inputs[1]),)


@_rule(ops.Prelu)
def _prelu(_: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    _require(
        broadcast(inputs[0], inputs[1]) == inputs[0], "alpha must not be larger than the input"
    )
    return (inputs[0],)


@_rule(ops.Lookup)
def _lookup(_: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    _require(inputs[1] == (256,), "the table must have 256 elements")
    return (inputs[0],)


@_rule(
    ops.Logistic,
    ops.Tanh,
    ops.HardSwish,
    ops.Gelu,
    ops.LeakyRelu,
    ops.Requantize,
    ops.Quantize,
    ops.Dequantize,
)
def _unary(_: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    return (inputs[0],)


@_rule(ops.Softmax)
def _softmax(_: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    _require(len(inputs[0]) >= 1, "the input must have an axis")
    return (inputs[0],)


@_rule(ops.Pad)
def _pad(op: ops.Pad, inputs: tuple[Shape, ...], _: tuple[Shape, ...]) -> tuple[Shape, ...]:
    shape = inputs[0]
    _require(len(op.pads) == len(shape), "there must be a pair of pads for every axis")
    _require(all(min(pair) >= 0 for pair in op.pads), "pads must not be negative")
    slack = {ops.PadMode.REFLECT: 1, ops.PadMode.SYMMETRIC: 0}.get(op.mode)
    if slack is not None:
        _require(
            all(max(pair) <= extent - slack for pair, extent in zip(op.pads, shape, strict=True)),
            "mirrored pads must not be larger than the input",
        )
    return (tuple(e + before + after for e, (before, after) in zip(shape, op.pads, strict=True)),)


@_rule(ops.AveragePool2D, ops.MaxPool2D)
def _pool(
    op: ops.AveragePool2D | ops.MaxPool2D, inputs: tuple[Shape, ...], _: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    batch, height, width, channels = _rank4(inputs[0])
    return ((batch, *_windows(height, width, op.window, op.stride, op.padding), channels),)


@_rule(ops.Mean)
def _mean(op: ops.Mean, inputs: tuple[Shape, ...], _: tuple[Shape, ...]) -> tuple[Shape, ...]:
    shape = inputs[0]
    _require(
        len(op.axes) >= 1
        and list(op.axes) == sorted(set(op.axes))
        and op.axes[0] >= 0
        and op.axes[-1] < len(shape),
        f"axes {op.axes} must be sorted, different and within the input",
    )
    if op.keep_dims:
        return (tuple(1 if axis in op.axes else e for axis, e in enumerate(shape)),)
    return (tuple(e for axis, e in enumerate(shape) if axis not in op.axes),)


@_rule(ops.Reshape)
def _reshape(_: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    _require(
        prod(inputs[0]) == prod(declared[0]), f"{inputs[0]} has not as many elements as the output"
    )
    return (declared[0],)


@_rule(ops.Transpose)
def _transpose(
    op: ops.Transpose, inputs: tuple[Shape, ...], _: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    _require(sorted(op.perm) == list(range(len(inputs[0]))), f"{op.perm} does not permute the axes")
    return (tuple(inputs[0][axis] for axis in op.perm),)


def _axis_within(axis: int, shape: Shape) -> None:
    _require(0 <= axis < len(shape), f"axis {axis} is not one of {shape}")


def _alike_but_axis(shapes: tuple[Shape, ...], axis: int) -> None:
    others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    ranks = {len(shape) for shape in shapes}
    _require(
        len(others) == 1 and len(ranks) == 1, f"{shapes} differ in another axis than axis {axis}"
    )


@_rule(ops.Concatenation)
def _concatenation(
    op: ops.Concatenation, inputs: tuple[Shape, ...], _: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    _axis_within(op.axis, inputs[0])
    _alike_but_axis(inputs, op.axis)
    total = sum(shape[op.axis] for shape in inputs)
    return ((*inputs[0][: op.axis], total, *inputs[0][op.axis + 1 :]),)


@_rule(ops.Split)
def _split(
    op: ops.Split, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    _axis_within(op.axis, inputs[0])
    _alike_but_axis((inputs[0], *declared), op.axis)
    _require(
        sum(shape[op.axis] for shape in declared) == inputs[0][op.axis],
        f"the outputs do not add up to the input along axis {op.axis}",
    )
    return declared


@_rule(ops.Slice)
def _slice(
    op: ops.Slice, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]
) -> tuple[Shape, ...]:
    (shape,) = inputs
    rank = len(shape)
    _require(
        len(op.begin) == len(op.strides) == len(declared[0]) == rank,
        "begin, strides and the output must have the input's number of axes",
    )
    for axis, (extent, begin, stride, count) in enumerate(
        zip(shape, op.begin, op.strides, declared[0], strict=True)
    ):
        last = begin + (count - 1) * stride
        _require(stride != 0, f"the stride of axis {axis} must not be 0")
        _require(
            0 <= begin < extent and 0 <= last < extent, f"the slice leaves the input in axis {axis}"
        )
    return (declared[0],)


@_rule(ops.ResizeNearest, ops.ResizeBilinear)
def _resize(op: Op, inputs: tuple[Shape, ...], declared: tuple[Shape, ...]) -> tuple[Shape, ...]:
    batch, _, _, channels = _rank4(inputs[0])
    _, height, width, _ = _rank4(declared[0], "the output")
    return ((batch, height, width, channels),)
