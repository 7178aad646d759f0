"""Kernels of operators that only move data: no element changes its value.

Their constant inputs are copied from flash like any other; passes fold the rest.
"""

from __future__ import annotations

from math import prod

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Concatenation, Op, Slice, Split, Transpose
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.overlap import indices, lead
from tinyvision.kernels.require import constant_bytes
from tinyvision.target.core import Core


def reshape_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """One copy, none where output and input are the same memory."""
    return (_kernel(graph, op, "reshape", (0,)),)


def transpose_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    assert isinstance(op, Transpose)
    (x,) = graph.input_tensors(op)
    reads = indices(x.shape).transpose(op.perm)
    return (_kernel(graph, op, "strided_copy", (lead(reads, x.dtype.size_bytes),)),)


def slice_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    assert isinstance(op, Slice)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    reads = _sliced(op, x.shape, y.shape)
    return (_kernel(graph, op, "strided_copy", (lead(reads, x.dtype.size_bytes),)),)


def concatenation_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Rows of all inputs in turn. An input may already lie where it belongs if it is one block:
    the copy is left out at run time.
    """
    assert isinstance(op, Concatenation)
    inputs, (y,) = graph.input_tensors(op), graph.output_tensors(op)
    outer = prod(y.shape[: op.axis])
    row = y.size_bytes // outer
    overlap: list[int | None] = []
    before = 0
    for x in inputs:
        own = x.size_bytes // outer
        ahead = before + (outer - 1) * (row - own)
        overlap.append(ahead if ahead < y.size_bytes and not x.is_constant else None)
        before += own
    if len(set(op.inputs)) < len(op.inputs):
        overlap = [None] * len(inputs)
    return (_kernel(graph, op, "concatenation", tuple(overlap)),)


def split_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """The first output is written last, by which time nothing but its own part is needed."""
    assert isinstance(op, Split)
    return (_kernel(graph, op, "split", (0,)),)


def _sliced(op: Slice, shape: tuple[int, ...], extents: tuple[int, ...]) -> Array:
    result = indices(shape)
    for axis, (begin, stride, count) in enumerate(zip(op.begin, op.strides, extents, strict=True)):
        result = result.take(range(begin, begin + count * stride, stride), axis)
    return result


def _kernel(graph: Graph, op: Op, template: str, overlap: tuple[int | None, ...]) -> Kernel:
    variant = op.kind.lower()
    return Kernel(template, variant, flash_bytes=constant_bytes(graph, op), overlap=overlap)
