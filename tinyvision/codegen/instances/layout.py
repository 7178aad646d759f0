"""Instances of Reshape, Transpose, Slice, Concatenation and Split."""

from __future__ import annotations

from math import prod

from tinyvision.codegen.instances.instance import C_TYPES, Instance, TensorArg
from tinyvision.codegen.instances.nest import collapse, strides
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Concatenation, Op, Slice, Split, Transpose
from tinyvision.kernels.kernel import Kernel


def build_reshape(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    return Instance(
        args=(operand(x, "input"), TensorArg(y.name)),
        context={"elements": x.elements, "type": C_TYPES[x.dtype.value]},
    )


def build_transpose(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Transpose)
    (x,) = graph.input_tensors(op)
    steps = strides(x.shape)
    return _strided_copy(graph, op, 0, tuple(steps[axis] for axis in op.perm))


def build_slice(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Slice)
    (x,) = graph.input_tensors(op)
    own = strides(x.shape)
    steps = tuple(stride * step for stride, step in zip(op.strides, own, strict=True))
    first = sum(begin * step for begin, step in zip(op.begin, own, strict=True))
    return _strided_copy(graph, op, first, steps)


def build_concatenation(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Concatenation)
    inputs, (y,) = graph.input_tensors(op), graph.output_tensors(op)
    outer = prod(y.shape[: op.axis])
    return Instance(
        args=(
            *(operand(x, f"input{index}") for index, x in enumerate(inputs)),
            TensorArg(y.name),
        ),
        context={
            "type": C_TYPES[y.dtype.value],
            "outer": outer,
            "rows": tuple(x.elements // outer for x in inputs),
        },
    )


def build_split(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Split)
    (x,), outputs = graph.input_tensors(op), graph.output_tensors(op)
    outer = prod(x.shape[: op.axis])
    return Instance(
        args=(operand(x, "input"), *(TensorArg(y.name) for y in outputs)),
        context={
            "type": C_TYPES[x.dtype.value],
            "outer": outer,
            "rows": tuple(y.elements // outer for y in outputs),
        },
    )


def _strided_copy(graph: Graph, op: Op, first: int, steps: tuple[int, ...]) -> Instance:
    """Output elements in order from ``input[first + steps * index]``; whole runs where the
    innermost step is 1.
    """
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    sizes, (steps,) = collapse(y.shape, steps)
    run = 1
    if steps[-1] == 1:
        run, sizes, steps = sizes[-1], sizes[:-1], steps[:-1]
    return Instance(
        args=(operand(x, "input"), TensorArg(y.name)),
        context={
            "type": C_TYPES[x.dtype.value],
            "first": first,
            "sizes": sizes,
            "strides": steps,
            "run": run,
        },
    )
