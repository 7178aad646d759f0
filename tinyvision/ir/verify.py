"""The rules every graph obeys, as code: an importer or a pass that breaks one is found at once."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Clamp, Op
from tinyvision.ir.shapes import output_shapes
from tinyvision.ir.types import DType, QuantParams, Tensor

QUANTIZED = (DType.INT8, DType.UINT8)

# Operators that move elements: they take any element type and leave it and its scale alone.
MOVING = (
    ops.Reshape,
    ops.Transpose,
    ops.Concatenation,
    ops.Split,
    ops.Slice,
)
# Operators on int8 whose output is quantized as their input is.
SAME_QUANTIZATION = (
    *MOVING,
    ops.Pad,
    ops.AveragePool2D,
    ops.MaxPool2D,
    ops.ResizeNearest,
    ops.ResizeBilinear,
    ops.Minimum,
    ops.Maximum,
)
WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.TransposeConv2D, ops.FullyConnected)

# (scale, zero point) that TFLite fixes for the output.
FIXED_OUTPUT: dict[type[Op], tuple[float, int]] = {
    ops.Softmax: (1 / 256, -128),
    ops.Logistic: (1 / 256, -128),
    ops.Tanh: (1 / 128, 0),
}

_ARITY: dict[type[Op], int] = {
    **dict.fromkeys(WEIGHTED, 3),
    ops.BatchMatMul: 2,
    ops.Add: 2,
    ops.Sub: 2,
    ops.Mul: 2,
    ops.Minimum: 2,
    ops.Maximum: 2,
    ops.Prelu: 2,
    ops.Lookup: 2,
}


def verify(graph: Graph) -> None:
    """Raises ValueError, naming operator or tensor and the rule, where ``graph`` breaks one.

    Every tensor is fed, constant or computed, exactly one of them, and before it is read. Names
    are unique. Shapes are those that ``ir.shapes`` computes, without empty tensors. Quantized
    tensors say how. Weights, biases and tables are constant. Clamps lie within the element type.
    """
    for name, tensor in graph.tensors.items():
        _check_tensor(name, tensor)
    _check_edges(graph)
    known = {*graph.inputs, *(n for n, t in graph.tensors.items() if t.is_constant)}
    names: set[str] = set()
    for op in graph.ops:
        where = f"{op.kind} {op.name!r}"
        _rule(op.name not in names, where, "operator names must be unique")
        names.add(op.name)
        for name in op.inputs:
            _rule(name in graph.tensors, where, f"reads {name!r}, which is not a tensor")
            _rule(name in known, where, f"reads {name!r} before it is computed")
        for name in op.outputs:
            _rule(name in graph.tensors, where, f"defines {name!r}, which is not a tensor")
            _rule(name not in known, where, f"{name!r} is defined twice")
            known.add(name)
        _check_op(graph, op, where)
    for name in graph.tensors:
        _rule(name in known, f"tensor {name!r}", "nothing computes it")


def _rule(holds: bool, where: str, rule: str) -> None:
    if not holds:
        raise ValueError(f"{where}: {rule}")


def _check_tensor(name: str, tensor: Tensor) -> None:
    where = f"tensor {name!r}"
    _rule(tensor.name == name, where, f"its own name is {tensor.name!r}")
    _rule(all(extent >= 1 for extent in tensor.shape), where, f"shape {tensor.shape} is empty")
    if tensor.quant is not None:
        _check_quant(tensor, tensor.quant, where)


def _check_quant(tensor: Tensor, quant: QuantParams, where: str) -> None:
    _rule(len(quant.scales) == len(quant.zero_points) >= 1, where, "a zero point for every scale")
    if quant.axis is None:
        _rule(len(quant.scales) == 1, where, "several scales need an axis")
    else:
        _rule(0 <= quant.axis < len(tensor.shape), where, f"no axis {quant.axis} to quantize along")
        _rule(
            len(quant.scales) in (1, tensor.shape[quant.axis]),
            where,
            f"{len(quant.scales)} scales for {tensor.shape[quant.axis]} channels",
        )
    _rule(
        all(isfinite(scale) and scale >= 0 for scale in quant.scales),
        where,
        "scales must be finite and not negative",
    )
    if tensor.dtype in (DType.INT8, DType.UINT8):
        low, high = _range(tensor.dtype)
        _rule(
            all(low <= point <= high for point in quant.zero_points),
            where,
            f"zero points must lie within {low}..{high}",
        )


def _check_edges(graph: Graph) -> None:
    where = f"graph {graph.name!r}"
    for kind, names in (("input", graph.inputs), ("output", graph.outputs)):
        _rule(len(names) >= 1, where, f"there must be an {kind}")
        _rule(len(set(names)) == len(names), where, f"an {kind} is listed twice")
        for name in names:
            _rule(name in graph.tensors, where, f"{kind} {name!r} is not a tensor")
    for name in graph.inputs:
        _rule(not graph.tensor(name).is_constant, where, f"input {name!r} is constant")
    computed = {name for op in graph.ops for name in op.outputs}
    for name in graph.outputs:
        _rule(name in computed, where, f"output {name!r} is not computed by an operator")
    for name, dtype in graph.interface.items():
        _rule(
            name in graph.inputs or name in graph.outputs,
            where,
            f"{name!r} has an external type but is neither input nor output",
        )
        _rule(
            dtype in (DType.FLOAT32, DType.UINT8)
            and graph.tensor(name).dtype is DType.INT8
            and graph.tensor(name).quant is not None,
            where,
            f"{name!r} cannot be {dtype.value} outside and {graph.tensor(name).dtype.value} inside",
        )


def _check_op(graph: Graph, op: Op, where: str) -> None:
    _rule(type(op) in _CHECKS, where, "is not an operator of the intermediate representation")
    count = _ARITY.get(type(op), len(op.inputs) if isinstance(op, ops.Concatenation) else 1)
    _rule(len(op.inputs) == count >= 1, where, f"takes {count} inputs, has {len(op.inputs)}")
    outputs = len(op.outputs)
    _rule(
        outputs >= 1 if isinstance(op, ops.Split) else outputs == 1,
        where,
        f"has {outputs} outputs",
    )
    try:
        shapes = output_shapes(graph, op)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    for tensor, shape in zip(graph.output_tensors(op), shapes, strict=True):
        _rule(
            tensor.shape == shape, where, f"{tensor.name!r} is {tensor.shape} and should be {shape}"
        )
    _CHECKS[type(op)](graph, op, where)
    clamp: Clamp | None = getattr(op, "clamp", None)
    if clamp is not None:
        low, high = _range(graph.tensor(op.outputs[0]).dtype)
        _rule(low <= clamp[0] <= clamp[1] <= high, where, f"clamp {clamp} leaves {low}..{high}")
    fixed = FIXED_OUTPUT.get(type(op))
    if fixed is not None:
        y = graph.tensor(op.outputs[0])
        _rule(
            (y.scale, y.zero_point) == fixed,
            where,
            f"the output must have scale {fixed[0]} and zero point {fixed[1]}",
        )


def _range(dtype: DType) -> Clamp:
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def _activation(tensor: Tensor, where: str, *dtypes: DType) -> None:
    """``tensor`` is one of ``dtypes`` and, where that is an integer, quantized per tensor."""
    allowed = " or ".join(dtype.value for dtype in dtypes)
    _rule(
        tensor.dtype in dtypes,
        where,
        f"{tensor.name!r} is {tensor.dtype.value} and should be {allowed}",
    )
    if tensor.dtype in QUANTIZED:
        _rule(tensor.quant is not None, where, f"{tensor.name!r} has no scale")
        _rule(
            tensor.quant is not None and tensor.quant.axis is None and tensor.scale > 0,
            where,
            f"{tensor.name!r} needs one positive scale",
        )


def _constant(tensor: Tensor, where: str, what: str, *dtypes: DType) -> None:
    allowed = " or ".join(dtype.value for dtype in dtypes)
    _rule(tensor.is_constant, where, f"{what} must be constant")
    _rule(tensor.dtype in dtypes, where, f"{what} must be {allowed}")


def _check_int8(graph: Graph, op: Op, where: str) -> None:
    for tensor in (*graph.input_tensors(op), *graph.output_tensors(op)):
        _activation(tensor, where, DType.INT8)


def _check_weighted(graph: Graph, op: Op, where: str) -> None:
    x, weights, bias = graph.input_tensors(op)
    (y,) = graph.output_tensors(op)
    _activation(x, where, DType.INT8)
    _activation(y, where, DType.INT8)
    _constant(weights, where, "weights", DType.INT8)
    _constant(bias, where, "bias", DType.INT32)
    _rule(weights.quant is not None, where, "weights have no scale")
    assert weights.quant is not None
    axis = 3 if isinstance(op, ops.DepthwiseConv2D) else 0
    _rule(weights.quant.axis in (None, axis), where, f"weights must be quantized along axis {axis}")
    if not isinstance(op, ops.FullyConnected) or len(weights.quant.scales) > 1:
        _rule(not any(weights.quant.zero_points), where, "the zero point of the weights must be 0")


def _check_softmax(graph: Graph, op: Op, where: str) -> None:
    _check_int8(graph, op, where)
    values = graph.tensor(op.inputs[0]).shape[-1]
    _rule(values < 4096, where, f"the sum of {values} exponentials overflows int32")


def _check_same(graph: Graph, op: Op, where: str) -> None:
    """One element type and one quantization for everything."""
    tensors = (*graph.input_tensors(op), *graph.output_tensors(op))
    any_type = isinstance(op, MOVING)
    for tensor in tensors:
        _activation(tensor, where, *(DType if any_type else (DType.INT8,)))
        _rule(tensor.dtype is tensors[0].dtype, where, "inputs and outputs differ in element type")
        _rule(
            tensor.quant == tensors[0].quant,
            where,
            f"{tensors[0].name!r} and {tensor.name!r} must have one scale and zero point",
        )
    if isinstance(op, ops.Pad):
        low, high = _range(tensors[0].dtype)
        _rule(low <= op.value <= high, where, f"pad value {op.value} leaves {low}..{high}")


def _check_prelu(graph: Graph, op: Op, where: str) -> None:
    _check_int8(graph, op, where)
    _constant(graph.tensor(op.inputs[1]), where, "alpha", DType.INT8)


def _check_requantize(graph: Graph, op: Op, where: str) -> None:
    for tensor in (*graph.input_tensors(op), *graph.output_tensors(op)):
        _activation(tensor, where, *QUANTIZED)


def _check_quantize(graph: Graph, op: Op, where: str) -> None:
    _activation(graph.tensor(op.inputs[0]), where, DType.FLOAT32)
    _activation(graph.tensor(op.outputs[0]), where, *QUANTIZED)


def _check_dequantize(graph: Graph, op: Op, where: str) -> None:
    _activation(graph.tensor(op.inputs[0]), where, *QUANTIZED)
    _activation(graph.tensor(op.outputs[0]), where, DType.FLOAT32)


def _check_lookup(graph: Graph, op: Op, where: str) -> None:
    y = graph.tensor(op.outputs[0])
    _activation(graph.tensor(op.inputs[0]), where, *QUANTIZED)
    _activation(y, where, *QUANTIZED)
    _constant(graph.tensor(op.inputs[1]), where, "the table", y.dtype)


_Check = Callable[[Graph, Any, str], None]
_CHECKS: dict[type[Op], _Check] = {
    **dict.fromkeys(WEIGHTED, _check_weighted),
    **dict.fromkeys(SAME_QUANTIZATION, _check_same),
    **dict.fromkeys(
        (
            ops.Add,
            ops.Sub,
            ops.Mul,
            ops.BatchMatMul,
            ops.Mean,
            ops.Logistic,
            ops.Tanh,
            ops.HardSwish,
            ops.Gelu,
            ops.LeakyRelu,
        ),
        _check_int8,
    ),
    ops.Softmax: _check_softmax,
    ops.Prelu: _check_prelu,
    ops.Requantize: _check_requantize,
    ops.Quantize: _check_quantize,
    ops.Dequantize: _check_dequantize,
    ops.Lookup: _check_lookup,
}
