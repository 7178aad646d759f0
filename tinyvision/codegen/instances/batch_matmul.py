"""Instance of BatchMatMul."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import Instance, TensorArg
from tinyvision.codegen.instances.nest import broadcast_strides, collapse, strides
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import batch_matmul_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import BatchMatMul, Op
from tinyvision.ir.types import Tensor
from tinyvision.kernels.kernel import Kernel


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, BatchMatMul)
    a, b = graph.input_tensors(op)
    (y,) = graph.output_tensors(op)
    params = batch_matmul_params(graph, op)
    sizes, (a_strides, b_strides) = collapse(
        y.shape[:-2], _batch_strides(a, y), _batch_strides(b, y)
    )
    a_row, a_step = strides(a.shape)[-2:]
    b_step, b_column = strides(b.shape)[-2:]
    if op.adjoint_a:
        a_row, a_step = a_step, a_row
    if op.adjoint_b:
        b_step, b_column = b_column, b_step
    return Instance(
        args=(operand(a, "a"), operand(b, "b"), TensorArg(y.name)),
        context={
            "sizes": sizes,
            "a_strides": a_strides,
            "b_strides": b_strides,
            "rows": y.shape[-2],
            "columns": y.shape[-1],
            "depth": a.shape[-2 if op.adjoint_a else -1],
            "a_row": a_row,
            "a_step": a_step,
            "b_step": b_step,
            "b_column": b_column,
            "a_zero_point": params.a_zero_point,
            "b_zero_point": params.b_zero_point,
            "output_zero_point": params.output_zero_point,
            "output_multiplier": params.output.multiplier,
            "output_shift": params.output.shift,
        },
    )


def _batch_strides(tensor: Tensor, y: Tensor) -> tuple[int, ...]:
    """Of the axes before the last two."""
    matrix = tensor.shape[-2] * tensor.shape[-1]
    return tuple(matrix * s for s in broadcast_strides(tensor.shape[:-2], y.shape[:-2]))
