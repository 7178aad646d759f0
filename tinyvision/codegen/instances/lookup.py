"""Instance of Lookup."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import C_TYPES, ConstArg, Instance, TensorArg
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import lanes_of


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    x, table = graph.input_tensors(op)
    (output,) = graph.output_tensors(op)
    assert table.data is not None
    return Instance(
        args=(TensorArg(x.name), TensorArg(output.name), ConstArg("table", table.data)),
        context={
            "lanes": lanes_of(kernel),
            "elements": x.elements,
            "bias": 128 if x.dtype is DType.INT8 else 0,
            "input_type": C_TYPES[x.dtype.value],
            "output_type": C_TYPES[output.dtype.value],
        },
    )
