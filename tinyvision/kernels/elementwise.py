"""Kernels of operators that compute every output element from one element of each input."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Add, Dequantize, Maximum, Minimum, Mul, Op, Prelu, Quantize, Sub
from tinyvision.ir.types import DType
from tinyvision.kernels import add_mve, add_tables
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import variant
from tinyvision.kernels.overlap import indices, lead
from tinyvision.kernels.require import constant_bytes, require_dtypes
from tinyvision.target.core import Core

_TEMPLATES: dict[type[Op], str] = {
    Add: "add",
    Sub: "add",
    Mul: "mul",
    Minimum: "minmax",
    Maximum: "minmax",
    Prelu: "prelu",
}


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Operators of two broadcast inputs, ascending: in place over an input of the output's shape,
    further below over one that repeats. By words where the core loads them from any address.
    """
    require_dtypes(graph, op, DType.INT8)
    (y,) = graph.output_tensors(op)
    overlap = tuple(
        None if x.is_constant else lead(np.broadcast_to(indices(x.shape), y.shape), 1)
        for x in graph.input_tensors(op)
    )
    template = _TEMPLATES[type(op)]
    name = variant(op.kind.lower(), 4 if core.unaligned else 1)
    if add_mve.applies(graph, op, core):
        template, name = add_mve.TEMPLATE, f"{op.kind.lower()}_mve"
    plain = Kernel(template, name, flash_bytes=constant_bytes(graph, op), overlap=overlap)
    if plain.template == add_mve.TEMPLATE or not add_tables.applies(graph, op, core):
        return (plain,)
    by_tables = Kernel(
        add_tables.TEMPLATE,
        f"{op.kind.lower()}_tables{add_tables.DUAL if core.dual else ''}",
        scratch_bytes=add_tables.TABLE_BYTES,
        flash_bytes=add_tables.TABLE_BYTES,
        overlap=overlap,
        by_rows=False,
    )
    return by_tables, plain


def convert_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Between float32 and 8 bits: elements of different sizes at each side."""
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    small = y if isinstance(op, Quantize) else x
    large = x if isinstance(op, Quantize) else y
    if large.dtype is not DType.FLOAT32 or small.dtype not in (DType.INT8, DType.UINT8):
        raise NotImplementedError(
            f"{op.kind} {op.name!r} from {x.dtype.value} to {y.dtype.value} has no kernel"
        )
    overlap = lead(indices(x.shape), y.dtype.size_bytes, x.dtype.size_bytes)
    template = "dequantize" if isinstance(op, Dequantize) else "quantize"
    return (Kernel(template, template, flash_bytes=4, overlap=(overlap,)),)
