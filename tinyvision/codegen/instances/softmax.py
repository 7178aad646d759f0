"""Instance of Softmax."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import ConstArg, Instance, TensorArg
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import softmax_params
from tinyvision.ir.fixed_point import exp_on_negative_values
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import saturating_rounding_doubling_high_mul
from tinyvision.ir.ops import Op, Softmax
from tinyvision.ir.types import Array
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.softmax import table_entries


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Softmax)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    entries = table_entries(graph, op)
    return Instance(
        args=(
            operand(x, "input"),
            TensorArg(y.name),
            ConstArg("exponentials", exponentials(graph, op, entries)),
        ),
        context={
            "rows": x.elements // x.shape[-1],
            "classes": x.shape[-1],
            "entries": entries,
        },
    )


def exponentials(graph: Graph, op: Softmax, entries: int) -> Array:
    """``exp`` of 0, -1, ... ``1 - entries`` input steps, with 0 integer bits, as the reference's
    fixed point has it.
    """
    params = softmax_params(graph, op)
    differences = -np.arange(entries, dtype=np.int64) << params.left_shift
    scaled = saturating_rounding_doubling_high_mul(differences, params.multiplier)
    return exp_on_negative_values(scaled, 5).astype(np.int32)
