"""Instance of Mean."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import Instance, TensorArg
from tinyvision.codegen.instances.nest import collapse, strides
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import mean_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Mean, Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import lanes_of


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Mean)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    params = mean_params(graph, op)
    steps = strides(x.shape)
    kept = [axis for axis in range(len(x.shape)) if axis not in op.axes]
    sizes, (kept_strides,) = collapse(
        tuple(x.shape[axis] for axis in kept), tuple(steps[axis] for axis in kept)
    )
    reduced_sizes, (reduced_strides,) = collapse(
        tuple(x.shape[axis] for axis in op.axes), tuple(steps[axis] for axis in op.axes)
    )
    return Instance(
        args=(operand(x, "input"), TensorArg(y.name)),
        context={
            "lanes": lanes_of(kernel),
            "sizes": sizes,
            "strides": kept_strides,
            "reduced_sizes": reduced_sizes,
            "reduced_strides": reduced_strides,
            "offset": params.count * params.input_zero_point,
            "sum_bits": (params.count * 255).bit_length(),
            "multiplier": params.output.multiplier,
            "shift": params.output.shift,
            "output_zero_point": params.output_zero_point,
        },
    )
