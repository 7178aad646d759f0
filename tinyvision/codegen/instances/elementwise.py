"""Instances of Add, Sub, Mul, Minimum, Maximum, Prelu, Quantize and Dequantize."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.codegen.instances.instance import (
    C_TYPES,
    ConstArg,
    Instance,
    ScratchArg,
    TensorArg,
    Value,
)
from tinyvision.codegen.instances.nest import broadcast_strides, collapse
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import add_params, mul_params, prelu_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Add, Dequantize, Maximum, Minimum, Mul, Op, Prelu, Quantize, Sub
from tinyvision.ir.types import DType
from tinyvision.kernels import add_tables
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import lanes_of

FACTORS = ("zero_point", "multiplier", "shift")
VARYING = (
    "sizes",
    *(
        f"{x}_{what}"
        for x in ("a", "b", "output")
        for what in ("zero_point", "multiplier", "shift")
    ),
)
"""What sums may read at run time."""


def build_sum(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, (Add, Sub))
    if kernel.template == add_tables.TEMPLATE:
        return _build_tables(graph, op, kernel)
    params = add_params(graph, op)
    assert params.left_shift == 20  # the template's bounds rest on it
    instance = _broadcast(
        graph,
        op,
        kernel,
        operation=op.kind.lower(),
        a_zero_point=params.a_zero_point,
        b_zero_point=params.b_zero_point,
        output_zero_point=params.output_zero_point,
        a_multiplier=params.a.multiplier,
        a_shift=params.a.shift,
        b_multiplier=params.b.multiplier,
        b_shift=params.b.shift,
        output_multiplier=params.output.multiplier,
        output_shift=params.output.shift,
        low=op.clamp[0],
        high=op.clamp[1],
    )
    return replace(instance, varying=VARYING)


def _build_tables(graph: Graph, op: Add | Sub, kernel: Kernel) -> Instance:
    found = add_tables.tables(graph, op)
    assert found is not None
    return Instance(
        args=(
            *map(TensorArg, (*op.inputs, *op.outputs)),
            ConstArg("tables", found.words),
            ScratchArg(),
        ),
        context={
            "elements": graph.tensor(op.outputs[0]).elements,
            "fraction": found.fraction,
            "dual": int(kernel.variant.endswith(add_tables.DUAL)),
        },
    )


def build_mul(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Mul)
    params = mul_params(graph, op)
    return _broadcast(
        graph,
        op,
        kernel,
        a_zero_point=params.a_zero_point,
        b_zero_point=params.b_zero_point,
        output_zero_point=params.output_zero_point,
        output_multiplier=params.output.multiplier,
        output_shift=params.output.shift,
        low=op.clamp[0],
        high=op.clamp[1],
    )


def build_minmax(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, (Minimum, Maximum))
    return _broadcast(graph, op, kernel, operation=op.kind.lower())


def build_prelu(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Prelu)
    params = prelu_params(graph, op)
    return _broadcast(
        graph,
        op,
        kernel,
        a_zero_point=params.input_zero_point,
        b_zero_point=params.alpha_zero_point,
        output_zero_point=params.output_zero_point,
        positive_multiplier=params.positive.multiplier,
        positive_shift=params.positive.shift,
        negative_multiplier=params.negative.multiplier,
        negative_shift=params.negative.shift,
    )


def build_convert(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, (Quantize, Dequantize))
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    quantized = y if isinstance(op, Quantize) else x
    unsigned = quantized.dtype is DType.UINT8
    return Instance(
        args=(
            TensorArg(x.name),
            TensorArg(y.name),
            ConstArg("scale", np.array([quantized.scale], np.float32)),
        ),
        context={
            "elements": x.elements,
            "type": C_TYPES[quantized.dtype.value],
            # uint8 is int8 with the top bit flipped.
            "flip": 0x80 if unsigned else 0,
            "zero_point": quantized.zero_point - (128 if unsigned else 0),
        },
    )


def _broadcast(graph: Graph, op: Op, kernel: Kernel, **context: Value) -> Instance:
    a, b = graph.input_tensors(op)
    (y,) = graph.output_tensors(op)
    sizes, (a_strides, b_strides) = collapse(
        y.shape, broadcast_strides(a.shape, y.shape), broadcast_strides(b.shape, y.shape)
    )
    return Instance(
        args=(operand(a, "a"), operand(b, "b"), TensorArg(y.name)),
        context={
            "lanes": lanes_of(kernel),
            "sizes": sizes,
            "a_strides": a_strides,
            "b_strides": b_strides,
            **context,
        },
    )
