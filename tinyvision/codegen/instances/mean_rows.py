"""Instances of means over the height whose input comes row by row."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import Instance, TensorArg, Value
from tinyvision.ir.derive import dtype_clamp, mean_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import AveragePool2D, Mean, Op
from tinyvision.kernels.kernel import Kernel


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    """Arguments are the input row, then the output; the template's row function takes the row's
    number and the sums between them.
    """
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    across = isinstance(op, Mean) and op.axes == (1,)
    context: dict[str, Value] = {
        "height": x.shape[1],
        "width": 1 if across else x.shape[2],
        "elements": y.elements,
    }
    if isinstance(op, AveragePool2D):
        count = op.window[0] * op.window[1]
        context |= {"average": 1, "count": count, "low": op.clamp[0], "high": op.clamp[1]}
    else:
        assert isinstance(op, Mean)
        params = mean_params(graph, op)
        low, high = dtype_clamp(y.dtype)
        context |= {
            "average": 0,
            "offset": params.count * params.input_zero_point,
            "sum_bits": (params.count * 255).bit_length(),
            "multiplier": params.output.multiplier,
            "shift": params.output.shift,
            "output_zero_point": params.output_zero_point,
            "low": low,
            "high": high,
        }
    return Instance((TensorArg(x.name), TensorArg(y.name)), context)
